"""Trials in and out: what users pass in, checked, as the matrix that likelihoods read."""
