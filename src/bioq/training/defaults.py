"""The model that is trained if the caller names none: it follows from the size of the data set."""

from dataclasses import asdict, dataclass, field, replace

from bioq.models.sizes import ModelSizes


@dataclass(frozen=True)
class DefaultModel:
    """A model and the training sets that it is the default for."""

    model: str
    sizes: ModelSizes = field(default_factory=ModelSizes)
    """Sizes that differ from the published ones."""
    from_windows: int = 0
    """Fewest training windows; the next row of `DEFAULT_MODELS` begins where this one ends."""


# marq is ahead of bioq in small sizes on each set that was measured, from 1,000 to 20,412 windows
# and from 1 to 399 targets; on 20,000 windows a wider marq is level with it (docs/training.md).
# Larger sets were not measured.
DEFAULT_MODELS = (DefaultModel("marq"),)
MEASURED_WINDOWS = 20_412
"""Most training windows of a set on which the default was compared with another model."""


def default_model(train_windows: int, sizes: ModelSizes) -> tuple[str, ModelSizes]:
    """Return the name and the sizes of the default model; the sizes that the caller gives win."""
    row = [row for row in DEFAULT_MODELS if train_windows >= row.from_windows][-1]
    given = {name: value for name, value in asdict(sizes).items() if value is not None}
    return row.model, replace(row.sizes, **given)
