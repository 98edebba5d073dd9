"""The examples run as a user runs them: as programs, small, on simulated and on real data."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(script: str, *arguments: object) -> str:
    """Run an example and return what it printed; a warning that its own lines cause is an error."""
    command = [sys.executable, "-W", "error:::__main__", str(EXAMPLES / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def table(printed: str, name: str) -> list[float]:
    """Return the numbers in the printed row of a parameter."""
    rows = [line for line in printed.splitlines() if line.startswith(f"{name} ")]
    assert len(rows) == 1, f"expected one row {name!r}, found {len(rows)} in:\n{printed}"
    return [float(x) for x in re.findall(r"(?<![\w,])-?\d+(?:\.\d+)?", rows[0].removeprefix(name))]


def assert_figures(folder: Path, *names: str) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for path in folder.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_neuroracer_recovers_the_truth(tmp_path: Path) -> None:
    printed = run("neuroracer.py", "--out", tmp_path, "--draws", 200, "--tune", 300, "--chains", 2)
    assert_figures(tmp_path, "neuroracer_posterior.png", "neuroracer_predictive.png")
    for name in ("v", "a", "t"):
        truth, mean, sd, low, high = table(printed, name)[:5]
        assert abs(mean - truth) < 4 * sd
        assert low < mean < high
        # Between a thousandth and a third of the parameter: neither stuck nor back at the prior.
        assert truth / 1000 < sd < truth / 3
    assert "posterior" in printed.splitlines()[-1]


@pytest.mark.slow
def test_my_diffusion_recovers_the_truth(tmp_path: Path) -> None:
    printed = run("my_diffusion.py", "--out", tmp_path)
    assert_figures(tmp_path, "my_diffusion.png")
    for name in ("v", "a", "t", "tau"):
        truth, mean, sd = table(printed, name)[:3]
        assert abs(mean - truth) < 4 * sd
        assert truth / 1000 < sd < truth / 3


@pytest.mark.slow
def test_my_simulator_recovers_the_truth() -> None:
    script = "my_simulator.py"
    assert len((EXAMPLES / script).read_text().splitlines()) < 60
    printed = run(script)
    divergence = re.search(r"divergence from the simulator: ([\d.]+) nats", printed)
    assert divergence is not None
    assert float(divergence[1]) < 2e-3
    for name, width in {"rate": 2.0, "hold": 2.0, "a": 1.0, "t": 0.4}.items():
        truth, mean, sd = table(printed, name)[:3]
        assert abs(mean - truth) < 4 * sd
        # Narrower than the prior, whose standard deviation is its width over the root of twelve.
        assert truth / 1000 < sd < 0.8 * width / 12**0.5
        assert " True" in next(line for line in printed.splitlines() if line.startswith(f"{name} "))


@pytest.mark.slow
def test_the_article_goes_from_a_simulator_to_a_posterior(tmp_path: Path) -> None:
    script = "article.py"
    assert len((EXAMPLES / script).read_text().splitlines()) < 100
    printed = run(script, "--seconds", 5, "--rows", 20_000, "--draws", 200, "--out", tmp_path)
    assert (tmp_path / "article.png").read_bytes().startswith(b"\x89PNG")
    assert "# ddm@exact-1" in printed  # its card
    rows = re.findall(r"^(kde|exact|shipped) +([\d.e-]+) +([\d.e-]+) +([\d.e-]+) +([\d.e-]+)$", printed, re.MULTILINE)
    errors = {name: [float(x) for x in figures] for name, *figures in rows}
    assert errors.keys() == {"kde", "exact", "shipped"}
    assert max(errors["shipped"]) < 0.01
    assert all(0.005 < errors[name][0] < 1 for name in ("kde", "exact"))
    fits = re.findall(r"^(kde|exact|shipped) .*'v': '([\d.]+) \+- ([\d.]+)'", printed, re.MULTILINE)
    assert [name for name, _, _ in fits] == ["kde", "exact", "shipped"]
    assert all(abs(float(mean) - 1) < 4 * float(sd) for _, mean, sd in fits)


# Few subjects and draws show that an example runs, not that it has converged: only wide ranges are asserted.
SMALL = ("--subjects", 3, "--draws", 60, "--tune", 100, "--chains", 2)


@pytest.mark.parametrize(
    ("script", "data", "figures", "ranges"),
    [
        pytest.param(
            "pavlovian_gonogo.py",
            "pavlovian_gonogo.csv.gz",
            ("pavlovian_effects.png", "pavlovian_predictive.png"),
            # People who learned press for "win, go" and, mostly, withhold for "lose, no-go".
            {"v[valence[win]:action[go]]": (0.3, 6), "v[valence[lose]:action[no-go]]": (-4, 1), "p_lapse": (0, 0.3)},
            marks=pytest.mark.table,  # the example of the README is the same regression
        ),
        pytest.param(
            "cavanagh_ddm.py",
            "cavanagh_theta_nn.csv",
            ("cavanagh_predictive.png",),
            # The easy choice, winner against loser, has a clear drift; the threshold a is near 1.
            {"v[stim[WL]]": (0.1, 2), "a[Intercept]": (0.5, 2), "p_lapse": (0, 0.3)},
            marks=pytest.mark.table,
        ),
    ],
)
def test_example_on_real_data(
    script: str,
    data: str,
    figures: tuple[str, ...],
    ranges: dict[str, tuple[float, float]],
    tmp_path: Path,
    shared_data: Path,
) -> None:
    _, documented, code = (EXAMPLES / script).read_text().split('"""', 2)
    assert f"examples/{script}" in documented
    assert len([line for line in code.splitlines() if line]) < 60
    printed = run(script, shared_data / "data" / data, "--out", tmp_path, *SMALL)
    assert_figures(tmp_path, *figures)
    posterior = printed[printed.index("r_hat") :]  # priors come before it, under the same names
    for name, (low, high) in ranges.items():
        mean, sd = table(posterior, name)[:2]
        assert low < mean < high
        assert 0 < sd < 2
    outside = re.findall(r"draws with (\w+) outside +([\d.e-]+)", printed)
    assert {"v", "a", "t"} <= {parameter for parameter, _ in outside}
    assert max(float(share) for _, share in outside) < 0.05
    # So few draws of so few chains have hardly met; that is for `pl.check` to say, and no more is said of them.
    assert "The chains have not met" in printed or "Few effective draws" in printed


