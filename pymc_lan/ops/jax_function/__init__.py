"""Functions written in JAX as parts of PyTensor graphs."""
