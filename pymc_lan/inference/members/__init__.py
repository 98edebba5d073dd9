"""`pymc_lan.informed`: members of a group on a scale on which they are all but standard normal.

`families` says which variables are members of a group, `groups` whose effects belong to one member, `plug_in` finds by
empirical Bayes what the data know of each, `conditional` writes the mean and the scale that follow as expressions of
the model, and `transform` puts them into a copy of it.
"""
