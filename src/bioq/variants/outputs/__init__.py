"""The outputs of scored alleles: what they contain, and each format."""
