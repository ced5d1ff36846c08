"""Attribution: gradients against finite differences, complete, in eval mode, model unchanged."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from trained_run import TrainedRun

import bioq
from bioq import BioqError, ModelSizes, UsageError, dna
from bioq.cli import main
from bioq.dna.tensors import reverse_complement
from bioq.interpretation import expected_gradients, input_x_gradient, integrated_gradients
from bioq.models import build_model

TINY = ModelSizes(filters=8, filter_width=8, pool_width=10, lstm_units=4, dense_units=8)
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
    ),
]


SMALL = ModelSizes(filters=8, dense_units=8)


SIZES = {
    "bioq": ("bioq", TINY),
    "danq": ("danq", TINY),
    "danq, hard gates": ("danq", replace(TINY, gates="hard")),
    "deepsea": ("deepsea", SMALL),
    "deepsea, floor": ("deepsea", replace(SMALL, floor=1e-6)),
    "beluga": ("beluga", replace(SMALL, filter_width=4, pool_width=2)),
}


def make(name: str = "danq") -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    name, sizes = SIZES[name]
    model = build_model(name, targets=2, window_bp=200, sizes=sizes).eval()
    with torch.no_grad():  # fresh weights hardly tell windows apart
        for parameter in model.parameters():
            parameter.mul_(3)
    codes = torch.randint(0, 4, (3, 200))
    return model, nn.functional.one_hot(codes, 4).transpose(1, 2).float()


def mean_logit(model: nn.Module, windows: torch.Tensor, target: int) -> torch.Tensor:
    with torch.no_grad():
        return (model(windows) + model(reverse_complement(windows)))[:, target] / 2


def moved(windows: torch.Tensor, step: float = 1e-6) -> torch.Tensor:
    """Return a window `(4, length)` with each of its numbers a step up, then a step down."""
    steps = torch.eye(windows.numel()).view(-1, *windows.shape).to(windows) * step
    return torch.cat([windows + steps, windows - steps])


def finite_gradient(model: nn.Module, window: torch.Tensor, target: int) -> np.ndarray:
    """Return the gradient of a window's logit by central differences, `(4, length)`."""
    up, down = mean_logit(model, moved(window), target).chunk(2)
    return ((up - down) / 2e-6).view(window.shape).numpy()


@pytest.mark.parametrize("name", SIZES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    model, windows = make(name)
    model, windows = model.double(), windows[:1].double()
    result = input_x_gradient(model, windows, target=1)
    expected = finite_gradient(model, windows[0], 1)
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(result.gradient[0], expected, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(result.values, windows.numpy() * result.gradient)


@pytest.mark.parametrize("name", SIZES)
def test_integrated_gradients_are_the_mean_of_finite_differences(name: str) -> None:
    model, windows = make(name)
    model, windows = model.double(), windows[:1].double()
    baseline = torch.full_like(windows, 0.25)
    result = integrated_gradients(
        model, windows, target=0, baseline=baseline, steps=3, batch_size=2
    )
    mean = np.mean(
        [
            finite_gradient(model, (baseline + share * (windows - baseline))[0], 0)
            for share in (1 / 6, 1 / 2, 5 / 6)
        ],
        axis=0,
    )
    np.testing.assert_allclose(result.gradient[0], mean, atol=1e-6 * np.abs(mean).max())
    np.testing.assert_allclose(
        result.values, (windows - baseline).numpy() * result.gradient, rtol=1e-12
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", SIZES)
def test_integrated_gradients_are_complete_in_eval_mode(name: str, device: str) -> None:
    model, windows = make(name)
    model = model.to(device)
    result = integrated_gradients(model, windows, target=1, steps=300, batch_size=64)
    expected = mean_logit(model, windows.to(device), 1).cpu()
    np.testing.assert_allclose(result.logit, expected, atol=1e-5)
    np.testing.assert_allclose(
        result.baseline_logit,
        mean_logit(model, torch.zeros_like(windows).to(device), 1).cpu(),
        atol=1e-5,
    )
    difference = np.abs(result.logit - result.baseline_logit)
    assert difference.min() > 1e-3
    assert (np.abs(result.completeness_gap) < 0.02 * difference).all()


def test_the_completeness_gap_tells_of_too_few_steps() -> None:
    model, windows = make()
    gaps = [
        np.abs(integrated_gradients(model, windows, target=0, steps=n).completeness_gap).max()
        for n in (1, 256)
    ]
    assert gaps[1] < gaps[0] / 10


def test_a_linear_model_is_explained_exactly_from_any_baseline() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4 * 20, 2))
    windows, baseline = torch.rand(2, 4, 20), torch.rand(2, 4, 20)
    result = integrated_gradients(
        model, windows, target=1, baseline=baseline, steps=1, strands="forward"
    )
    weights = model[1].weight[1].detach().view(4, 20)
    np.testing.assert_allclose(result.values, (windows - baseline) * weights, atol=1e-6)
    np.testing.assert_allclose(result.completeness_gap, 0, atol=1e-5)


def test_the_model_is_as_before() -> None:
    model, windows = make()
    model.train()
    model.output.eval()  # type: ignore[operator,union-attr]
    model.output.bias.requires_grad_(False)  # type: ignore[union-attr]
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    needed = [parameter.requires_grad for parameter in model.parameters()]
    modes = [module.training for module in model.modules()]
    once, again = (input_x_gradient(model, windows, target=0).values for _ in range(2))
    np.testing.assert_array_equal(once, again)  # no dropout
    integrated_gradients(model, windows, target=0, steps=2)
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == needed
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, weights[name])


