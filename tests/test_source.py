"""A file that builds a network is refused in one line, before anything is written, if it cannot be
trained, saved and read back."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import bioq
from bioq import BioqError, UsageError
from bioq.cli import main
from bioq.dataset import Dataset
from bioq.fast.paths import paths_of
from bioq.models.source import (
    build_from_source,
    executed_modules,
    module_name,
    names_source,
    read_source,
)
from bioq.models.source_checks import check_source
from bioq.runs import trust
from bioq.runs.weights import fingerprint

HEAD = """
import torch
from torch import nn
from torch.nn import functional

class Net(nn.Module):
    def __init__(self, targets):
        super().__init__()
        self.conv = nn.Conv1d(4, 3, 5)
        self.output = nn.Linear(3, targets)
    def forward(self, windows):
        return self.output(self.conv(windows).amax(dim=2))

"""


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(trust, "_trusted", set())


def written(folder: Path, text: str) -> str:
    (folder / "net.py").write_text(text)
    return f"{folder / 'net.py'}:build"


def check(folder: Path, text: str, *, smallest_batch: int = 2) -> bool:
    source = read_source(written(folder, text))
    found = check_source(source, targets=2, window_bp=50, smallest_batch=smallest_batch)
    return found.starts_at_rates


def body(*lines: str) -> str:
    """Return a file whose function has these lines."""
    return HEAD + "\n".join(["def build(targets, window_bp):", *(f"    {line}" for line in lines)])


def forward(*lines: str, init: str = "pass") -> str:
    """Return a file with a network that has another forward."""
    return HEAD + "\n".join(
        [
            "class Other(Net):",
            "    def __init__(self, targets):",
            "        super().__init__(targets)",
            f"        {init}",
            "    def forward(self, windows):",
            *(f"        {line}" for line in lines),
            "def build(targets, window_bp):",
            "    return Other(targets)",
        ]
    )


WORKS = {
    "plain": body("return Net(targets)"),
    "a list of layers": body(
        "return nn.Sequential(nn.Conv1d(4, 3, 5), nn.AdaptiveMaxPool1d(1), nn.Flatten(),"
        " nn.Linear(3, targets))"
    ),
    "a dataclass, a future import and a relative constant": (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Sizes:\n    filters: int = 3\n" + body("return Net(targets)")
    ),
    "a mask that is no weight": forward(
        "return super().forward(windows) + self.mask.clamp(min=-1)[:, : self.output.out_features]",
        init="self.register_buffer('mask', torch.full((1, 9), -torch.inf), persistent=False)",
    ),
    "masks of other types": forward(
        "return super().forward(windows * self.mask)",
        init="self.register_buffer('mask', torch.ones(1, 1, 50, dtype=torch.bool))",
    ),
    "a frozen weight": forward(
        "return super().forward(windows) + self.shift",
        init="self.shift = nn.Parameter(torch.ones(1), requires_grad=False)",
    ),
    "a sigmoid inside": forward("return self.output(self.conv(windows).sigmoid().amax(dim=2))"),
    "a seed of its own": "import torch; torch.manual_seed(3)\n" + body("return Net(targets)"),
}


@pytest.mark.parametrize("text", WORKS.values(), ids=WORKS)
def test_a_network_that_can_be_trained_is_found_good(tmp_path: Path, text: str) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    assert check(tmp_path, text) is ("list of layers" not in text and "Sequential" not in text)
    assert torch.equal(torch.get_rng_state(), before)


NOT_PYTHON = {
    "no file": (None, "net.py: no such file; expected a Python file with a function build"),
    "not Python": ("x = 1\ndef build(:\n", "net.py:2: is not Python: "),
    "NUL": ("x = 1\0", "net.py: is not Python: "),
    "raises": ("x = 1\nprint(y)\n", "net.py:2: it raises NameError: name 'y' is not defined"),
    "exits": ("import sys\nsys.exit(3)\n", "net.py:2: it raises SystemExit: 3"),
    "no function": ("def make(): ...\n", "net.py: has no function build; expected 'def build("),
    "no package": ("import nowhere_at_all\n", "net.py:1: imports nowhere_at_all, which is not in"),
    "a file beside": ("import beside\n", "net.py:1: imports beside, another file; a run keeps one"),
    "a folder beside": ("x = 1\nfrom around.it import y", "net.py:2: imports around, another file"),
    "large": ("#" * (1 << 20) + "\n", "has 1,048,577 bytes; the file of a network has at most"),
}


@pytest.mark.parametrize(("text", "words"), NOT_PYTHON.values(), ids=NOT_PYTHON)
def test_a_file_that_cannot_be_executed_is_named_with_the_line(
    tmp_path: Path, text: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)  # as if a notebook were there
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.py").write_text("x = 1\n")
    (tmp_path / "around").mkdir()
    path_before, modules = list(sys.path), executed_modules()
    with pytest.raises(BioqError) as raised:
        if text is None:
            read_source(f"{tmp_path / 'net.py'}:build")
        else:
            check(tmp_path, text)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sys.path == path_before
    assert words.startswith("net.py: has no function") or executed_modules() == modules


WRONG = {
    "needs another argument": ("def build(targets): ...\n", "net.py: build(2, 50) raises Type"),
    "raises": (body("return Net(targets / 0)"), ":15: build(2, 50) raises ZeroDivisionError: "),
    "raises inside": (body("return nn.Conv1d(4, 3, 'x')"), ":15: build(2, 50) raises TypeError"),
    "nothing": (body("pass"), "build(2, 50) returns None; expected a network, which is a torch.nn"),
    "the class": (body("return Net"), "returns a type; expected a network"),
    "one for all": (body("return ONE") + "\nONE = Net(2)", "returns the same network in each call"),
    "another each time": (
        body("return Net(targets) if torch.rand(()) < 0 or COUNT.pop() else "
             "nn.Sequential(nn.Flatten(), nn.Linear(200, targets))") + "\nCOUNT = [0, 1]",
        "builds another network in a second call",
    ),
    "double": (body("return Net(targets).double()"), "'conv.weight' is of type torch.float64"),
    "on meta": (body("return Net(targets).to('meta')"), "'conv.weight' is on the device 'meta'"),
    "nothing to learn": (body("return Net(targets).requires_grad_(False)"), "without a weight"),
    "infinite": (
        forward("return 0", init="self.register_buffer('mask', torch.tensor(-torch.inf))"),
        "'mask' has numbers that are NaN or infinite; register a constant",
    ),
    "state that is no tensor": (
        HEAD + "class Other(Net):\n    def get_extra_state(self): return {}\n"
        "def build(targets, window_bp): return Other(targets)",
        "state_dict has '_extra_state' of type dict",
    ),
    "a name of BioQ's": (
        forward("return 0", init="self.architecture = nn.Linear(1, 1)"),
        "an attribute 'architecture', which is the name of one of BioQ's",
    ),
    "forward raises": (forward("x = 1", "return x.y"), ":20: forward(windows (3, 4, 50)) raises A"),
    "a tuple": (forward("return super().forward(windows), 1"), "returns a tuple for 3 windows;"),
    "too few targets": (
        body("return Net(1)"),
        "returns torch.float32 of shape (3, 1) for 3 windows; expected logits of shape (3, 2)",
    ),
    "whole numbers": (forward("return super().forward(windows).long()"), "returns torch.int64 of"),
    "other things in training": (
        forward("y = super().forward(windows)", "return (y, y) if self.training else y"),
        "returns a tuple for 2 windows while training",
    ),
    "NaN": (
        forward("return super().forward(windows) * torch.nan"),
        "NaN or infinite logits for a window of random bases",
    ),
    "NaN without bases": (
        forward("return super().forward(windows) / windows.sum(dim=(1, 2))[:, None]"),
        "NaN or infinite logits for a window of unknown bases",
    ),
    "dropout in eval mode": (
        forward("return functional.dropout(super().forward(windows))"),
        "other logits in a second call in eval mode; use nn.Dropout",
    ),
    "of the batch": (
        forward("x = super().forward(windows)", "return x - x.mean(dim=0)"),
        "the logits of a window depend on the other windows of the batch",
    ),
    "statistics of the batch": (
        forward(
            "return self.norm(super().forward(windows))",
            init="self.norm = nn.BatchNorm1d(targets, track_running_stats=False)",
        ),
        "raises ValueError: Expected more than 1 value per channel",
    ),
    "numbers that are not saved": (
        forward(
            "return super().forward(windows) @ self.random", init="self.random = torch.randn(2, 2)"
        ),
        "numbers outside of its state_dict that differ in the next call",
    ),
    "probabilities": (
        forward("return super().forward(windows).sigmoid()"),
        "ends with a sigmoid; expected logits: return the numbers before the sigmoid",
    ),
    "probabilities in another shape": (
        forward("return super().forward(windows)[:, :, None].softmax(dim=1).squeeze(2)"),
        "ends with a softmax",
    ),
    "an idle weight": (
        forward("return super().forward(windows)", init="self.idle = nn.Linear(2, 2)"),
        "weight 'idle.weight' has no effect on the logits while training",
    ),
    "no gradient": (forward("return super().forward(windows).detach()"), "has no effect on the l"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_a_network_that_cannot_be_trained_is_refused(
    masked_data: Dataset, tmp_path: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BioqError) as raised:
        check(tmp_path, text)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    command = ["train", str(masked_data.path), "--model", written(tmp_path, text)]
    assert main([*command, "--out", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.startswith(f"bioq: {tmp_path / 'net.py'}:")
    assert not (tmp_path / "run").exists()


def test_a_last_batch_of_one_window_is_tried(tmp_path: Path) -> None:
    text = forward(
        "return self.norm(super().forward(windows))", init="self.norm = nn.BatchNorm1d(targets)"
    )
    check(tmp_path, text)
    with pytest.raises(BioqError, match="Expected more than 1 value per channel when training"):
        check(tmp_path, text, smallest_batch=1)


def test_outputs_start_at_the_positive_rates_of_a_layer_output(
    masked_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    positives, windows = masked_data["train"].positives(), len(masked_data["train"])
    rates = (positives + 1) / (windows + 2)
    settings = ["--epochs", "1", "--lr", "1e-9", "--batch-size", "40"]
    flat = body("return nn.Sequential(nn.Flatten(), nn.Linear(800, targets))")
    for text, name, starts in ((WORKS["plain"], "named", True), (flat, "flat", False)):
        command = ["train", str(masked_data.path), "--model", written(tmp_path, text)]
        assert main([*command, "--out", str(tmp_path / name), *settings]) == 0
        network = bioq.load(tmp_path / name).network
        bias = (network.output if starts else network[1]).bias  # type: ignore[index]
        at_rates = torch.allclose(bias.detach().sigmoid(), torch.tensor(rates).float(), atol=1e-4)
        assert at_rates is starts
        assert ("outputs start at one half" in capsys.readouterr().err) is not starts
    assert main([*command, "--out", str(tmp_path / "x"), "--output-bias"]) == 2
    assert "has no layer 'output' with a bias per target" in capsys.readouterr().err


def test_weights_that_are_tied_are_saved_and_read(masked_data: Dataset, tmp_path: Path) -> None:
    text = forward(
        "x = self.again(self.conv(windows).transpose(1, 2)).transpose(1, 2)",
        "return self.output(self.twice(x.transpose(1, 2)).amax(dim=1))",
        init="self.again = nn.Linear(3, 3); self.twice = nn.Linear(3, 3);"
        " self.twice.weight = self.again.weight",
    )
    config = bioq.TrainConfig(epochs=2, batch_size=8)
    runs = [tmp_path / "run", tmp_path / "from"]
    bioq.train(masked_data, runs[0], model=written(tmp_path, text), config=config)
    weights = bioq.load(runs[0]).network.state_dict()
    assert torch.equal(weights["again.weight"], weights["twice.weight"])
    bioq.train(masked_data, runs[1], from_run=runs[0], config=config)
    weights = bioq.load(runs[1]).network.state_dict()
    assert torch.equal(weights["again.weight"], weights["twice.weight"])


def test_a_network_of_bioq_in_a_file_has_no_fast_path(tmp_path: Path) -> None:
    """Its layers may be other than those that the fast path computes."""
    text = (
        "from bioq.models import build_model\nfrom torch import nn\n"
        "def build(targets, window_bp):\n"
        "    sizes = {'filters': 4, 'lstm_units': 3, 'dense_units': 4}\n"
        "    network = build_model('danq', targets=targets, window_bp=window_bp, sizes=sizes)\n"
        "    network.pool = nn.AvgPool1d(13)\n    return network\n"
    )
    network = build_from_source(read_source(written(tmp_path, text)), targets=2, window_bp=200)
    plain = bioq.build_model(
        "danq", targets=2, window_bp=200, sizes={"filters": 4, "lstm_units": 3, "dense_units": 4}
    )
    assert paths_of(network) is None
    assert paths_of(plain) is not None
    windows = torch.nn.functional.one_hot(torch.randint(4, (3, 200)), 4).transpose(1, 2).float()
    with torch.no_grad():
        expected = network.eval()(windows).sigmoid()
    got = bioq.predict(network, windows.numpy(), strands="forward")
    torch.testing.assert_close(torch.from_numpy(got), expected, rtol=0, atol=1e-6)


def test_names_of_files_are_told_from_names_of_models_and_addresses() -> None:
    assert [names_source(name) for name in ("a.py:f", "x/a.py", "a.py:", "danq", "hf:o/n")] == [
        *(True, True, True, False, False)
    ]
    for name in ("net.py", "net.py:", "net.py:a b", "net.py:1", "net.txt.py:a.b"):
        with pytest.raises(UsageError, match=r"expected FILE\.py:FUNCTION"):
            read_source(name)


def test_a_file_is_executed_once_and_a_changed_file_again(tmp_path: Path) -> None:
    counted = "import builtins\nbuiltins.executed = getattr(builtins, 'executed', 0) + 1\n"
    import builtins

    for number, text in enumerate((WORKS["plain"], WORKS["plain"], WORKS["plain"] + "\n"), 1):
        source = read_source(written(tmp_path, counted + text))
        for _ in range(2):
            build_from_source(source, targets=2, window_bp=50)
        assert module_name(source.sha256) in sys.modules
        assert builtins.executed == max(1, number - 1)  # type: ignore[attr-defined]
    del builtins.executed  # type: ignore[attr-defined]


def test_a_network_of_a_file_is_a_plain_module(tmp_path: Path) -> None:
    network = build_from_source(
        read_source(written(tmp_path, WORKS["plain"])), targets=2, window_bp=50
    )
    assert isinstance(network, nn.Module)
    assert set(network.architecture) == {  # type: ignore[arg-type]
        *("name", "targets", "window_bp", "sizes", "source_sha256")
    }


def test_another_file_is_another_model_though_its_weights_are_equal(tmp_path: Path) -> None:
    texts = (WORKS["plain"], WORKS["plain"].replace("amax", "mean"))
    networks = [
        build_from_source(read_source(written(tmp_path, text)), targets=2, window_bp=50)
        for text in texts
    ]
    networks[1].load_state_dict(networks[0].state_dict())
    assert fingerprint(networks[0], None) != fingerprint(networks[1], None)
    assert fingerprint(nn.ModuleList(networks[:1]), None) != fingerprint(
        nn.ModuleList(networks[1:]), None
    )
