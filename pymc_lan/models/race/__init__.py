"""Races of accumulators: the first to finish decides."""
