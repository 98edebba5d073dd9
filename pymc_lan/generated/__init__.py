"""Scalar kernels with derivatives, one module per model, written by ``python -m pymc_lan.codegen``."""
