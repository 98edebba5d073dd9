"""Exact and nearly exact draws of processes."""
