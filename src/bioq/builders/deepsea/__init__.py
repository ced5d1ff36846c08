"""From DeepSEA's files to a data set."""
