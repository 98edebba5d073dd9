"""PyMC distributions; the only package here that builds PyMC variables."""
