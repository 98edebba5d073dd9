"""The bridge to PyTensor; the only package that builds Ops."""
