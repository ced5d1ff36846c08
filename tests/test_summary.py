"""A summary says of a model what the model itself does."""

import matplotlib
import pytest
import torch
from matplotlib.patches import Rectangle
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bioq.models import ModelSizes, build_model
from bioq.models.families import PUBLISHED
from bioq.models.summary import summarise, with_memory
from bioq.plots.model import plot_architecture

WINDOW_BP = 400


def small_model(name, **changes):
    published = PUBLISHED[name]
    sizes = ModelSizes(
        filters=4,
        dense_units=5 if hasattr(published, "dense_units") else None,
        lstm_units=3 if hasattr(published, "lstm_units") else None,
        **changes,
    )
    return build_model(name, targets=2, window_bp=WINDOW_BP, sizes=sizes)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_add_up_to_the_models(name):
    model = small_model(name)
    weights = (*model.parameters(), *model.buffers())  # of a fitted layer
    expected = sum(weight.numel() for weight in weights)
    assert summarise(model).parameters == expected


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_summary_of_a_model_without_numbers_is_the_same(name):
    with torch.device("meta"):  # as `bioq summary` builds it
        on_meta = small_model(name)
    expected = summarise(small_model(name)).layers
    assert summarise(on_meta).layers == expected
    assert summarise(with_memory(on_meta)).layers == expected


def test_a_network_that_has_weights_keeps_them():
    model = small_model("danq")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    after = with_memory(model).state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_very_large_model_takes_no_memory():
    with torch.device("meta"):
        model = with_memory(build_model("danq", targets=10_000, sizes={"dense_units": 16_384}))
    assert {weight.device.type for weight in model.parameters()} == {"meta"}


@pytest.mark.parametrize(
    ("name", "changes"), [*((name, {}) for name in PUBLISHED), ("bioq", {"gates": "hard"})]
)
def test_flops_are_those_that_pytorch_counts(name, changes):
    # In double precision the LSTM is plain matrix products.
    model = small_model(name, **changes).double()
    with (
        torch.no_grad(),
        FlopCounterMode(display=False) as counter,
        sdpa_kernel(SDPBackend.MATH),  # attention as matrix products too
    ):
        model(torch.zeros(1, 4, WINDOW_BP, dtype=torch.float64))
    assert summarise(model).flops == counter.get_total_flops()


def test_hard_gates_and_a_floor_are_named():
    layers = summarise(small_model("danq", gates="hard")).layers
    kinds = {layer.layer: layer.kind for layer in layers}
    assert kinds["lstm"] == "bidirectional LSTM, 1 layer of 2 x 3, hard gates"
    assert kinds["conv"] == "convolution 4 x 26, ReLU"
    layers = summarise(small_model("deepsea", floor=1e-6)).layers
    kinds = {layer.layer: layer.kind for layer in layers}
    assert kinds["conv1"] == "convolution 4 x 8, ReLU with floor 1e-06"
    assert kinds["dense"] == "dense, ReLU with floor 1e-06"


def test_published_bioq_has_the_layers_of_the_paper():
    summary = summarise(build_model("bioq", targets=919))
    assert [(layer.layer, layer.output, layer.parameters) for layer in summary.layers] == [
        ("windows", (4, 1000), 0),
        ("conv", (320, 975), 33_600),
        ("pool", (320, 75), 0),
        ("drop_conv", (320, 75), 0),
        ("lstm", (75, 640), 1_643_520 + 2_462_720),
        ("drop_head", (75, 640), 0),
        ("dense", (925,), 44_400_925),
        ("output", (919,), 850_994),
    ]


def test_table_names_every_axis_and_ends_in_the_total():
    table = summarise(small_model("danq")).table()
    assert list(table.columns) == ["layer", "kind", "output", "parameters", "flops"]
    assert table["output"].tolist() == [
        "4 bases x 400 positions",
        "4 filters x 375 positions",
        "4 filters x 28 positions",
        "4 filters x 28 positions",
        "28 positions x 6 units",
        "28 positions x 6 units",
        "5 units",
        "2 targets",
        "",
    ]
    total = table.iloc[-1]
    assert total["layer"] == "total"
    assert total["parameters"] == table["parameters"][:-1].sum()


