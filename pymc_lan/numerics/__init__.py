"""Formulas and solvers that know no model."""
