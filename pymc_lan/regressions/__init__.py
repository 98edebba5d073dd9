"""Hierarchical regressions: from formulas to an ordinary PyMC model."""
