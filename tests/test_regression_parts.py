"""What pl.regression is made of: links, design matrices, means of members, priors, coding."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from tables import one_of_a_kind

from pymc_lan.models.catalogue import MODELS
from pymc_lan.regressions.arguments import as_pandas
from pymc_lan.regressions.coding import accuracies, boundaries
from pymc_lan.regressions.effects import groupings
from pymc_lan.regressions.formula import Formula
from pymc_lan.regressions.links import Logit, link_of, start
from pymc_lan.regressions.plan import distinct
from pymc_lan.regressions.priors import DEFAULTS, as_prior, defaults

PARAMETERS = [(model, p.name) for model in MODELS for p in MODELS[model].parameters]
X = np.array([0.5, -1.0, 2.0, 0.0, 3.0, 1.5])
TABLE = pd.DataFrame(
    {
        "x": X,
        "c": ["b", "a", "c", "a", "b", "c"],
        "s": ["s2", "s2", "s1", "s1", "s3", "s3"],
        "item": ["i", "j", "i", "j", "i", "j"],
        "age": [30.0, 30.0, 20.0, 20.0, 50.0, 50.0],
    }
)
ONE, IS_A, IS_B, IS_C = np.ones(6), *((TABLE["c"] == c).to_numpy().astype(float) for c in "abc")


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("which", one_of_a_kind(PARAMETERS, *[("ddm", x) for x in "vazt"]))
def test_links_increase_and_stay_within_the_bounds(which: tuple[str, str], trained: bool) -> None:
    p = MODELS[which[0]].parameter(which[1])
    link = link_of(p, trained=trained)
    low, high = p.bounds if trained else p.domain
    x = pt.dvector()
    y = link.natural(x, pt)
    evaluate = pytensor.function([x], [y, pytensor.grad(y.sum(), x)], mode="FAST_COMPILE")
    ends = np.array([-1e3, -60.0, 60.0, 500.0])
    for points in (np.linspace(-8, 8, 400), ends):
        found, slope = evaluate(points)
        np.testing.assert_allclose(found, link.natural(points), rtol=1e-12, atol=1e-14)
        assert np.isfinite(slope).all()
        assert (slope >= 0).all()
        assert (np.diff(found) >= 0).all()
        assert (found >= low).all()
        assert (found <= high).all()
    # Within the middle half it increases everywhere, and `predictor` is its inverse to a hundredth of the width.
    inside = np.linspace(*np.quantile(p.bounds, [0.25, 0.75]), 5)
    at = np.array([link.predictor(float(value)) for value in inside])
    np.testing.assert_allclose(link.natural(at), inside, atol=0.01 * (p.bounds[1] - p.bounds[0]))
    assert (evaluate(at)[1] > 0).all()


def test_links_of_a_diffusion_are_the_usual_ones_where_people_are() -> None:
    ddm = MODELS["ddm"]
    v, a, z, t = (link_of(p, trained=True) for p in ddm.parameters)
    np.testing.assert_allclose(v.natural(np.array([-1.5, 0.0, 1.5])), [-1.5, 0.0, 1.5], atol=1e-3)
    np.testing.assert_allclose(a.natural(np.log([0.5, 1.0, 1.6])), [0.5, 1.0, 1.6], rtol=2e-3)
    np.testing.assert_allclose(t.natural(np.log([0.01, 0.1, 0.6])), [0.01, 0.1, 0.6], rtol=1e-5)
    np.testing.assert_allclose(z.natural(np.log([0.25, 1.0, 4.0])), 0.01 + 0.98 * np.array([0.2, 0.5, 0.8]), atol=1e-6)
    # A closed form without a box has no bends.
    assert link_of(ddm.parameter("v"), trained=False).natural(40.0) == 40.0
    assert link_of(ddm.parameter("a"), trained=False).natural(np.log(40.0)) == pytest.approx(40.0, rel=1e-12)


def test_the_distance_of_a_press_is_that_of_the_start_from_the_upper_boundary() -> None:
    z = Logit(0.0, 1.0)
    a, d = np.array([0.8, 1.0, 1.5]), np.array([0.6, 1.2, 1.0])
    found = start(np.log(d), a, z)
    # Boundaries at -a and a, start at -a + 2 a z.
    np.testing.assert_allclose(a - (-a + 2 * a * found), d, rtol=1e-3)
    far = start(np.log(np.array([1.0, 2.0, 20.0, 1e9])), 1.0, z)
    assert (np.diff(far) < 0).all() or (far[-2:] > 0).all()
    assert ((far > 0) & (far < 1)).all()
    narrow = start(np.array([-50.0, 50.0]), 1.0, Logit(0.3, 0.7))
    np.testing.assert_allclose(narrow, [0.7, 0.3], atol=1e-3)


@pytest.mark.parametrize(
    ("text", "labels", "common", "levels"),
    [
        ("1 + x", ["Intercept", "x"], [ONE, X], [True, False]),
        ("c", ["Intercept", "c[b]", "c[c]"], [ONE, IS_B, IS_C], [True, False, False]),
        ("0 + c", ["c[a]", "c[b]", "c[c]"], [IS_A, IS_B, IS_C], [True] * 3),
        ("0 + c + x", ["c[a]", "c[b]", "c[c]", "x"], [IS_A, IS_B, IS_C, X], [True] * 3 + [False]),
        ("x:age - 1", ["x:age"], [X * TABLE["age"]], [False]),
        ("scale(x) - 1", ["scale(x)"], [(X - X.mean()) / X.std()], [False]),
        ("np.exp(x) - 1", ["np.exp(x)"], [np.exp(X)], [False]),
    ],
)
def test_design_matrices_are_those_made_by_hand(
    text: str, labels: list[str], common: list[np.ndarray], levels: list[bool]
) -> None:
    found = Formula("v", text, TABLE).design.common
    assert list(found.labels) == labels
    np.testing.assert_allclose(found.matrix, np.column_stack(common), atol=1e-12)
    assert list(found.levels) == levels


def test_groups_and_offsets_are_taken_apart() -> None:
    design = Formula("v", "offset(age) + (1 + c | s) + (0 + x | item)", TABLE).design
    np.testing.assert_array_equal(design.offset, TABLE["age"])
    assert design.common.labels == ("Intercept",)
    assert design.groups["s"].labels == ("Intercept", "c[b]", "c[c]")
    np.testing.assert_array_equal(design.groups["s"].matrix, np.column_stack([ONE, IS_B, IS_C]))
    np.testing.assert_array_equal(design.groups["item"].matrix, X[:, None])
    assert design.groups["item"].levels == (False,)


def test_another_table_is_read_as_the_first_was() -> None:
    formula = Formula("v", "scale(x) + c + (1 + x | s)", TABLE)
    new = pd.DataFrame({"x": [1.0, 4.0], "c": ["c", "a"], "s": ["s3", "nobody"]})
    design = formula.evaluate(new)
    expected = [[1, (1.0 - X.mean()) / X.std(), 0, 1], [1, (4.0 - X.mean()) / X.std(), 0, 0]]
    np.testing.assert_allclose(design.common.matrix, expected)
    np.testing.assert_array_equal(design.groups["s"].matrix, [[1, 1], [1, 4]])
    [grouping] = groupings({"v": formula}, TABLE, {})
    assert grouping.members == ("s1", "s2", "s3")
    assert grouping.codes(new).tolist() == [2, -1]


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ({"x": [1.0], "c": ["a"]}, None),
        ({"x": [1.0], "c": ["z"]}, r"levels of 'c' .*: b, a, c\. Found others in 1 of 1 rows: row 0 \(c = 'z'\)"),
        ({"x": [np.nan], "c": ["a"]}, r"a value of 'x' in every row.*row 0 \(x = missing\)"),
        ({"c": ["a"]}, r"Unknown column 'x'"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(new: Mapping[str, list], words: str | None) -> None:
    formula = Formula("v", "x + c + (1 | s)", TABLE)
    if words is None:
        assert formula.evaluate(pd.DataFrame(new | {"s": ["s1"]})).common.matrix.shape == (1, 4)
        return
    with pytest.raises(ValueError, match=words):
        formula.evaluate(pd.DataFrame(dict(new) | {"s": ["s1"]}))


OWN = [20.0, 30.0, 50.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # By common column: weights of the members' effects, and a number of each member (s1, s2, s3).
        ("x + (x | s)", {0: ([1, 0], None), 1: ([0, 1], None)}),
        ("x + (1 | s)", {0: ([1], None)}),
        ("x + (0 + x | s)", {1: ([1], None)}),
        ("I(2 * x) + (0 + x | s)", {1: ([2], None)}),
        ("age + (1 | s)", {0: ([1], None), 1: ([1], OWN)}),
        (
            "0 + c + age + (0 + c | s)",
            {0: ([1, 0, 0], None), 1: ([0, 1, 0], None), 2: ([0, 0, 1], None), 3: ([1, 1, 1], OWN)},
        ),
        ("x + age:x + (1 + x | s)", {0: ([1, 0], None), 1: ([0, 1], None), 2: ([0, 1], OWN)}),
        # The intercept is the sum of conditions, and a condition a part of it.
        ("1 + (0 + c | s)", {0: ([1, 1, 1], None)}),
        ("0 + c + (1 + c | s)", {0: ([1, -1, -1], None), 1: ([0, 1, 0], None), 2: ([0, 0, 1], None)}),
        ("x", {}),
    ],
)
def test_means_of_members_take_what_they_can(
    text: str, expected: dict[int, tuple[list[float], list[float] | None]]
) -> None:
    found = groupings({"v": Formula("v", text, TABLE)}, TABLE, {})
    pulls = {p.column: p for g in found for b in g.blocks for p in b.pulls}
    assert pulls.keys() == expected.keys()
    for column, (weights, values) in expected.items():
        np.testing.assert_allclose(pulls[column].weights, weights, atol=1e-9)
        if values is None:
            assert pulls[column].values is None
        else:
            np.testing.assert_allclose(pulls[column].values, values)


def test_of_crossed_groups_the_one_with_most_effects_has_the_means() -> None:
    texts = {"v": "x + (1 | item) + (x | s)", "a": "1 + (1 | item) + (1 | s)"}
    found = {g.factor: g for g in groupings({k: Formula(k, x, TABLE) for k, x in texts.items()}, TABLE, {})}
    assert {f: [(b.parameter, len(b.pulls)) for b in g.blocks] for f, g in found.items()} == {
        "item": [("v", 0), ("a", 1)],
        "s": [("v", 2), ("a", 0)],
    }
    assert found["item"].labels == ("v: Intercept", "a: Intercept")
    assert not found["s"].correlated


@pytest.mark.parametrize(
    ("n", "text", "correlated"),
    [(20, "x + (x | s)", True), (19, "x + (x | s)", False), (20, "x + (x || s)", False), (20, "(1 | s)", False)],
)
def test_effects_of_twenty_members_are_correlated(n: int, text: str, correlated: bool) -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"s": np.repeat(np.arange(n), 2), "x": rng.normal(size=2 * n)})
    [found] = groupings({"v": Formula("v", text, table)}, table, {})
    assert found.correlated == correlated


def test_nested_groups_are_those_that_occur() -> None:
    table = pd.DataFrame({"school": ["p", "p", "q", "q"], "pupil": [1, 2, 1, 1]})
    found = {g.factor: g for g in groupings({"v": Formula("v", "(1 | school/pupil)", table)}, table, {})}
    assert found["school"].members == ("p", "q")
    assert found["school:pupil"].members == ("p:1", "p:2", "q:1")
    assert found["school:pupil"].index.tolist() == [0, 1, 2, 2]


def test_distinct_rows_give_every_trial_its_own() -> None:
    rng = np.random.default_rng(1)
    shared, index, z = rng.integers(0, 2, (40, 1)).astype(float), rng.integers(0, 3, 40), np.ones((40, 1))
    rows = distinct(shared, {"s": (index, z)}, np.zeros(40))
    assert rows.trial is not None
    assert len(rows.shared) <= 6
    np.testing.assert_array_equal(rows.shared[rows.trial], shared)
    np.testing.assert_array_equal(rows.groups["s"][0][rows.trial], index)
    assert distinct(rng.normal(size=(40, 1)), {}, np.zeros(40)).trial is None


PRIORS = {
    "Normal": {"mu": 0.5, "sigma": 2.0},
    "StudentT": {"nu": 4.0, "mu": 0.5, "sigma": 2.0},
    "Cauchy": {"alpha": 0.5, "beta": 2.0},
    "Laplace": {"mu": 0.5, "b": 2.0},
    "LogNormal": {"mu": 0.5, "sigma": 2.0},
    "TruncatedNormal": {"mu": 0.5, "sigma": 2.0, "lower": 0.1, "upper": 3.0},
    "Uniform": {"lower": 0.1, "upper": 3.0},
    "Beta": {"mu": 0.3, "nu": 10.0},
    "HalfNormal": {"sigma": 2.0},
    "HalfCauchy": {"beta": 2.0},
    "Gamma": {"mu": 1.0, "sigma": 0.5},
    "InverseGamma": {"alpha": 2.0, "beta": 5.0},
    "Exponential": {"lam": 5.0},
}


@pytest.mark.parametrize("family", PRIORS)
def test_a_prior_is_the_distribution_that_was_given(family: str) -> None:
    given = getattr(pm, family).dist(**PRIORS[family])
    prior = as_prior("p", given)
    assert prior.distribution == family
    for made in (prior.dist(), eval(f"pm.{prior.distribution}.dist({prior.code})", {"pm": pm, "np": np})):
        np.testing.assert_allclose(
            pm.logp(made, 0.3).eval(mode="FAST_COMPILE"), pm.logp(given, 0.3).eval(mode="FAST_COMPILE"), rtol=1e-6
        )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (pm.Poisson.dist(2.0), "as the prior of p one of Normal.*Found Poisson"),
        ("x", "Found 'x'"),
        (pm.Normal.dist(pm.Normal.dist(), 1.0), "Expected numbers in the prior of p"),
    ],
)
def test_what_is_no_prior_is_refused(given: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        as_prior("p", given)


def test_default_priors_are_in_the_units_of_the_parameters() -> None:
    ddm = MODELS["ddm"]
    for name, (low, middle, high) in {"a": (0.36, 0.7, 1.36), "t": (0.21, 0.4, 0.78), "z": (0.31, 0.5, 0.69)}.items():
        p = ddm.parameter(name)
        link = link_of(p, trained=True)
        found = defaults(name, p, link)
        at = link.natural(found.centre + found.level * np.array([-1.645, 0.0, 1.645]))
        np.testing.assert_allclose(at, [low, middle, high], atol=0.01)
    assert defaults("v", ddm.parameter("v"), link_of(ddm.parameter("v"), trained=True))[:2] == (0.0, 2.0)
    assert DEFAULTS["p_lapse"].centre == 0.05


STIMULUS = pd.Series(["left", "left", "right", "right"], name="stim")


def test_accuracy_becomes_boundaries_and_comes_back() -> None:
    right = pd.Series([1, 0, 1, 0], name="correct")
    assert boundaries(right, None).tolist() == [1, -1, 1, -1]
    found = boundaries(right, STIMULUS)
    assert found.tolist() == [-1, 1, 1, -1]
    assert accuracies(found, STIMULUS, STIMULUS).tolist() == [True, False, True, False]
    assert boundaries(right.astype(bool), STIMULUS).tolist() == found.tolist()


@pytest.mark.parametrize(
    ("right", "stimulus", "words"),
    [
        ([1, 0, 2, 0], STIMULUS, r"1 \(right\) or 0 \(wrong\).*row 2 \(correct = 2\)"),
        ([1, 0, None, 0], STIMULUS, "row 2"),
        ([1, 0, 1, 0], pd.Series(["l", "m", "r", "r"], name="stim"), "two stimuli in 'stim'.*Found 'l', 'm', 'r'"),
        ([1, 0, 1, 0], pd.Series(["l", None, "r", "r"], name="stim"), "a stimulus in every row"),
    ],
)
def test_what_is_no_accuracy_is_refused(right: list, stimulus: pd.Series, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        boundaries(pd.Series(right, name="correct"), stimulus)


def test_numbers_in_a_column_of_objects_are_numbers() -> None:
    table = pd.DataFrame({"x": pd.Series([0, 1, 2, 1], dtype=object), "name": ["a", "b", "a", "b"]})
    found = as_pandas(table)
    assert found["x"].dtype.kind == "i"
    assert found["name"].tolist() == table["name"].tolist()


def test_a_spline_says_where_it_ends() -> None:
    formula = Formula("v", "bs(x, df=4)", pd.DataFrame({"x": np.linspace(-1, 1, 20)}))
    formula.evaluate(pd.DataFrame({"x": [-1.0, 0.3, 1.0]}))
    with pytest.warns(UserWarning, match="values of 'x' from -1 to 1.*Found 1.5 in row 2, 2 such rows in all"):
        formula.evaluate(pd.DataFrame({"x": [-1.0, 0.3, 1.5, -2.0]}))
