"""The update against a plain one written straight in torch, in float64, and the traps that others fell into."""

from __future__ import annotations

from functools import partial

import gymnasium
import numpy as np
import pytest
import torch

from puffer_backend_torch.backend import TorchBackend
from puffer_backend_torch.config import TorchConfig
from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.contracts.policy import PolicyInterface
from puffer_core.normalisers import moments_init
from puffer_core.numpy_backend import numpy_ops
from puffer_core.spaces.layout import Layout
from puffer_policies import Mlp, MlpConfig
from puffer_ppo.config import PpoConfig
from puffer_ppo.update import REWARD_STATS, make_batch, update

STEPS, ROWS, FEATURES = 6, 4, 3


@pytest.fixture
def backend() -> TorchBackend:
    return TorchBackend(TorchConfig(device="cpu", threads=1))


def policy(**config) -> Mlp:
    box = gymnasium.spaces.Box(-np.inf, np.inf, (FEATURES,))
    interface = PolicyInterface(observation=Layout.of(box), action=Layout.of(gymnasium.spaces.Discrete(3)))
    return Mlp(MlpConfig(hidden_sizes=(8,), **config), interface)


def parameters(which: Mlp, **extra):
    params = which.init(np.random.default_rng(0)) | extra
    return {name: np.asarray(value, np.float64) for name, value in params.items()}


def rollout(seed: int = 0, **changes):
    rng = np.random.default_rng(seed)
    lead = (STEPS, ROWS)
    ended = rng.random(lead) < 0.3
    truncated = ended & (rng.random(lead) < 0.5)
    reset = np.zeros((STEPS + 1, ROWS), bool)
    reset[1:] = ended
    base = {
        "inputs": {"observation": rng.normal(size=(STEPS + 1, ROWS, FEATURES))},
        "reset": reset,
        "carry": (),
        "action": rng.integers(0, 3, lead),
        "outputs": {"value": rng.normal(size=lead)},
        "log_prob": np.log(rng.uniform(0.2, 0.5, lead)),
        "last_outputs": {"value": rng.normal(size=ROWS)},
        "final_outputs": {"value": np.where(truncated, rng.normal(size=lead), 0.0)},
        "reward": rng.normal(size=lead),
        "terminated": ended & ~truncated,
        "truncated": truncated,
        "active": np.ones(lead, bool),
    }
    return base | changes


def order(config: PpoConfig, seed: int = 1):
    rng = np.random.default_rng(seed)
    size = STEPS * ROWS // config.minibatches
    passes = [rng.permutation(STEPS * ROWS).reshape(config.minibatches, size) for _ in range(config.epochs)]
    return np.stack(passes)


def learn(backend, which, config, transitions, *, params=None, optimizer="adam", learning_rate=0.01):
    rule = backend.optimizer(OptimizerConfig(name=optimizer, epsilon=1e-5))
    step = backend.compile(partial(update, policy=which, config=config, optimizer=rule))
    given = backend.copy(backend.to_device(params or parameters(which)))
    running = backend.to_device(np.zeros(ROWS))
    result = step(
        given,
        rule.init(given),
        running,
        backend.to_device(transitions),
        backend.to_device(order(config)),
        learning_rate,
    )
    return backend.to_numpy(result)


def plain_update(params, data, config, indices, learning_rate):
    """PPO as a tutorial writes it: loops, one tensor a parameter, torch's own Adam."""
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    adam = torch.optim.Adam(weights.values(), lr=learning_rate, eps=1e-5)
    t = {name: torch.tensor(value) for name, value in data.items() if isinstance(value, np.ndarray)}
    value = torch.tensor(data["outputs"]["value"])
    following = torch.cat([value[1:], torch.tensor(data["last_outputs"]["value"])[None]])
    final = torch.tensor(data["final_outputs"]["value"])
    advantage, tail = torch.zeros_like(value), torch.zeros(ROWS, dtype=torch.float64)
    for step in reversed(range(STEPS)):
        for row in range(ROWS):
            terminated, truncated = bool(t["terminated"][step, row]), bool(t["truncated"][step, row])
            bootstrap = 0.0 if terminated else (final if truncated else following)[step, row]
            delta = t["reward"][step, row] + config.gamma * bootstrap - value[step, row]
            carried = 0.0 if terminated or truncated else config.gamma * config.gae_lambda * tail[row]
            tail[row] = delta + carried
            advantage[step, row] = tail[row]
    target = advantage + value
    advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
    observation = torch.tensor(data["inputs"]["observation"][:-1]).reshape(-1, FEATURES)
    for minibatches in indices:
        for index in minibatches:
            x = observation[index]
            hidden = torch.tanh(x @ weights["actor.0.weight"] + weights["actor.0.bias"])
            logits = hidden @ weights["actor.logits.weight"] + weights["actor.logits.bias"]
            seen = torch.tanh(x @ weights["critic.0.weight"] + weights["critic.0.bias"])
            new_value = (seen @ weights["critic.value.weight"] + weights["critic.value.bias"])[:, 0]
            choice = torch.distributions.Categorical(logits=logits)
            ratio = torch.exp(choice.log_prob(t["action"].reshape(-1)[index]) - t["log_prob"].reshape(-1)[index])
            gain = advantage.reshape(-1)[index]
            surrogate = torch.min(ratio * gain, ratio.clamp(1 - config.clip, 1 + config.clip) * gain).mean()
            error = 0.5 * (new_value - target.reshape(-1)[index]).pow(2).mean()
            loss = config.value_coefficient * error - surrogate - config.entropy_coefficient * choice.entropy().mean()
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(weights.values()), config.max_grad_norm)
            adam.step()
    return {name: weight.detach().numpy() for name, weight in weights.items()}


