"""The names of the models, their published sizes, and sizes of one's own. Does not import torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from bioq.errors import BioqError, UsageError


@dataclass(frozen=True)
class ModelSizes:
    """Sizes of a model; None keeps the published one."""

    filters: int | None = None
    """Filters of the first convolution; deepsea's others have 1.5 and 3 times as many."""
    filter_width: int | None = None
    """Positions that a filter spans; of the first convolution, bases."""
    pool_width: int | None = None
    """Positions that max pooling makes one of."""
    lstm_units: int | None = None
    """Units of the LSTM in each direction; deepsea has none."""
    lstm_layers: int | None = None
    """Layers of the LSTM; deepsea has none."""
    dense_units: int | None = None
    """Units of the fully connected layer before the targets."""
    dropout_conv: float | None = None
    """Share dropped after pooling, while training."""
    dropout_head: float | None = None
    """Share dropped before the fully connected layer, while training."""
    attention_units: int | None = None
    """Units of the attention, all heads together; deepatt has it."""
    attention_heads: int | None = None
    """Heads of the attention; deepatt."""
    composition_share: float | None = None
    """Share of the counts of 5-mers in the logits, 0 for none; marq."""


AS_PUBLISHED = ModelSizes()
"""Every size as published."""

PUBLISHED: Mapping[str, ModelSizes] = {
    # Conboy & Konka 2024
    "bioq": ModelSizes(320, 26, 13, 320, 2, 925, 0.2, 0.5),
    # Quang & Xie 2016, Methods
    "danq": ModelSizes(320, 26, 13, 320, 1, 925, 0.2, 0.5),
    "danq-jaspar": ModelSizes(1024, 30, 15, 512, 1, 925, 0.2, 0.5),
    # Zhou & Troyanskaya 2015, supplementary note on the architecture
    "deepsea": ModelSizes(320, 8, 4, None, None, 925, 0.2, 0.5),
    # Li et al. 2021, and model/model.py of the authors
    "deepatt": ModelSizes(1024, 30, 15, 512, 1, 100, 0.2, 0.2, 400, 4),
    # docs/experiments.md
    "marq": ModelSizes(64, 20, 20, 32, 1, 128, 0.2, 0.4, composition_share=0.3),
}
"""Published sizes of every model, by name; None where the model has no such part."""


def complete_sizes(name: str, sizes: ModelSizes) -> ModelSizes:
    """Return `sizes` with the published size of model `name` wherever it says None.

    Raises UsageError for an unknown model, a size that the model has no use for, an integer below
    1 or a share outside [0, 1).
    """
    if name not in PUBLISHED:
        raise UsageError(f"model {name!r} is unknown; choose one of {', '.join(PUBLISHED)}")
    published = PUBLISHED[name]
    chosen = asdict(published)
    for size, value in asdict(sizes).items():
        if value is None:
            continue
        if chosen[size] is None:
            raise UsageError(
                f"model {name} has no {size} (found {value}); "
                f"leave it out, or choose a model that has: {', '.join(_models_with(size))}"
            )
        chosen[size] = _checked(name, size, value)
    return ModelSizes(**chosen)


def sizes_from(values: Mapping[str, object]) -> ModelSizes:
    """Return the sizes in a mapping of names to values; raises UsageError for other names."""
    known = [field.name for field in fields(ModelSizes)]
    unknown = [name for name in values if name not in known]
    if unknown:
        raise UsageError(
            f"model size {unknown[0]!r} is unknown; the sizes of a model are {', '.join(known)}"
        )
    return ModelSizes(**values)  # type: ignore[arg-type]  # complete_sizes checks the values


def pooled_positions(window_bp: int, filter_width: int, pool_width: int) -> int:
    """Return the positions that a convolution and max pooling leave of a window.

    Raises BioqError if there is none.
    """
    positions = (window_bp - filter_width + 1) // pool_width
    if positions < 1:
        raise BioqError(
            f"window of {window_bp} bp is too short for this model; "
            f"expected at least {filter_width + pool_width - 1} bp: "
            "take longer windows, or a smaller filter_width or pool_width"
        )
    return positions


def _models_with(size: str) -> list[str]:
    return [name for name, sizes in PUBLISHED.items() if getattr(sizes, size) is not None]


def _checked(name: str, size: str, value: object) -> int | float:
    if size.startswith("dropout") or size.endswith("share"):
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1:
            return float(value)
        raise UsageError(f"model {name}: {size} is {value}; expected a share, 0 <= {size} < 1")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise UsageError(f"model {name}: {size} is {value}; expected a whole number of at least 1")
