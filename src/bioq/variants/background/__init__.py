"""The effects of many variants, with which alleles are compared."""
