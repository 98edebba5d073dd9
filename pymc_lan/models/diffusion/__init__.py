"""Diffusions between two boundaries."""
