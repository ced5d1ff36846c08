"""The models: one-hot windows in, logits out. They use no genome and no data set.

`family.Family` is the record that each model's file states; `families` collects them. Importing
this package does not import torch; building a model does.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bioq.errors import BioqError, UsageError
from bioq.models.sizes import AS_PUBLISHED, ModelSizes, sizes_from
from bioq.options import MOST_TARGETS, MOST_WINDOW_BP, of_type, text, whole_number

if TYPE_CHECKING:
    from torch import nn

__all__ = ["AS_PUBLISHED", "ModelSizes", "build_from_architecture", "build_model"]


MOST_WEIGHTS = 1 << 31
"""Weights of a network, 8 GiB; the largest of the published models has 2^27."""


def build_model(
    name: str,
    *,
    targets: int,
    window_bp: int | None = None,
    sizes: ModelSizes | Mapping[str, object] = AS_PUBLISHED,
) -> "nn.Module":
    """Build a model with PyTorch's default random weights (from torch's global generator).

    Args:
        name: Name of the model, such as `"marq"` or `"danq"`.
        targets: Number of targets.
        window_bp: Length of the windows; by default that of the published network: 2,000 bp for
            beluga, 1,000 bp for the others.
        sizes: Sizes that differ from the published ones.

    Returns:
        A model that takes float one-hot `(batch, 4, window_bp)`, in the order A, C, G, T, and
        returns logits `(batch, targets)`. Its attribute `architecture` is a dict of JSON values,
        the arguments of this function that build the same network again.

    Raises:
        UsageError: For an unknown name, a size that the model does not have, and a number that is
            not whole or out of range.
        BioqError: For a window that is too short and for more than MOST_WEIGHTS weights, before
            memory is taken.
    """
    import torch

    from bioq.models.families import complete_sizes, family_named
    from bioq.models.family import Architecture

    text("name", name)
    targets = whole_number(f"model {name}: targets", targets, least=1, most=MOST_TARGETS)
    family = family_named(name)
    window_bp = family.window_bp if window_bp is None else window_bp
    window_bp = whole_number(f"model {name}: window_bp", window_bp, least=1, most=MOST_WINDOW_BP)
    kinds = (ModelSizes, Mapping)
    of_type("sizes", sizes, kinds, "bioq.ModelSizes, or a mapping of sizes")
    changes = sizes if isinstance(sizes, ModelSizes) else sizes_from(sizes)
    architecture = Architecture(name, targets, window_bp, complete_sizes(name, changes))
    with torch.device("meta"):  # its layers, without memory for the weights
        outline = family.network(architecture)
    weights = sum(tensor.numel() for tensor in outline.state_dict().values())
    if weights > MOST_WEIGHTS:
        raise BioqError(
            f"model {name}: has {weights:,} weights in these sizes, expected at most "
            f"{MOST_WEIGHTS:,}; choose smaller sizes"
        )
    return outline if torch.get_default_device().type == "meta" else family.network(architecture)


def build_from_architecture(architecture: Mapping[str, object]) -> "nn.Module":
    """Build the network that a model's `architecture` describes, with random weights.

    Args:
        architecture: The attribute of a model of `build_model`, also from JSON.

    Returns:
        A model as of `build_model`.

    Raises:
        UsageError: Where a key is missing or unknown.
    """
    of_type("architecture", architecture, Mapping, "a mapping, the architecture of a model")
    expected = {"name", "targets", "window_bp", "sizes"}
    if set(architecture) != expected:
        raise UsageError(
            f"model architecture has the keys {', '.join(sorted(map(str, architecture)))}; "
            f"expected {', '.join(sorted(expected))}: use the BioQ that wrote it"
        )
    return build_model(**architecture)  # type: ignore[arg-type]  # JSON values, checked inside
