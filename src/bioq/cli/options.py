"""How commands take options: those of a dataclass as flags, and the device."""

from typing import Annotated

from cyclopts import Parameter

FLAGS = Parameter(name="*")
"""Every field of a dataclass is a flag."""
Device = Annotated[
    str | None,
    Parameter(
        help="cpu, cuda, cuda:1 or mps; by default the first CUDA card, or the CPU if there is no "
        "card."
    ),
]
