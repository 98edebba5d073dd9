"""The compiled likelihood: value and derivatives of all trials in one pass."""