def test_equals_a_plain_update_in_float64(backend):
    which, config = policy(), PpoConfig(epochs=3, minibatches=4, entropy_coefficient=0.01)
    expected = plain_update(parameters(which), rollout(), config, order(config), 0.01)
    params, _, _, metrics = learn(backend, which, config, rollout())
    assert params.keys() == expected.keys()
    for name, value in expected.items():
        # Gradient clipping divides by (norm + 1e-6) there, and by the norm here.
        np.testing.assert_allclose(params[name], value, rtol=0, atol=1e-6)
    assert all(np.isfinite(value) for value in metrics.values())


def test_inactive_transitions_change_nothing(backend):
    which, config = policy(), PpoConfig(epochs=1, minibatches=1)
    active = np.ones((STEPS, ROWS), bool)
    active[2, 1] = active[4, 3] = False
    params = []
    for garbage in (0.0, 1e3):
        data = rollout(active=active)
        data["action"] = np.where(active, data["action"], 0 if garbage else 2)
        data["inputs"]["observation"][:-1][~active] = garbage
        data["outputs"]["value"][~active] = 0.25  # bootstrapped from by the step before
        data["reward"] = np.where(active, data["reward"], garbage)
        params.append(learn(backend, which, config, data)[0])
    for name, value in params[0].items():
        np.testing.assert_allclose(value, params[1][name], atol=1e-9)


def test_the_last_step_of_a_rollout_is_learned_from():
    data = rollout(terminated=np.zeros((STEPS, ROWS), bool), truncated=np.zeros((STEPS, ROWS), bool))
    config = PpoConfig(normalize_advantage=False)
    batch, _ = make_batch(numpy_ops, data, data["reward"], config)
    last = data["reward"][-1] + config.gamma * data["last_outputs"]["value"] - data["outputs"]["value"][-1]
    np.testing.assert_allclose(batch["advantage"].reshape(STEPS, ROWS)[-1], last, atol=1e-12)


def test_truncation_bootstraps_from_the_final_observation():
    data = rollout()
    config = PpoConfig(normalize_advantage=False)
    batch, _ = make_batch(numpy_ops, data, data["reward"], config)
    advantage = batch["advantage"].reshape(STEPS, ROWS)
    cut = data["truncated"]
    assert cut.any()
    expected = data["reward"] + config.gamma * data["final_outputs"]["value"] - data["outputs"]["value"]
    np.testing.assert_allclose(advantage[cut], expected[cut], atol=1e-12)
    gone = data["terminated"]
    np.testing.assert_allclose(advantage[gone], (data["reward"] - data["outputs"]["value"])[gone], atol=1e-12)


def test_target_kl_stops_between_epochs(backend):
    which = policy()
    once = PpoConfig(epochs=1, minibatches=2)
    stopped = PpoConfig(epochs=5, minibatches=2, target_kl=1e-9)
    first, second = (order(config) for config in (once, stopped))
    assert (first[0] == second[0]).all()
    expected = learn(backend, which, once, rollout(), learning_rate=0.05)[0]
    found = learn(backend, which, stopped, rollout(), learning_rate=0.05)[0]
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_rewards_are_scaled_by_the_return_and_never_centred(backend):
    which, config = policy(), PpoConfig(epochs=1, minibatches=1, normalize_reward=True)
    stats = {REWARD_STATS + name: value for name, value in moments_init(()).items()}
    small, large = (
        learn(backend, which, config, rollout(reward=scale * np.ones((STEPS, ROWS))), params=parameters(which, **stats))
        for scale in (1.0, 1000.0)
    )
    for name, value in small[0].items():
        if not name.startswith("stats."):
            np.testing.assert_allclose(value, large[0][name], atol=1e-4)
    assert large[0][REWARD_STATS + "variance"] > 1e5 * small[0][REWARD_STATS + "variance"]


def test_observation_statistics_move_after_learning(backend):
    which, config = policy(normalize_observation=True), PpoConfig(epochs=1, minibatches=1)
    data = rollout()
    data["inputs"]["observation"] += 5.0
    params = learn(backend, which, config, data)[0]
    seen = data["inputs"]["observation"][:-1].reshape(-1, FEATURES)
    np.testing.assert_allclose(params["stats.observation.mean"], seen.mean(axis=0), rtol=1e-3)
    np.testing.assert_allclose(params["stats.observation.variance"], seen.var(axis=0), rtol=1e-2)
