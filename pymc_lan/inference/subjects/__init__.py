"""`pymc_lan.posteriors`: the posteriors of many subjects, each of them checked against its likelihood.

`tables` splits a table and builds a model of each part, `trace` says what differs between such models, `template` makes
one vectorised log density of all that differ in data alone, of operations that `arrays` has on whole arrays; `climb`
finds modes on it, `proposals` what to draw from, `verdicts` which draws are right, and `result` the object that is
returned.
"""
