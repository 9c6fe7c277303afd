"""rejax's PPO on gymnax's CartPole-v1: its own training iterations in one compiled loop, its evaluations left out.

rejax 0.1.3 does not run on gymnax 1, so it has 0.0.9, which runs on no gymnasium of ours: nothing here uses one.
"""

from __future__ import annotations

import importlib.metadata

import jax
from rejax import PPO
from stopwatch import Stopwatch, answer, settings


def main() -> None:
    asked = settings()
    if asked.get("jax_cache"):
        jax.config.update("jax_compilation_cache_dir", asked["jax_cache"])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    envs, horizon = asked["envs"], asked["horizon"]
    algorithm = PPO.create(
        env="CartPole-v1",
        agent_kwargs={"activation": "tanh", "hidden_layer_sizes": (64, 64)},
        num_envs=envs,
        num_steps=horizon,
        num_epochs=4,
        num_minibatches=4,
        learning_rate=3e-4,
        max_grad_norm=0.5,
        ent_coef=0.0,
    )
    chunk = jax.jit(
        lambda state, updates: jax.lax.fori_loop(0, updates, lambda _, state: algorithm.train_iteration(state), state),
        donate_argnums=0,
    )
    state = jax.jit(lambda rng: algorithm.init_state(rng))(jax.random.key(0))  # noqa: PLW0108  it has no hash
    stopwatch = Stopwatch(asked["warm_up"], asked["seconds"])
    updates, done = 1, 0
    while not stopwatch.boundary(done * envs * horizon):
        state = jax.block_until_ready(chunk(state, updates))
        done += updates
        updates = max(1, 32_768 // (envs * horizon)) if done == 1 else updates
    answer(
        rate=stopwatch.rate,
        first_update=stopwatch.first_update - asked["started"],
        version=importlib.metadata.version("rejax"),
        jax=jax.__version__,
    )


main()
