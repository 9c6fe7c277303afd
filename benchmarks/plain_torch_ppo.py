"""PPO on torch alone, for `neutrality.py`: no ops table, no policy package, no hand-written gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from puffer_core.contracts.env import EnvBuffers

GAMMA, LAMBDA, CLIP, VALUE, MAX_NORM, EPOCHS, MINIBATCHES = 0.99, 0.95, 0.2, 0.5, 0.5, 4, 4


class PlainPpo:
    """Two separate tanh networks, whole transitions shuffled, clipped surrogate, generalised advantages.

    Args:
        params: first weights, by Puffer's names, `[in, out]`.
        env: a `VectorEnv` of one discrete action, unbound.
        horizon: steps an update.
        seed: of the env, of actions and of the order of minibatches.
    """

    def __init__(self, params: dict[str, np.ndarray], env: Any, horizon: int, seed: int) -> None:
        self.params = {name: torch.tensor(_turned(name, value), requires_grad=True) for name, value in params.items()}
        self.optimizer = torch.optim.Adam(self.params.values(), lr=3e-4, eps=1e-5, fused=True)
        self.env, self.horizon, self.rows = env, horizon, env.spec.rows
        self.order = np.random.default_rng(seed)
        self.noise = torch.Generator().manual_seed(seed)
        self.buffers = EnvBuffers.allocate(env.spec, horizon + 1)
        self.tensors = {name: torch.from_numpy(array) for name, array in self.buffers.arrays().items()}
        env.bind(self.buffers)
        env.reset(seed)
        self.begun = False

    def weights(self) -> dict[str, np.ndarray]:
        """By Puffer's names and in its shapes."""
        return {name: _turned(name, value.detach().numpy()) for name, value in self.params.items()}

    def network(self, name: str, head: str, x: Tensor) -> Tensor:
        p = self.params
        for layer in (f"{name}.0", f"{name}.1"):
            x = torch.tanh(functional.linear(x, p[f"{layer}.weight"], p[f"{layer}.bias"]))
        return functional.linear(x, p[f"{name}.{head}.weight"], p[f"{name}.{head}.bias"])

    def update(self) -> float:
        return self.learn(self.collect(), self.draw_order())

    def draw_order(self) -> Tensor:
        count = self.rows * self.horizon
        size = count // MINIBATCHES
        orders = [self.order.permutation(count)[: MINIBATCHES * size].reshape(MINIBATCHES, size) for _ in range(EPOCHS)]
        return torch.from_numpy(np.stack(orders))

    @torch.no_grad()
    def collect(self) -> dict[str, Tensor]:
        """`horizon` steps of every row."""
        steps, rows = self.horizon, self.rows
        slots = self.tensors
        if self.begun:
            self.buffers.wrap()
        self.begun = True
        action = torch.empty((steps, rows), dtype=torch.int64)
        log_prob, value = torch.empty((steps, rows)), torch.zeros((steps + 1, rows))
        final_value = torch.zeros((steps, rows))
        for t in range(steps):
            x = slots["observation"][t]
            log_probs = functional.log_softmax(self.network("actor", "logits", x), dim=-1)
            action[t] = torch.multinomial(log_probs.exp(), 1, generator=self.noise)[:, 0]
            log_prob[t] = log_probs.gather(1, action[t][:, None])[:, 0]
            value[t] = self.network("critic", "value", x)[:, 0]
            self.env.step(action[t].numpy(), t + 1)
            if (cut := slots["truncated"][t + 1]).any():
                final_value[t, cut] = self.network("critic", "value", slots["final_observation"][t + 1][cut])[:, 0]
        value[-1] = self.network("critic", "value", slots["observation"][-1])[:, 0]
        return {
            "observation": slots["observation"][:-1],
            "action": action,
            "log_prob": log_prob,
            "value": value,
            "final_value": final_value,
            "reward": slots["reward"][1:],
            "terminated": slots["terminated"][1:],
            "truncated": slots["truncated"][1:],
        }

    def take(self, rollout: dict[str, Any]) -> dict[str, Tensor]:
        """A rollout of Puffer's as `collect` gives it."""
        names = ("action", "log_prob", "reward", "terminated", "truncated")
        value = torch.cat([rollout["outputs"]["value"], rollout["last_outputs"]["value"][None]])
        return {name: rollout[name] for name in names} | {
            "observation": rollout["inputs"]["observation"][:-1],
            "value": value,
            "final_value": rollout["final_outputs"]["value"],
        }

    @torch.no_grad()
    def advantages(self, rollout: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        value, terminated, truncated = rollout["value"], rollout["terminated"], rollout["truncated"]
        reward = rollout["reward"] + GAMMA * rollout["final_value"] * (truncated & ~terminated)
        discount = GAMMA * (~(terminated | truncated)).float()
        delta = reward + discount * value[1:] - value[:-1]
        advantage = torch.empty_like(delta)
        last = torch.zeros_like(delta[0])
        for t in reversed(range(len(delta))):
            last = advantage[t] = delta[t] + LAMBDA * discount[t] * last
        target = (advantage + value[:-1]).flatten()
        advantage = advantage.flatten()
        return (advantage - advantage.mean()) / (advantage.std(unbiased=False) + 1e-8), target

    def learn(self, rollout: dict[str, Tensor], order: Tensor) -> float:
        """Every epoch and minibatch; the mean loss of the last epoch."""
        advantage, target = self.advantages(rollout)
        observation = rollout["observation"].flatten(0, 1)
        action, log_prob = rollout["action"].flatten(), rollout["log_prob"].flatten()
        for epoch in order:
            losses = []
            for index in epoch:
                x, a = observation[index], action[index]
                log_probs = functional.log_softmax(self.network("actor", "logits", x), dim=-1)
                ratio = torch.exp(log_probs.gather(1, a[:, None])[:, 0] - log_prob[index])
                gain = advantage[index]
                surrogate = torch.min(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain).mean()
                error = (self.network("critic", "value", x)[:, 0] - target[index]).square().mean()
                loss = 0.5 * VALUE * error - surrogate
                self.optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.params.values(), MAX_NORM)
                self.optimizer.step()
                losses.append(loss.detach())
        return torch.stack(losses).mean().item()


def _turned(name: str, value: np.ndarray) -> np.ndarray:
    """Puffer keeps weights as `[in, out]`, torch as `[out, in]`."""
    return np.ascontiguousarray(value.T) if name.endswith("weight") else value
