"""psyphy's own optimiser and likelihood on given trials, from a given start; run by wppm.py where psyphy is installed.

    python _psyphy_worker.py TRIALS.npz FOUND.npz --steps 1000 --samples 500

TRIALS has ``ref``, ``comparison``, ``correct`` and the start, ``weights``. FOUND gets the weights every `EVERY` steps,
losses, and the CPU seconds of a step, without compiling. Learning rate, momentum, bandwidth and the length to which
gradients are cut are those of psyphy's script of the whole model (full_wppm_fit_example.py).
"""

from __future__ import annotations

import argparse
import time

import numpy as np

RATE, MOMENTUM, BANDWIDTH, LONGEST = 5e-5, 0.9, 1e-2, 1.0
DECAY, VARIANCE, DIAGONAL = 0.4, 4e-3, 1e-4
EVERY = 50


def main() -> None:
    import jax
    import jax.numpy as jnp
    import optax
    from psyphy.data import TrialData
    from psyphy.model import WPPM, GaussianNoise, OddityTask, OddityTaskConfig, Prior

    parser = argparse.ArgumentParser()
    parser.add_argument("trials")
    parser.add_argument("found")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=500)
    args = parser.parse_args()
    given = np.load(args.trials)
    prior = Prior(2, given["weights"].shape[0] - 1, VARIANCE, DECAY, extra_embedding_dims=1)
    task = OddityTask(config=OddityTaskConfig(num_samples=args.samples, bandwidth=BANDWIDTH))
    model = WPPM(prior=prior, likelihood=task, noise=GaussianNoise(sigma=0.1), diag_term=DIAGONAL)
    stimuli = jnp.stack([given["ref"], given["comparison"]], axis=1)
    data = TrialData(stimuli=stimuli, responses=jnp.asarray(given["correct"]))
    optimizer = optax.chain(optax.clip_by_global_norm(LONGEST), optax.sgd(RATE, momentum=MOMENTUM))

    # As psyphy.inference.MAPOptimizer does it, which keeps the last point only.
    @jax.jit
    def step(params, state, key):
        loss, slope = jax.value_and_grad(lambda p: -model.log_posterior_from_data(p, data, key=key))(params)
        updates, state = optimizer.update(slope, state, params)
        return optax.apply_updates(params, updates), state, loss

    params = {"W": jnp.asarray(given["weights"], jnp.float32)}
    state, key = optimizer.init(params), jax.random.PRNGKey(0)
    jax.block_until_ready(step(params, state, key))
    kept, losses, start = [np.asarray(params["W"])], [], time.process_time()
    for n in range(args.steps):
        key, own = jax.random.split(key)
        params, state, loss = step(params, state, own)
        losses.append(float(loss))
        if (n + 1) % EVERY == 0:
            kept.append(np.asarray(params["W"]))
            seconds = time.process_time() - start
            np.savez(args.found, weights=kept, loss=losses, seconds=seconds / (n + 1), every=EVERY)


if __name__ == "__main__":
    main()
