"""A network that a user has written: one Python file with a function that builds it.

Building the network executes the file. `runs.network` asks first if the file is of a run.
"""

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bioq.errors import BioqError, UsageError, reason_of, shown
from bioq.files.inside import read_kept
from bioq.files.near import near_path
from bioq.models import MOST_WEIGHTS

FORM = "FILE.py:FUNCTION"
MOST_BYTES = 1 << 20
"""Bytes of a file that builds a network: 20,000 lines."""
KEPT_TYPES = {
    torch.float32: "F32",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Type of numbers that a safetensors file of weights may have -> its name in the file."""


@dataclass(frozen=True)
class Source:
    """A file, and the function in it that builds a network."""

    name: str
    """Name of the file and function, such as `my_net.py:build`."""
    file: Path
    """The path of the file, for messages."""
    content: bytes

    @property
    def function(self) -> str:
        return self.name.rpartition(":")[2]

    @property
    def lines(self) -> int:
        return len(self.content.splitlines())

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def names_source(model: str) -> bool:
    """Return whether the name of a model names a file."""
    return model.endswith(".py") or ".py:" in model


def read_source(model: str) -> Source:
    """Read the file that `model`, such as `nets/my_net.py:build`, names; nothing is executed.

    Raises UsageError for another form, BioqError for a file that cannot be read.
    """
    path, _, function = model.rpartition(":") if ":" in model else (model, "", "")
    file = Path(path)
    if file.suffix != ".py" or not function.isidentifier():
        raise UsageError(
            f"model {shown(model)}: expected {FORM}, the name of the function that builds the "
            "network behind its file, such as my_net.py:build"
        )
    real = Path(os.path.realpath(file))  # a link that the user names is followed
    if not real.exists():
        raise BioqError(
            f"{file}: no such file; {near_path(file)}expected a Python file with a function "
            f"{function}"
        )
    content = read_kept(real.parent, real.name, "name a file")
    return checked_source(f"{file.name}:{function}", file, content)


def checked_source(name: str, file: Path, content: bytes) -> Source:
    """Return a source. Raises BioqError for a file that is too large."""
    if len(content) > MOST_BYTES:
        raise BioqError(
            f"{file}: has {len(content):,} bytes; the file of a network has at most {MOST_BYTES:,}"
        )
    return Source(name, file, content)


def build_from_source(source: Source, *, targets: int, window_bp: int) -> nn.Module:
    """Execute a file, unless this process has done so, and build the network.

    The network has random weights from PyTorch's global generator. Layers that get their sizes from
    their first input (nn.Lazy...) have got them. Its attribute `architecture` is the entry `model`
    of a run's `config.json`. Raises BioqError, which names the line of the file, if the file or the
    function fails, and for a network that cannot be trained and saved.
    """
    network = calling(source, _function(source), targets, window_bp)
    call = f"{source.file}: {source.function}({targets}, {window_bp})"
    if not isinstance(network, nn.Module):
        raise BioqError(
            f"{call} returns {_kind(network)}; expected a network, which is a torch.nn.Module"
        )
    if not isinstance(getattr(network, "architecture", {}), dict):
        raise BioqError(
            f"{call} returns a network with an attribute 'architecture', which is the name of one "
            "of BioQ's; give it another name"
        )
    if any(is_lazy(weight) for weight in network.parameters()):
        modes = [(layer, layer.training) for layer in network.modules()]
        with torch.no_grad():
            calling(source, network.eval(), torch.zeros(1, 4, window_bp))
        for layer, was_training in modes:
            layer.training = was_training
    _require_weights(network, call)
    network.architecture = {  # type: ignore[assignment]
        "name": source.name,
        "targets": targets,
        "window_bp": window_bp,
        "sizes": {},
        "source_sha256": source.sha256,
    }
    return network


def calling(source: Source, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a source or its network.

    Raises BioqError, which names the line of the file, for every exception.
    """
    shapes = ", ".join(
        f"windows {tuple(value.shape)}" if isinstance(value, Tensor) else str(value)
        for value in arguments
    )
    name = "forward" if isinstance(function, nn.Module) else source.function
    try:
        with _alone(source.file):
            return function(*arguments)
    except (Exception, SystemExit) as error:
        raise _raised(source, error, f"{name}({shapes})") from error


def _require_weights(network: nn.Module, call: str) -> None:
    """Raise BioqError for a network whose weights cannot be trained and saved."""
    weights: dict[str, Any] = network.state_dict()
    parameters = dict(network.named_parameters(remove_duplicate=False))
    for name, weight in weights.items():
        if not isinstance(weight, Tensor):
            raise BioqError(
                f"{call} returns a network whose state_dict has {shown(name)} of type "
                f"{type(weight).__name__}; expected tensors only"
            )
        allowed = (torch.float32,) if name in parameters else tuple(KEPT_TYPES)
        if weight.dtype not in allowed or weight.device.type != "cpu":
            found, expected = f"of type {weight.dtype}", ", ".join(map(str, allowed))
            if weight.dtype in allowed:
                found, expected = f"on the device '{weight.device}'", "the CPU"
            raise BioqError(
                f"{call} returns a network whose {shown(name)} is {found}; expected {expected}"
            )
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise BioqError(
                f"{call} returns a network whose {shown(name)} has numbers that are NaN or "
                "infinite; register a constant, such as a mask, with persistent=False"
            )
    total = sum(weight.numel() for weight in weights.values())
    if total > MOST_WEIGHTS:
        raise BioqError(
            f"{call} returns a network of {total:,} weights; expected at most {MOST_WEIGHTS:,}"
        )
    if not any(weight.requires_grad for weight in parameters.values()):
        raise BioqError(f"{call} returns a network without a weight that learns")


_MODULE = "bioq_network_"


def module_name(sha256: str) -> str:
    """Return the name of the module in `sys.modules` that an executed file is."""
    return f"{_MODULE}{sha256}"


def executed_modules() -> list[ModuleType]:
    """Return the files that this process has executed, as modules."""
    return [module for name, module in sys.modules.items() if name.startswith(_MODULE)]


def _function(source: Source) -> Callable[..., Any]:
    module = sys.modules.get(module_name(source.sha256)) or _execute(source)
    function = getattr(module, source.function, None)
    if not callable(function):
        raise BioqError(
            f"{source.file}: has no function {source.function}; expected 'def {source.function}"
            "(targets, window_bp):', which returns a torch.nn.Module"
        )
    return function  # type: ignore[no-any-return]


def _execute(source: Source) -> ModuleType:
    """Execute a file as a module."""
    name = module_name(source.sha256)
    try:
        code = compile(source.content, str(source.file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:  # ValueError: a NUL
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        message = error.msg if isinstance(error, SyntaxError) else reason_of(error)
        raise BioqError(f"{source.file}{line}: is not Python: {message}") from error
    module = ModuleType(name)
    module.__file__ = str(source.file)
    sys.modules[name] = module  # dataclasses and pickle look for the module of a class there
    try:
        with _alone(source.file):
            exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _raised(source, error, "it", code.co_filename) from error
    return module


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Import neither from the folder of a file nor from the folder in which the user works: a run
    keeps one file."""
    folders = {os.path.realpath(folder) for folder in (file.parent, ".")}
    before = list(sys.path)
    sys.path[:] = [folder for folder in before if os.path.realpath(folder) not in folders]
    try:
        yield
    finally:
        sys.path[:] = before


def _raised(
    source: Source, error: BaseException, what: str, filename: str | None = None
) -> BioqError:
    """Return the error of a file of the user's: its line, and what was raised there."""
    module = sys.modules.get(module_name(source.sha256))
    filename = filename or getattr(module, "__file__", None)
    line, at = None, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == filename:
            line = at.tb_lineno
        at = at.tb_next
    place = str(source.file) if line is None else f"{source.file}:{line}"
    if isinstance(error, BioqError):
        return type(error)(f"{place}: {error}")
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        top = error.name.partition(".")[0]
        beside = (source.file.parent, Path())
        if any((folder / each).exists() for folder in beside for each in (top, f"{top}.py")):
            return BioqError(
                f"{place}: imports {top}, another file; a run keeps one file: copy the code into "
                f"{source.file.name}, or install it as a package"
            )
        return BioqError(f"{place}: imports {top}, which is not installed here; install it")
    reason = reason_of(error) if isinstance(error, Exception) else str(error)
    return BioqError(f"{place}: {what} raises {type(error).__name__}: {reason}")


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