@pytest.mark.slow  # log densities are sampled in test_blackjax, and the script of an optimiser runs
def test_rat_tumours_are_those_of_the_book() -> None:
    printed = run("rat_tumours.py", "--draws", 1000, "--tune", 500)
    # Gelman et al., section 5.3: the posterior means by their numerical integration.
    for name, book in {"alpha": 2.4, "beta": 14.3}.items():
        assert round(table(printed, name)[0], 1) == book
    for name in ("log_alpha", "log_beta", "alpha", "beta"):
        exact, *found = table(printed, name)
        for mean, error in (found[:2], found[2:]):
            assert abs(mean - exact) < 4.5 * error
            assert error < 0.03 * max(abs(exact), 1.0)


@pytest.mark.table
def test_an_optimizer_of_ones_own_finds_what_others_find(tmp_path: Path) -> None:
    printed = run("own_optimizer.py", "--out", tmp_path)
    assert_figures(tmp_path, "own_optimizer.png")
    found = re.findall(r"log posterior (-[\d.]+) after +(\d+) steps, converged: (\w+)", printed)
    assert [converged for *_, converged in found] == ["True"] * 3
    # Within what a derivative below the tolerance leaves: far less than 0.01.
    assert max(float(value) for value, *_ in found) - min(float(value) for value, *_ in found) < 0.01


@pytest.mark.slow
def test_a_wishart_process_is_fitted_and_sampled(tmp_path: Path) -> None:
    small = ("--trials", 400, "--degree", 1, "--steps", 150, "--draws", 60, "--tune", 100, "--chains", 2)
    printed = run("wppm.py", "--out", tmp_path, *small)
    assert_figures(tmp_path, "wppm_ellipses.png", "wppm_loss.png")
    right = re.search(r"400 trials, ([\d.]+)% right", printed)
    assert right is not None
    assert 55 < float(right[1]) < 85  # a Mahalanobis distance of 2.8, with comparisons cut off at the edges
    modes = [float(x) for x in re.findall(r"log posterior (-[\d.]+)", printed)]
    assert len(modes) == 3
    assert max(modes) - min(modes) < 3
    held = re.search(r"R-hat of Sigma\(x\) at 100 points ([\d.]+); 90 % intervals of its elements hold (\d+)%", printed)
    assert held is not None
    # Few draws show that it runs; the intervals of one field at many points are hardly independent.
    assert float(held[1]) < 1.3
    assert int(held[2]) > 40


@pytest.mark.slow  # other functions and networks are sampled in the tests of jax_function and flax_module
def test_a_network_reads_digits_and_knows_how_well() -> None:
    printed = run("jax_function.py", "digits", "--draws", 100, "--tune", 150, "--chains", 2)
    difference = re.search(r"digits: default and JAX mode differ by at most ([\d.e-]+)", printed)
    assert difference is not None
    assert float(difference[1]) < 1e-6
    images, sure, right = table(printed, "all")
    assert images == 600
    assert right > 0.85
    # Nobody told the network how often it would be right; after 300 images it is rather less sure than that.
    assert abs(sure - right) < 0.15
    assert table(printed, "sure (0.9, 1.0]")[-1] > 0.95


@pytest.mark.slow  # networks of modules are sampled in test_flax_module
def test_a_drift_is_read_off_images() -> None:
    printed = run("image_drift.py", "--trials", 300, "--draws", 150, "--tune", 200, "--chains", 2)
    for name in ("a", "t"):
        truth, mean, sd = table(printed, name)
        assert abs(mean - truth) < 4 * sd
        assert truth / 1000 < sd < truth / 3
    assert table(printed, "correlation with the truth:")[0] > 0.8
    # Drifts have a standard deviation of about 1.
    assert table(printed, "root mean square error:")[0] < 0.5
