"""BioQ predicts chromatin targets, such as binding and open chromatin, from DNA sequence.

Examples:
    >>> import bioq
    >>> data = bioq.open_dataset("yeast")                                     # doctest: +SKIP
    >>> bioq.train(data, "run", model="bioq", config=bioq.TrainConfig())      # doctest: +SKIP
    >>> bioq.evaluate("run", data, split="test")                              # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bioq.errors import BioqError, UsageError

if TYPE_CHECKING:
    from bioq.dataset import open_dataset as open_dataset
    from bioq.evaluation.fit_calibration import calibrate as calibrate
    from bioq.evaluation.scoring import evaluate as evaluate
    from bioq.forward import predict as predict
    from bioq.models import ModelSizes as ModelSizes
    from bioq.models import build_model as build_model
    from bioq.published.import_model import import_model as import_model
    from bioq.reports.card import write_card as write_card
    from bioq.runs.ensemble import make_ensemble as make_ensemble
    from bioq.runs.trained_model import load as load
    from bioq.training.recipes import TrainConfig as TrainConfig
    from bioq.training.train import train as train
    from bioq.variants import VariantOptions as VariantOptions
    from bioq.variants import score_variants as score_variants

__version__ = "0.1.0"

# The module of each public name: imported at first use, so that `import bioq` never loads torch.
_HOME = {
    "ModelSizes": "bioq.models",
    "TrainConfig": "bioq.training.recipes",
    "VariantOptions": "bioq.variants",
    "build_model": "bioq.models",
    "calibrate": "bioq.evaluation.fit_calibration",
    "evaluate": "bioq.evaluation.scoring",
    "import_model": "bioq.published.import_model",
    "load": "bioq.runs.trained_model",
    "make_ensemble": "bioq.runs.ensemble",
    "open_dataset": "bioq.dataset",
    "predict": "bioq.forward",
    "score_variants": "bioq.variants",
    "train": "bioq.training.train",
    "write_card": "bioq.reports.card",
}

__all__ = ["BioqError", "UsageError", "__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bioq' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
