"""The models: one-hot windows in, logits out. They know no genome and no data set.

Importing this package does not import torch; building a model does.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bioq.errors import UsageError
from bioq.models.sizes import AS_PUBLISHED, PUBLISHED, ModelSizes, complete_sizes, sizes_from

if TYPE_CHECKING:
    from bioq.models.danq import DanQ
    from bioq.models.deepatt import DeepATT
    from bioq.models.deepsea import DeepSEA
    from bioq.models.marq import Marq

__all__ = ["AS_PUBLISHED", "PUBLISHED", "ModelSizes", "build_from_architecture", "build_model"]


def build_model(
    name: str,
    *,
    targets: int,
    window_bp: int = 1000,
    sizes: ModelSizes | Mapping[str, object] = AS_PUBLISHED,
) -> "DanQ | DeepSEA | DeepATT | Marq":
    """Build a model with PyTorch's default random weights (from torch's global generator).

    The model takes float one-hot `(batch, 4, window_bp)`, order A, C, G, T, and returns logits
    `(batch, targets)`. Its attribute `architecture` is a dict of JSON values: the arguments with
    which this function builds the same network again.

    Raises UsageError for an unknown name or a size that does not go with it, BioqError for a
    window that is too short.
    """
    from bioq.models.danq import DanQ
    from bioq.models.deepatt import DeepATT
    from bioq.models.deepsea import DeepSEA
    from bioq.models.marq import Marq

    families: Mapping[str, type[DanQ] | type[DeepSEA] | type[DeepATT] | type[Marq]] = {
        "bioq": DanQ,
        "danq": DanQ,
        "danq-jaspar": DanQ,
        "deepsea": DeepSEA,
        "deepatt": DeepATT,
        "marq": Marq,
    }
    wanted = sizes if isinstance(sizes, ModelSizes) else sizes_from(sizes)
    complete = asdict(complete_sizes(name, wanted))
    if targets < 1:
        raise UsageError(f"model {name}: targets is {targets}; expected at least 1")
    used: dict[str, Any] = {size: value for size, value in complete.items() if value is not None}
    model = families[name](targets=targets, window_bp=window_bp, **used)
    model.architecture = {"name": name, "targets": targets, "window_bp": window_bp, "sizes": used}
    return model


def build_from_architecture(
    architecture: Mapping[str, object],
) -> "DanQ | DeepSEA | DeepATT | Marq":
    """Build the network that a model's `architecture` describes, with random weights.

    Raises UsageError where a key is missing or unknown.
    """
    expected = {"name", "targets", "window_bp", "sizes"}
    if set(architecture) != expected:
        raise UsageError(
            f"model architecture has the keys {', '.join(sorted(architecture))}; "
            f"expected {', '.join(sorted(expected))}: use the BioQ that wrote it"
        )
    return build_model(**architecture)  # type: ignore[arg-type]  # JSON values, checked inside
