"""Modules as a user writes them."""

from __future__ import annotations

import torch
from torch import nn

from puffer_backend_torch import ModulePolicy


class Net(nn.Module):
    """Normalised by running statistics: their mean over all rollouts."""

    def __init__(self, observation_space, action_space, hidden: int = 64):
        super().__init__()
        self.norm = nn.BatchNorm1d(observation_space.shape[0], momentum=None)
        self.body = nn.Sequential(nn.Linear(observation_space.shape[0], hidden), nn.Tanh())
        self.actor = nn.Linear(hidden, action_space.n)
        self.critic = nn.Linear(hidden, 1)

    def forward(self, observation):
        x = self.body(self.norm(observation))
        return self.actor(x), self.critic(x)


class Mine(ModulePolicy):
    module = Net


class Cell(nn.Module):
    """One step of a GRU."""

    def __init__(self, observation_space, action_space, hidden: int = 16):
        super().__init__()
        self.cell = nn.GRUCell(observation_space.shape[0], hidden)
        self.actor = nn.Linear(hidden, action_space.n)
        self.critic = nn.Linear(hidden, 1)

    def initial_carry(self, rows):
        return torch.zeros(rows, self.cell.hidden_size)

    def forward(self, observation, carry):
        carry = self.cell(observation, carry)
        return self.actor(carry), self.critic(carry), carry


class Remembers(ModulePolicy):
    module = Cell


class Wrong(ModulePolicy):
    """Its module gives a logit for every observation's element, not for every action."""

    class module(Net):  # noqa: N801  what a subclass names
        def forward(self, observation):
            return observation, self.critic(self.body(observation))