def test_wrong_windows_targets_and_steps_are_refused() -> None:
    model, windows = make()
    with pytest.raises(BioqError, match="windows are 100 bp long; this model reads"):
        input_x_gradient(model, windows[:, :, :100], target=0)
    with pytest.raises(UsageError, match="target 2; expected 0 to 1"):
        input_x_gradient(model, windows, target=2)
    with pytest.raises(UsageError, match="expected both or forward"):
        input_x_gradient(model, windows, target=0, strands="reverse")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="steps 0; expected at least 1"):
        integrated_gradients(model, windows, target=0, steps=0)
    with pytest.raises(BioqError, match=r"the baseline has shape \(1, 4, 200\)"):
        integrated_gradients(model, windows, target=0, baseline=windows[:1])


class FromLetters(nn.Module):
    """Its logits do not change with shares of bases: no gradient reaches the windows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        letters = windows.argmax(dim=1).float()
        return (letters * self.weight).mean(dim=1, keepdim=True).expand(-1, 2)


class DetachedInput(FromLetters):
    """The graph of its logits goes on, to a tensor that is not the windows."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return super().forward(windows) * torch.ones(1, requires_grad=True)


@pytest.mark.parametrize("kind", [FromLetters, DetachedInput])
@pytest.mark.parametrize("explain_windows", [integrated_gradients, input_x_gradient])
def test_a_network_without_a_gradient_of_the_windows_is_refused_in_one_line(
    kind: type[FromLetters], explain_windows: Any
) -> None:
    model, windows = kind(), make()[1]
    with pytest.raises(BioqError, match=r"no gradient of its logits .* argmax") as raised:
        explain_windows(model, windows, target=0)
    assert "\n" not in str(raised.value)
    assert model.weight.requires_grad


def explain(command: str, run: Path, *tokens: object) -> None:
    assert main([command, str(run), *map(str, tokens)]) == 0


HOW = {
    "expected gradients": [],
    "integrated gradients": ["--baseline", "zeros"],
    "input x gradient": ["--method", "input-x-gradient"],
}
FUNCTIONS = {
    "expected gradients": expected_gradients,
    "integrated gradients": integrated_gradients,
    "input x gradient": input_x_gradient,
}


