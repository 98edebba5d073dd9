"""Training: proposals, tasks, one pure step and the loop around it. No registry, no PyMC."""
