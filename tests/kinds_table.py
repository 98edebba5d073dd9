"""What is expected of every kind of model and every operation: see `test_kinds`."""

from __future__ import annotations

LIKELIHOODS = """
              density numpy   no_press  omission  probabilities responses exact   labels
ddm           yes     yes     yes       yes       yes           times     yes     yes
ddm_sdv       yes     yes     yes       yes       yes           times     yes     yes
angle         yes     yes     yes       yes       yes           times     yes     yes
weibull       yes     yes     yes       yes       yes           times     open    yes
ornstein      yes     yes     yes       yes       yes           times     open    yes
full_ddm      yes     yes     yes       yes       yes           times     open    yes
lba2          yes     unknown no_drift  yes       unknown       times     yes     -
rdm3          yes     unknown no_drift  yes       unknown       times     yes     -
poisson_race  yes     unknown no_drift  yes       unknown       times     yes     -
race_3        yes     yes     no_drift  yes       uncounted     times     open    yes
levy          yes     yes     simulator yes       uncounted     times     open    -
lca_3         yes     yes     no_drift  yes       uncounted     times     open    -
oddity_2d     untimed untimed no_drift  untimed   yes           yes       open    -
responses     untimed untimed no_drift  untimed   yes           yes       open    -
own           nowhere nowhere nowhere   nowhere   nowhere       nowhere   open    yes
omissions     yes     yes     no_drift  yes       yes           times     open    -
imported      yes     yes     no_cpn    yes       uncounted     times     open    yes
with_cpn      yes     yes     yes       yes       yes           times     open    yes
with_opn      yes     yes     opn       yes       yes           times     open    yes
stranger      yes     yes     no_cpn    yes       uncounted     times     open    unlabelled
"""

FITS = """
              draw    predict start   initvals  train   measure check
ddm           yes     yes     yes     yes       yes     yes     yes
ddm_sdv       yes     yes     yes     yes       yes     yes     yes
angle         yes     yes     yes     yes       yes     yes     yes
weibull       yes     yes     yes     yes       yes     yes     yes
ornstein      yes     yes     yes     yes       yes     yes     yes
full_ddm      yes     yes     yes     yes       yes     yes     yes
lba2          yes     yes     yes     unplain   closed  unknown yes
rdm3          yes     yes     yes     unplain   closed  unknown yes
poisson_race  yes     yes     yes     unplain   closed  unknown yes
race_3        yes     yes     yes     unplain   yes     yes     yes
levy          yes     yes     yes     unplain   yes     yes     unsaid
lca_3         yes     yes     yes     unplain   yes     yes     unsaid
oddity_2d     yes     yes     yes     unseen    yes     yes     unsaid
responses     yes     yes     yes     unseen    yes     yes     unsaid
own           yes     nowhere nowhere nowhere   yes     nowhere nowhere
omissions     yes     yes     yes     unplain   yes     yes     unsaid
imported      yes     yes     yes     yes       refused yes    yes
with_cpn      yes     yes     yes     yes       refused yes    yes
with_opn      yes     yes     yes     yes       refused yes    yes
stranger      process process yes     yes      refused unlabelled unsaid
"""

FILES = """
              cartoon picture config  onnx     page    listing
ddm           yes     yes     yes     yes      yes     yes
ddm_sdv       yes     yes     yes     yes      yes     yes
angle         yes     yes     yes     yes      yes     yes
weibull       yes     yes     yes     yes      yes     yes
ornstein      yes     yes     yes     yes      yes     yes
full_ddm      yes     yes     yes     yes      yes     yes
lba2          yes     two     unknown unknown  unknown yes
rdm3          yes     two     unknown unknown  unknown yes
poisson_race  yes      bare    unknown unknown  unknown yes
race_3        yes     two     yes     composed bounds  yes
levy          yes     yes     yes     yes      bounds  yes
lca_3         yes     two     yes     yes      bounds  yes
oddity_2d     notimes two     yes     untimed  bounds  yes
responses     notimes two     yes     untimed  nowhere absent
own           yes     bare    nowhere nowhere  nowhere absent
omissions     yes     two     yes     yes      nowhere absent
imported      yes     yes     yes     yes      -       -
with_cpn      yes     yes     yes     yes      -       -
with_opn      yes     yes     yes     yes      -       -
stranger      process process yes     yes      nowhere absent
"""