BRANCHES = {
    "conv": "windows",
    "pool": "conv",
    "norm": "pool",
    "drop_conv": "norm",
    "lstm": "drop_conv",
    "drop_head": "lstm",
    "output": "drop_head",
    "mean": "drop_head, output",
    "window": "drop_head",
    "composition": "windows",
    "logits": "mean, window, composition",
}


def test_the_branches_of_marq_are_those_of_its_forward_pass():
    summary = summarise(small_model("marq"))
    assert summary.has_branches
    table = summary.table().set_index("layer")["input"]
    assert table.drop(["windows", "total"]).to_dict() == BRANCHES
    assert table["windows"] == table["total"] == ""


def test_a_branch_that_is_left_out_is_not_in_the_summary():
    sizes = ModelSizes(filters=4, lstm_units=3, dense_units=5, composition_share=0)
    table = summarise(build_model("marq", targets=2, window_bp=200, sizes=sizes)).table()
    assert dict(zip(table["layer"], table["input"], strict=True))["logits"] == "mean, window"


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "marq"])
def test_a_chain_of_layers_has_no_column_of_inputs(name):
    summary = summarise(small_model(name))
    assert not summary.has_branches
    assert [layer.inputs for layer in summary.layers] == [
        (),
        *((number,) for number in range(len(summary.layers) - 1)),
    ]


def test_blocks_of_a_branch_are_beside_the_others():
    """The mean continues below the LSTM; window and composition each have their column."""
    figure = plot_architecture(summarise(small_model("marq")))
    blocks = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    middles = [round(block.get_x() + block.get_width() / 2, 6) for block in blocks]
    names = ["windows", *(name for name in BRANCHES if not name.startswith("drop"))]
    columns = {x: number for number, x in enumerate(sorted(set(middles)))}
    found = {name: columns[x] for name, x in zip(names, middles, strict=True)}
    assert {name: column for name, column in found.items() if column} == {
        "window": 1,
        "composition": 2,
    }


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("targets", [1, 919])
def test_the_picture_is_narrow_enough_for_a_phone(name, targets):
    with torch.device("meta"):
        model = build_model(name, targets=targets)
    assert plot_architecture(summarise(model)).get_size_inches()[0] <= 5.4


def test_a_summary_leaves_the_model_as_it_was():
    model = small_model("bioq").train()
    generator = torch.get_rng_state()
    model.drop_conv.eval()
    modes = [part.training for part in model.modules()]
    summarise(model)
    assert model.training
    assert [part.training for part in model.modules()] == modes
    assert not any(part._forward_hooks for part in model.modules())
    assert torch.equal(generator, torch.get_rng_state())


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_picture_holds_every_weight_and_shape_without_overlap(name):
    summary = summarise(small_model(name))
    figure = plot_architecture(summary)
    figure.canvas.draw()
    texts = [text for axes in figure.axes for text in axes.texts if text.get_text()]
    shown = "\n".join(text.get_text() for text in texts)
    for layer in summary.layers:
        if layer.parameters:
            assert f"{layer.parameters:,}" in shown
        assert f"{layer.output[-1]:,}" in shown
    boxes = [text.get_window_extent() for text in texts]
    for number, box in enumerate(boxes):
        assert figure.bbox.padded(1).fully_contains(*box.min), texts[number]
        assert figure.bbox.padded(1).fully_contains(*box.max), texts[number]
        for other in range(number):
            assert not box.overlaps(boxes[other]), (texts[number], texts[other])


def test_drawing_keeps_away_from_pyplot():
    before = matplotlib.rcParams["backend"]
    plot_architecture(summarise(small_model("danq")))
    assert matplotlib.rcParams["backend"] == before
