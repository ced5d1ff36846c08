"""The defaults of `bioq train` that follow from the recipe and the model, for its help."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from bioq.models import ModelSizes
from bioq.models.families import FAMILIES, PUBLISHED
from bioq.options import flag_of
from bioq.training.plan import DEFAULT_MODEL
from bioq.training.recipes import RECIPES, TrainConfig

_FIELD_OF = {"lr": "learning_rate"}
"""Option -> field of the recipe, where the names differ."""


def training_defaults() -> dict[str, str]:
    """Return {flag: its default as text} of the options whose default is not one value.

    The values of the default model come first; of the recipes those that `auto` takes.
    """
    auto = dict.fromkeys(["small", "large", *(family.small_recipe for family in FAMILIES)])
    recipes = {name: asdict(RECIPES[name]) for name in _default_first(auto)}
    models = {name: asdict(PUBLISHED[name]) for name in _default_first(PUBLISHED)}
    of_options = {
        flag_of(field.name): _by_value("--recipe", recipes, _FIELD_OF.get(field.name, field.name))
        for field in fields(TrainConfig)
    }
    of_sizes = {
        flag_of(field.name): _by_value("--model", models, field.name)
        for field in fields(ModelSizes)
    }
    return {flag: text for flag, text in (of_options | of_sizes).items() if text}


def _default_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: name != DEFAULT_MODEL)


def _by_value(option: str, values: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """Return `by --recipe: 0.004 (marq), 0.001 (small, large)`; empty if nothing has `name`."""
    names: dict[str, list[str]] = {}
    for owner, options in values.items():
        if name in options:
            value = options[name]
            text = f"{value:g}" if isinstance(value, float) else str(value).lower()
            names.setdefault(text, []).append(owner)
    if not names:
        return ""
    return f"by {option}: " + ", ".join(f"{text} ({', '.join(of)})" for text, of in names.items())
