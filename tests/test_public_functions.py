"""Every public function refuses what it does not take, in one line, and changes nothing."""

import copy
import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from public_cases import ELSEWHERE, Case, World, cases, make_world, public_functions
from torch import nn

import bioq
from bioq.builders.simulation.build import SimulationOptions, simulate

FUNCTIONS = public_functions()
CALLED = sorted(set(FUNCTIONS) - set(ELSEWHERE))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    simulate(folder / "data", SimulationOptions(contig_bp=20_000, seed=1))
    return make_world(folder, bioq.open_dataset(folder / "data"))


def test_every_public_function_has_a_case(world: World, tmp_path: Path) -> None:
    assert set(cases(world, tmp_path)) == set(CALLED)
    assert set(ELSEWHERE) <= set(FUNCTIONS)


@pytest.mark.parametrize("name", CALLED)
def test_every_argument_has_a_case(world: World, tmp_path: Path, name: str) -> None:
    case = cases(world, tmp_path)[name]
    assert set(inspect.signature(FUNCTIONS[name]).parameters) == {*case.arguments, *case.kept}


@pytest.mark.parametrize("name", CALLED)
def test_what_is_refused_is_one_line_and_changes_nothing(
    world: World, tmp_path: Path, name: str
) -> None:
    case, call = case_of(name, world, tmp_path)
    honest = {key: argument.value for key, argument in case.arguments.items()}
    for key, argument in case.arguments.items():
        for wrong in argument.refused:
            before = snapshot(honest)
            arguments = {**honest, key: copy.deepcopy(wrong) if is_data(wrong) else wrong}
            given = snapshot(arguments)
            with pytest.raises(bioq.BioqError) as error:
                call(**arguments)
                pytest.fail(f"{key}={wrong!r} was taken")
            line = str(error.value)
            assert line, (key, wrong)
            assert "\n" not in line, (key, line)
            assert len(line) < 700, (key, line)
            assert_equal(snapshot(honest), before)
            assert_equal(snapshot(arguments), given)


@pytest.mark.parametrize("name", CALLED)
def test_what_is_taken_in_another_form_gives_the_same_and_changes_nothing(
    world: World, tmp_path: Path, name: str
) -> None:
    case, call = case_of(name, world, tmp_path)
    if case.is_slow:
        return
    honest = {key: argument.value for key, argument in case.arguments.items()}
    before = snapshot(honest)
    expected = call(**honest)
    assert_equal(snapshot(honest), before)
    for key, argument in case.arguments.items():
        for other in argument.equal:
            given = snapshot({**honest, key: other})
            result = call(**{**honest, key: other})
            assert_equal(result, expected, f"{key}={other!r}", atol=1e-5)
            assert_equal(snapshot({**honest, key: other}), given)


def case_of(name: str, world: World, folder: Path) -> tuple[Case, Callable[..., Any]]:
    case = cases(world, folder)[name]
    return case, case.call or FUNCTIONS[name]


def is_data(value: object) -> bool:
    return isinstance(value, np.ndarray | list | dict)


def snapshot(arguments: dict[str, Any]) -> list[Any]:
    """Return copies of the arguments, and the state of PyTorch and NumPy."""
    state = [
        torch.get_rng_state().clone(),
        np.random.get_state()[1].copy(),  # noqa: NPY002 the global state must not change
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.enabled,
    ]
    return [*state, *(copied(value) for value in arguments.values())]


def copied(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return model_state(value)
    if isinstance(value, torch.Tensor):
        kept = None if value.is_meta or value.layout != torch.strided else value.detach().clone()
        return kept, value.dtype, value.requires_grad, value.grad, str(value.device), value.shape
    if isinstance(value, np.ndarray):
        return value.copy(), value.dtype, value.strides, value.flags.writeable
    return value


def model_state(model: nn.Module) -> list[Any]:
    """Return everything of a model that a call may not change."""
    state: list[Any] = []
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        is_lazy = torch.nn.parameter.is_lazy(tensor)
        values = None if is_lazy or tensor.is_meta else tensor.detach().clone()
        where = None if is_lazy else (tensor.data_ptr(), tensor._version)
        state.append((name, id(tensor), values, where, str(tensor.device), tensor.dtype))
        state.append((tensor.requires_grad, tensor.grad))
    for layer in model.modules():
        hooks = [list(getattr(layer, kind)) for kind in sorted(vars(layer)) if "_hooks" in kind]
        state.append((id(layer), layer.training, hooks))
    return state


def assert_equal(found: Any, expected: Any, about: str = "", *, atol: float = 0.0) -> None:
    """Compare results that may be nested; `atol` for floats."""
    if dataclasses.is_dataclass(expected):
        fields = [field.name for field in dataclasses.fields(expected)]
        found, expected = ([getattr(one, name) for name in fields] for one in (found, expected))
    if isinstance(expected, torch.Tensor):
        found, expected = found.detach().numpy(), expected.detach().numpy()
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected, atol=atol)
    elif isinstance(expected, np.ndarray):
        assert found.shape == expected.shape, about
        if expected.dtype.kind in "fc" and atol:
            np.testing.assert_allclose(found, expected, atol=atol, err_msg=about)
        else:
            np.testing.assert_array_equal(found, expected, about)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), about
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other, about, atol=atol)
    elif isinstance(expected, dict):
        assert set(found) == set(expected), about
        assert_equal(list(found.values()), list(expected.values()), about, atol=atol)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=atol, nan_ok=True), about
    else:
        assert found is expected or found == expected, about
