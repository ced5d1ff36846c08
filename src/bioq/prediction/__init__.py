"""Probabilities for the windows of sequences and regions, written to a file."""

from bioq.prediction.files import predict_file
from bioq.prediction.predictor import PredictOptions

__all__ = ["PredictOptions", "predict_file"]
