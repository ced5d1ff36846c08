"""Training a model on a data set."""