@pytest.mark.parametrize("ending", [".npz", ".h5"])
@pytest.mark.parametrize("method", HOW)
def test_the_command_writes_what_the_library_says_of_every_base(
    trained: TrainedRun, tmp_path: Path, ending: str, method: str
) -> None:
    codes = np.random.default_rng(2).integers(0, 4, (2, 200)).astype(np.uint8)
    codes[1, 90:95] = dna.UNKNOWN
    fasta, out, table = tmp_path / "in.fa", tmp_path / f"out{ending}", tmp_path / "out.tsv"
    fasta.write_text(f">one\n{dna.decode(codes[0])}\n>two\n{dna.decode(codes[1])}\n")
    for file in (out, table):
        explain("attribution", trained.run, fasta, "--out", file, *HOW[method])
    if ending == ".npz":
        arrays = dict(np.load(out))
    else:
        with h5py.File(out) as file:
            arrays = {name: file[name][:] for name in file}
    np.testing.assert_array_equal(arrays["codes"], codes)
    np.testing.assert_array_equal(arrays["position"], [range(200)] * 2)
    rows = pd.read_csv(table, sep="\t")
    assert list(rows["position"]) == [*range(200), *range(200)]
    assert "".join(rows["base"]) == dna.decode(codes[0]) + dna.decode(codes[1])
    windows = torch.from_numpy(dna.one_hot(codes))
    for number, name in enumerate(trained.motifs):
        result = FUNCTIONS[method](bioq.load(trained.run), windows, target=number)
        np.testing.assert_allclose(
            arrays["hypothetical"][:, :, :, number], result.hypothetical, atol=1e-5
        )
        np.testing.assert_allclose(
            rows[f"contribution:{name}"].to_numpy().reshape(2, 200),
            result.values.sum(axis=1),
            atol=1e-5,
        )
        np.testing.assert_allclose(arrays["logit"][:, number], result.logit, atol=1e-5)
        summed = rows[f"contribution:{name}"].to_numpy().reshape(2, 200).sum(axis=1)
        difference = arrays["logit"][:, number] - arrays["baseline_logit"][:, number]
        np.testing.assert_allclose(
            arrays["completeness_gap"][:, number], summed - difference, atol=1e-3
        )


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("mutagenesis", []),
        *(("attribution", options) for options in HOW.values()),
    ],
)
@pytest.mark.parametrize("target", ["first", "second"])
def test_the_bases_that_count_most_are_those_of_the_planted_motif(
    trained: TrainedRun, tmp_path: Path, command: str, options: list[str], target: str
) -> None:
    motif = trained.motifs[target]
    bases = dna.decode(np.random.default_rng(4).integers(0, 4, 200).astype(np.uint8))
    bases = bases[:95] + motif + bases[95 + len(motif) :]
    fasta, out = tmp_path / "in.fa", tmp_path / "out.tsv"
    fasta.write_text(f">s\n{bases}\n")
    explain(command, trained.run, fasta, "--out", out, "--targets", target, *options)
    table = pd.read_csv(out, sep="\t")
    sign = -1 if command == "mutagenesis" else 1
    score = "effect" if command == "mutagenesis" else "contribution"
    counts = sign * table.groupby("position")[f"{score}:{target}"].mean()
    inside = counts.loc[95 : 94 + len(motif)]
    outside = counts.drop(inside.index)
    assert inside.mean() > 10 * abs(outside).mean()
    assert set(counts.nlargest(5).index) <= set(inside.index)


@pytest.mark.parametrize("method", ["integrated gradients", "input x gradient"])
def test_a_region_of_the_opposite_strand_is_explained_at_the_letters_of_the_genome(
    trained: TrainedRun, tmp_path: Path, method: str
) -> None:
    """As if the opposite strand were the genome, with positions and letters mapped back."""
    codes = np.random.default_rng(6).integers(0, 4, 500).astype(np.uint8)
    rows = {}
    for name, bases, line in (
        ("minus", codes, "chr1\t200\t240\tx\t0\t-"),
        ("plus", dna.reverse_complement(codes), "chr1\t260\t300\tx\t0\t+"),
    ):
        genome, bed, out = (tmp_path / f"{name}{ending}" for ending in (".fa", ".bed", ".npz"))
        genome.write_text(f">chr1\n{dna.decode(bases)}\n")
        bed.write_text(line + "\n")
        tokens = [bed, "--genome", genome, "--out", out, "--strands", "forward"]
        explain("attribution", trained.run, *tokens, *HOW[method], "--steps", 8)
        rows[name] = np.load(out)
    minus, plus = rows["minus"], rows["plus"]
    hypothetical = np.concatenate(list(plus["hypothetical"]), axis=1)[::-1, ::-1]
    np.testing.assert_allclose(
        np.concatenate(list(minus["hypothetical"]), axis=1), hypothetical, atol=1e-5
    )
    assert minus["position"].ravel().tolist() == list(range(200, 240))
    assert minus["codes"].ravel().tolist() == codes[200:240].tolist()
    np.testing.assert_allclose(minus["logit"], plus["logit"], atol=1e-5)
    assert np.abs(hypothetical - hypothetical[::-1, ::-1]).max() > 1e-3


