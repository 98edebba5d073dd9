"""Tasks of perception, whose responses have no times: what an observer with noisy percepts answers."""
