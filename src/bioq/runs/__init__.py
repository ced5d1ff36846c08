"""The run folder: a trained model, its weights, its configuration and its calibration."""
