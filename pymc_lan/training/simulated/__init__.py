"""Training on simulations."""