# What a word of the tables stands for, with the model's name, its parameters and its choices.
SENTENCES = {
    "absent": "{name!r} is not listed",
    "bare": "Expected a network of {name!r}. Found none. Remedy: pass the network itself, or name it with pl.register.",
    "closed": (
        "Expected a model with a network, or one to train. Found {name!r}, a closed form. Remedy: use "
        "likelihood='exact'."
    ),
    "composed": (
        "Expected a model whose likelihood is one network. Found {name}@1.0, a race composed of the networks of one"
        " accumulator. Remedy: use format='orbax'."
    ),
    "no_cpn": (
        "Expected a choice/deadline network that knows how likely no press is, for the go/no-go form of {name!r}. "
        "Found none in its weights. Remedy: train one, import one with its CPN (cpn=...), or use the two-choice "
        "distribution."
    ),
    "notimes": "Expected a model of response times. Found {name!r}, without times. Remedy: choose another.",
    "no_drift": (
        "Expected a model with a drift v, for go/no-go trials. Found {names} in its place. Remedy: use LANDist."
    ),
    "open": (
        "Expected a model with a closed form, for likelihood='exact'. Found {name!r}. Remedy: use likelihood='lan'."
    ),
    "opn": (
        "Expected a choice/deadline network that knows how likely no press is, for the go/no-go form of {name!r}. "
        "Found an OPN, which knows trials without any decision but not those decided at the lower boundary. Remedy:"
        " import the CPN (cpn=...) instead."
    ),
    "process": (
        "Expected a model whose process is known, to draw trials of {name!r}. Found one of which only a network was "
        "imported."
    ),
    "bounds": "Expected a diffusion between two boundaries. Found {name!r}, which has none.",
    "unlabelled": "Expected a model whose density is known, to take labels from. Found {name!r}, of which only",
    "refused": "Expected ",
    "simulator": (
        "Expected a choice/deadline network that knows how likely no press is, for the go/no-go form of {name!r}. "
        "Found a model known by its simulator. Remedy: return rt = inf where nothing is pressed, give choices=[1] "
        "and omissions=True, and use LANDist."
    ),
    "times": (
        "Expected a model of responses alone, from pl.simulator_spec(..., times=False). Found {name!r}, a model of "
        "response times. Remedy: use LANDist."
    ),
    "two": "Expected a model of two choices, +1 and -1. Found {name!r} with choices {choices}",
    "nowhere": "Unknown model {name!r}. Known models: angle, ",
    "uncounted": "Expected a network that knows how likely a response is, for {name!r}. Found none. Remedy: simulate",
    "unknown": "Expected a model with a network. Found {name!r}, a closed form. Remedy: use its distribution",
    "unplain": (
        "Expected a diffusion with drift v, boundary a and non-decision time t. Found {name!r} with {names}. "
        "Remedy: give initvals by hand."
    ),
    "unsaid": (
        "Cannot say what the network did to the posterior: {name!r} is known by a simulator or a network alone, so "
        "there is no exact likelihood. Look at pl.diagnostics.accuracy_from_simulations, and at pl.diagnostics.sbc."
    ),
    "unseen": (
        "Expected a model with one observed distribution of response times of pymc_lan. Found none. Remedy: "
        "give initvals by hand, or pass the model that has the data."
    ),
    "untimed": (
        "Expected a model of response times. Found {name!r}, a model of responses alone. Remedy: use ChoiceDist and"
        " network.probabilities."
    ),
}
