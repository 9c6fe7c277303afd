"""What it costs to learn with a torch module through Puffer: one PPO minibatch, forward and backward.

`ours` is `value_and_grad(ppo_loss)` with a `ModulePolicy`; `plain` the same module, called as any torch module is, with
the same loss written straight in torch. One process and one thread, in turn; CPU time; medians.

    python benchmarks/modules.py [--rounds 60]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from puffer_backend_torch import ModulePolicy
from puffer_backend_torch.backend import TorchBackend
from puffer_core import Layout, PolicyInterface
from puffer_ppo.config import PpoConfig
from puffer_ppo.loss import ppo_loss

OBSERVATION, ACTION = gymnasium.spaces.Box(-1, 1, (4,)), gymnasium.spaces.Discrete(2)
SIZES = (256, 2048)
CALLS = 20
CONFIG = PpoConfig()


class Net(nn.Module):
    """Two layers of 64."""

    def __init__(self, observation_space: Any, action_space: Any) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        self.actor, self.critic = nn.Linear(64, 2), nn.Linear(64, 1)

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(observation)
        return self.actor(x), self.critic(x)


class Mine(ModulePolicy):
    module = Net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="slices of each")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for rows in SIZES:
        found = measured(rows, rounds)
        ratio = found["ours"] / found["plain"]
        print(f"{rows:5} rows  plain {found['plain']:6.0f} us  ours {found['ours']:6.0f} us  ratio {ratio:.2f}")


def measured(rows: int, rounds: int) -> dict[str, float]:
    """Microseconds of CPU time of one minibatch."""
    interface = PolicyInterface(observation=Layout.of(OBSERVATION), action=Layout.of(ACTION))
    policy, backend, batch = Mine({}, interface), TorchBackend(), batch_of(rows)
    params = backend.to_device(policy.init(np.random.default_rng(0)))
    net = Net(OBSERVATION, ACTION)
    net.load_state_dict(params)
    weights = list(net.parameters())
    differentiated = backend.ops.value_and_grad(
        lambda params, batch: ppo_loss(backend.ops, params, batch, (), policy=policy, config=CONFIG)
    )

    def plain() -> Tensor:
        loss = plain_loss(net, batch)
        torch.autograd.grad(loss, weights)
        return loss.detach()

    arms = {"plain": plain, "ours": lambda: differentiated(params, batch)[0][0]}
    torch.testing.assert_close(arms["ours"](), plain())
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, call in arms.items():
            began = time.process_time()
            for _ in range(CALLS):
                call()
            seconds[name].append(time.process_time() - began)
    return {name: statistics.median(taken) / CALLS * 1e6 for name, taken in seconds.items()}


def batch_of(rows: int) -> Any:
    noise = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(1, rows, *shape, generator=noise)

    return {
        "inputs": {"observation": drawn(4)},
        "reset": torch.zeros(1, rows, dtype=torch.bool),
        "action": (drawn() > 0).long(),
        "log_prob": 0.01 * drawn() - 0.7,
        "value": drawn(),
        "advantage": drawn(),
        "target": drawn(),
        "weight": torch.ones(1, rows),
    }


def plain_loss(net: Net, batch: Any) -> Tensor:
    """PPO's loss as it is written in torch."""
    flat = {name: x.flatten() for name, x in batch.items() if name != "inputs"}
    logits, value = net(batch["inputs"]["observation"].flatten(0, 1))
    log_probs = torch.log_softmax(logits, -1)
    chosen = log_probs.gather(-1, flat["action"][:, None])[:, 0]
    ratio, advantage = torch.exp(chosen - flat["log_prob"]), flat["advantage"]
    gain = torch.minimum(ratio * advantage, torch.clamp(ratio, 1 - CONFIG.clip, 1 + CONFIG.clip) * advantage)
    value, old, target = value[:, 0], flat["value"], flat["target"]
    error = (value - target).square()
    if CONFIG.value_clip is not None:
        near = old + torch.clamp(value - old, -CONFIG.value_clip, CONFIG.value_clip)
        error = torch.maximum(error, (near - target).square())
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    cost = 0.5 * CONFIG.value_coefficient * error - gain - CONFIG.entropy_coefficient * entropy
    return (flat["weight"] * cost).mean()


if __name__ == "__main__":
    main()
