"""Guesses: what is seen of them adds up to one, draws agree with densities, and windows are the trials' own."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from scipy.stats import kstest

import pymc_lan as pl
from pymc_lan.numerics.passage import NUMPY

P = {"v": 1.0, "a": 1.0, "z": 0.5, "t": 0.3}
MODE = {"mode": "FAST_COMPILE"}
NONE = [np.inf, 0.0]

# One trial each.
DEADLINE = np.array([1.0, 1.0, 1.0, np.inf, 2.0, 0.2])
WINDOW = np.array([5.0, 0.4, 1.0, 2.0, 8.0, 3.0])
PRESS = np.array([0.5, 0.5, 1.0, 0.3, 1.0, 0.9])


def log_density(dist, rows):
    return pm.logp(dist, np.array(rows, float)).eval(**MODE)


def guessing(p_lapse, **kwargs):
    return pl.GoNoGoDDM.dist(**P, deadline=DEADLINE, p_lapse=p_lapse, lapse_window=WINDOW, lapse_go=PRESS, **kwargs)


def test_presses_and_no_press_add_up_to_one():
    """Gauss-Legendre panels between the jumps of the density of every trial."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    jumps = np.concatenate([DEADLINE, WINDOW, P["t"] + np.geomspace(1e-3, 59.7, 40)])
    grid = np.unique([0.0, P["t"], *jumps[np.isfinite(jumps)]])
    half = np.diff(grid) / 2
    rt = (grid[:-1] + half)[:, None] + half[:, None] * nodes
    rows = np.stack(np.broadcast_arrays(rt.ravel()[:, None], np.ones(6)), axis=-1)
    density = np.exp(log_density(guessing(0.2, likelihood="exact", shape=rows.shape), rows))
    pressed = np.einsum("pqk,q,p->k", density.reshape(*rt.shape, 6), weights, half)
    none = np.exp(log_density(guessing(0.2, likelihood="exact"), [NONE] * 6))
    np.testing.assert_allclose(pressed + none, 1.0, atol=1e-6)


def test_guesses_end_in_no_press_as_often_as_counted():
    """Guesses alone: times and presses drawn here, and those after the deadline not seen."""
    rng = np.random.default_rng(3)
    n = 200_000
    unseen = (rng.random((n, 6)) >= PRESS) | (rng.uniform(0, WINDOW, (n, 6)) > DEADLINE)
    probability = np.exp(log_density(guessing(1.0), [NONE] * 6))
    assert np.all(np.abs(probability - unseen.mean(axis=0)) < 5 * 0.5 / np.sqrt(n))
    np.testing.assert_allclose(probability, [0.9, 0.5, 0.0, 0.7, 0.75, 0.94], atol=1e-12)


@pytest.mark.parametrize("mode", ["NUMBA", "FAST_COMPILE"])
def test_draws_of_guesses(mode):
    n = 20_000
    rt = pm.draw(guessing(1.0, shape=(n, 6, 2)), random_seed=4, mode=mode)[..., 0]
    expected = np.array([0.9, 0.5, 0.0, 0.7, 0.75, 0.94])
    assert np.all(np.abs(np.isinf(rt).mean(axis=0) - expected) <= 5 * np.sqrt(expected * (1 - expected) / n))
    for k, last in enumerate(np.minimum(DEADLINE, WINDOW)):
        pressed = rt[np.isfinite(rt[:, k]), k]
        assert kstest(pressed, "uniform", (0, last)).pvalue > 1e-4


def test_the_share_is_exact():
    from pymc_lan.data.guesses import share_unseen

    found = share_unseen(NUMPY, np.array([0.5, 0.5, 1.0, 0.3]), np.array([1.0, np.inf, 2.0, 5.0]), 4.0)
    np.testing.assert_allclose(found, [0.875, 0.5, 0.5, 0.7], rtol=1e-15)


