"""`pymc_lan.amortize`: a network that maps a subject's trials to their posterior, and draws that are checked.

`simulated` draws parameters and trials from a model, `trials` says what networks see of them, `values` on which scale
they answer, `networks` how they are evaluated, `backend` and `training` how they learn, `described` how a model travels
as data, `files` how all of it is stored, and `amortizer` what is done with it.
"""
