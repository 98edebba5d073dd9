"""Closed-form parts with derivatives, a file of LLVM code per model, written by ``scripts/formulas.py``."""