def test_the_share_of_lapses_is_found_again():
    """20,000 trials with 15 % guesses up to 5 s, of which most come after the deadline of 1 s."""
    rng = np.random.default_rng(8)
    n, p = 20_000, 0.15
    df = pl.simulate("ddm", P, n=n, seed=5)
    rt = np.where(df["response"] == 1, df["rt"], np.inf)
    guess = rng.random(n) < p
    rt = np.where(guess, np.where(rng.random(n) < 0.5, rng.uniform(0, 5.0, n), np.inf), rt)
    rt = np.where(rt > 1.0, np.inf, rt)
    share = pt.dscalar("share")
    dist = pl.GoNoGoDDM.dist(**P, deadline=1.0, p_lapse=share, lapse_window=5.0)
    total = pytensor.function([share], pm.logp(dist, np.column_stack([rt, np.isfinite(rt)])).sum(), **MODE)
    shares = [0.01, 0.05, 0.09, 0.12, p, 0.18, 0.21, 0.3]
    assert shares[np.argmax([total(x) for x in shares])] == p


def test_every_trial_has_its_own_window():
    """One trial without a deadline leaves the windows of the others as they are; its own is the largest rt."""
    data = [[0.5, 1], [0.9, 1], [2.5, 1]]
    with pm.Model() as model:
        pl.GoNoGoDDM("obs", **P, deadline=[1.0, 2.0, np.inf], p_lapse=0.1, observed=data)
    found = model.compile_logp(sum=False, **MODE)({})[0]
    for i, (deadline, window) in enumerate([(1.0, 1.0), (2.0, 2.0), (np.inf, 2.5)]):
        one = pl.GoNoGoDDM.dist(**P, deadline=deadline, p_lapse=0.1, lapse_window=window)
        assert found[i] == pytest.approx(log_density(one, [data[i]])[0], abs=1e-12)


def test_deadlines_known_at_run_time_have_their_windows_too():
    data = [[0.5, 1], [0.9, 1], [2.5, 1]]
    with pm.Model() as model:
        deadline = pm.Data("deadline", [1.0, 2.0, np.inf])
        pl.GoNoGoDDM("obs", **P, deadline=deadline, p_lapse=0.1, observed=data)
    with pm.Model() as plain:
        pl.GoNoGoDDM("obs", **P, deadline=[1.0, 2.0, np.inf], p_lapse=0.1, observed=data)
    found, expected = (m.compile_logp(sum=False, **MODE)({})[0] for m in (model, plain))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("window", [0.0, -1.0, np.nan, np.inf, [1.0, 0.0]])
@pytest.mark.parametrize("cls", [pl.DDM, pl.GoNoGoDDM, pl.LBA2])
def test_windows_in_which_no_guess_can_fall_are_refused(cls, window):
    theta = P if cls is not pl.LBA2 else {"v0": 1.0, "v1": 0.5, "A": 0.5, "b": 1.0, "t": 0.2}
    with pytest.raises(ValueError, match="Expected lapse_window above 0 s and finite"):
        cls.dist(**theta, p_lapse=0.1, lapse_window=window)


@pytest.mark.parametrize("cls", [pl.DDM, pl.GoNoGoDDM])
def test_windows_and_shares_that_cannot_be_at_run_time_have_no_density_and_no_draws(cls):
    window, share = pt.dscalar("window"), pt.dscalar("share")
    logp = pm.logp(cls.dist(**P, p_lapse=share, lapse_window=window), np.array([[0.5, 1.0]]))
    assert np.isfinite(logp.eval({window: 2.0, share: 0.1})).all()
    for x, p in [(0.0, 0.1), (-1.0, 0.1), (np.nan, 0.1), (np.inf, 0.1), (2.0, -0.1), (2.0, 1.1), (2.0, np.nan)]:
        assert np.isneginf(logp.eval({window: x, share: p})).all(), (x, p)
    for mode in ("NUMBA", "FAST_COMPILE"):
        trials = cls.dist(**P, p_lapse=1.0, lapse_window=-pm.HalfNormal.dist(), shape=(3, 2))
        with pytest.raises(ValueError, match="lapse_window above 0 s"):
            pm.draw(trials, mode=mode)