def test_too_few_steps_are_said_with_the_number_to_try(
    trained: TrainedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    motif = trained.motifs["first"]
    fasta, out = tmp_path / "in.fa", tmp_path / "out.npz"
    bases = dna.decode(np.random.default_rng(4).integers(0, 4, 200).astype(np.uint8))
    fasta.write_text(f">s\n{bases[:95]}{motif}{bases[95 + len(motif) :]}\n")
    gaps = []
    for steps in ("1", "128"):
        tokens = ["--out", out, "--steps", steps, "--baseline", "zeros", "--force"]
        explain("attribution", trained.run, fasta, *tokens)
        arrays = np.load(out)
        difference = np.abs(arrays["logit"] - arrays["baseline_logit"])
        share = np.abs(arrays["completeness_gap"]) / np.maximum(difference, 1)
        printed = capsys.readouterr().err.splitlines()
        gaps.append(share.max())
        row = np.unravel_index(share.argmax(), share.shape)
        assert f"completeness gap at most {abs(arrays['completeness_gap'][row]):.2g} " in printed[0]
        assert f"{share.max() * max(difference[row], 1) / difference[row]:.1%}" in printed[0]
        if share.max() > 0.05:
            assert f"above 5% in {(share > 0.05).sum()} of 2 windows and targets" in printed[1]
            assert re.search(r"; try --steps \d+$", printed[1])
        else:
            assert len(printed) == 1
    assert gaps[1] < 0.05 < gaps[0]


def test_a_variant_is_attributed_with_both_alleles_in_a_figure(
    trained: TrainedRun, tmp_path: Path
) -> None:
    genome, out, figure = (tmp_path / name for name in ("g.fa", "out.parquet", "out.svg"))
    bases = dna.decode(np.random.default_rng(6).integers(0, 4, 500).astype(np.uint8))
    genome.write_text(f">chr1\n{bases}\n")
    what = f"chr1:251:{bases[250:253]}>{bases[250]}"
    tokens = [what, "--genome", genome, "--out", out, "--figure", figure, "--targets", "first"]
    explain("attribution", trained.run, *tokens, "--steps", 8)
    table = pd.read_parquet(out)
    wild, mutant = (part for _, part in table.groupby("name", sort=False))
    assert "".join(wild["base"]) == "".join(bases[position] for position in wild["position"])
    assert "".join(mutant["base"]) == "".join(bases[position] for position in mutant["position"])
    assert set(wild["position"]) - set(mutant["position"]) == {251, 252}
    arrays = tmp_path / "out.npz"
    explain("attribution", trained.run, *tokens[:3], "--out", arrays, *tokens[-2:], "--steps", 2)
    ref, alt = np.load(arrays)["baseline_logit"]
    assert ref == pytest.approx(alt, abs=1e-5), "both are compared with the same copies"
    assert f"first\nchr1:{wild['position'].min() + 1}" in comments(figure.read_text())


def comments(svg: str) -> str:
    """Return the texts of an SVG: matplotlib writes each as a comment beside its outlines."""
    return "\n".join(re.findall(r"<!-- (.*?) -->", svg))


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["--steps", "0"], "--steps 0, expected 1 or more"),
        (["--method", "gradients"], "--method"),
        *(
            (["--baseline", text], f"--baseline {text!r}: expected shuffled:K, K copies, such as")
            for text in ("shuffled", "shuffled:0", "shuffled:-1", "shuffled:2.5", "uniform", "")
        ),
        (["--out", "out.npz", "--out", "out.npz"], "out.npz: is given twice"),
        (["--out", "a.png", "--out", "b.svg"], "--out b.svg is a second figure; give one"),
        (["--out", "out.bw"], "out.bw: bigWig needs positions on a genome; give regions (BED) and"),
        (["--out", "o.modisco", "--span-bp", "20"], "tfmodisco-lite needs at least 50 bases"),
        (["--out", "s.bed", "--motifs", "JASPAR1999"], "JASPAR release 'JASPAR1999' is unknown"),
        (["--targets", "third"], "third"),
        (["--out", "out.csv"], "expected a name that ends in .npz"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    trained: TrainedRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tokens: list[str],
    message: str,
) -> None:
    fasta = tmp_path / "in.fa"
    fasta.write_text(f">s\n{'ACGT' * 50}\n")
    out = [] if "--out" in tokens else ["--out", str(tmp_path / "out.npz")]
    assert main(["attribution", str(trained.run), str(fasta), *out, *tokens]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("bioq: ") == 1
    assert error.splitlines()[-1].startswith("bioq: ")
    assert not (tmp_path / "out.npz").exists()
