"""What a model is: parameters, densities, labels, draws; no network, no PyMC."""
