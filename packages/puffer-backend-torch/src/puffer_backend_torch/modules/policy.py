"""A policy that is a `torch.nn.Module`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel

from puffer_backend_torch.process import wait_passively

wait_passively()  # OpenMP reads its environment when torch is imported

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn.parameter import is_lazy  # noqa: E402

from puffer_backend_torch.modules.calling import Call, reads_of  # noqa: E402
from puffer_backend_torch.modules.options import options_of  # noqa: E402
from puffer_backend_torch.modules.slots import Slots, own_noise  # noqa: E402
from puffer_backend_torch.modules.trial import Trial, mode, try_once  # noqa: E402
from puffer_core.arrays import Params, Tree, is_trainable, map_tree  # noqa: E402
from puffer_core.contracts.ops import Ops, Rng  # noqa: E402
from puffer_core.contracts.policy import Inputs, Outputs, PolicyInterface  # noqa: E402
from puffer_core.errors import PufferError, UnsupportedError, UsageError  # noqa: E402

LEAST_ROWS = 2
"""Batch normalisation learns from two rows or more."""


class ModulePolicy:
    """A `torch.nn.Module` as a policy, on the backend torch alone; implements `Policy` and `ExportsItself`.

    A subclass names the module, which is all of the registration that `--policy py:FILE:CLASS` needs; docs/modules.md
    says what constructor and forward are given and give.

    Parameters keep their names; buffers, and parameters without gradient, are `stats.NAME`. The module computes in
    evaluation mode, in acting and in learning alike; buffers that it changes in training mode (BatchNorm's running
    statistics) are brought up to date once a rollout.

    Args:
        config: options, of the class's `Config` or as a mapping: keyword arguments of the module's constructor.
        interface: the spaces and the outputs that the trainer learns from.

    Raises:
        UsageError: the constructor or forward does not fit; says what was expected.
        UnsupportedError: the trainer asks for outputs that forward does not give, or the module draws random numbers.

    Example:
        >>> import gymnasium
        >>> from puffer_core import Layout
        >>> from puffer_backend_torch.backend import TorchBackend
        >>> class Net(nn.Module):
        ...     def __init__(self, observation_space, action_space, hidden: int = 8):
        ...         super().__init__()
        ...         self.body = nn.Linear(observation_space.shape[0], hidden)
        ...         self.actor, self.critic = nn.Linear(hidden, action_space.n), nn.Linear(hidden, 1)
        ...     def forward(self, observation):
        ...         x = torch.tanh(self.body(observation))
        ...         return self.actor(x), self.critic(x)
        >>> class Mine(ModulePolicy):
        ...     module = Net
        >>> interface = PolicyInterface(
        ...     observation=Layout.of(gymnasium.spaces.Box(-1, 1, (3,))), action=Layout.of(gymnasium.spaces.Discrete(2))
        ... )
        >>> policy, backend = Mine(Mine.Config(hidden=16), interface), TorchBackend()
        >>> params = backend.to_device(policy.init(np.random.default_rng(0)))
        >>> inputs, reset = backend.to_device(({"observation": np.zeros((1, 5, 3))}, np.zeros((1, 5), bool)))
        >>> outputs, _ = policy.apply(backend.ops, params, inputs, (), reset, None)
        >>> outputs["logits"].shape, outputs["value"].shape
        (torch.Size([1, 5, 2]), torch.Size([1, 5]))
    """

    module: ClassVar[type[nn.Module]]
    """The user's class."""
    Config: ClassVar[type[BaseModel]]
    """Options; where a subclass has none of its own, made of the module's constructor."""
    backends: ClassVar[frozenset[str]] = frozenset({"torch"})

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        module = getattr(cls, "module", None)
        if not (isinstance(module, type) and issubclass(module, nn.Module)):
            raise UsageError(f"{cls.__name__}.module is {module!r}, expected a class of torch.nn.Module")
        if "Config" not in vars(cls):
            cls.Config = options_of(module)

    def __init__(self, config: BaseModel | Mapping[str, Any], interface: PolicyInterface) -> None:
        self.config = config if isinstance(config, BaseModel) else self.Config.model_validate(config)
        self.interface = interface
        self._reads = reads_of(self.module)
        self.inputs = frozenset(self._reads.inputs)
        self._call = self._build(0)
        self._slots = Slots(self._call.module)
        self._trial = Trial(self._call, self._slots, interface)
        self._first = next(name for name in self._slots.tensors if is_trainable(name))

    def init(self, rng: np.random.Generator) -> Params:
        """Fresh parameters, as the module's constructor makes them with torch's noise seeded by `rng`."""
        return Slots(self._build(int(rng.integers(2**63))).module).arrays()

    def initial_carry(self, rows: int) -> Tree:
        """The module's `initial_carry`; nothing for a module without memory."""
        return map_tree(lambda x: x.detach().expand(rows, *x.shape[1:]).numpy().copy(), self._call.initial)

    def apply(
        self, ops: Ops, params: Params, inputs: Inputs, carry: Tree, reset: Tensor, rng: Rng | None
    ) -> tuple[Outputs, Tree]:
        """What the module's forward gives for every step, by name, `[time, rows, ...]`."""
        if ops.name != "torch":
            raise UnsupportedError(
                f"policy {type(self).__name__} is a torch module: it runs on torch, not on {ops.name}"
            )
        with self._slots.filled(params):
            return self._call.on_sequences(inputs, carry, reset, params[self._first].dtype)

    def update_stats(self, ops: Ops, params: Params, inputs: Inputs, weight: Tensor) -> Params:
        """Buffers that the module changes in training mode, after one pass in it over the entries that count."""
        counts = torch.flatten(weight) > 0
        if not self._trial.moving or int(counts.sum()) < LEAST_ROWS:
            return params
        moved = {name: params[name].clone() for name in self._trial.moving}
        read = {name: inputs[name] for name in self._reads.inputs}
        seen = map_tree(lambda x: torch.flatten(x, 0, 1)[counts][None], read)
        reset = torch.zeros_like(counts[counts])[None]
        with self._slots.filled(params | moved), mode(self._call.module, training=True):
            self._call.on_sequences(seen, (), reset, params[self._first].dtype)
            return params | self._slots.current(list(moved))

    def to_onnx(self, params: Params, *, opset: int) -> bytes:
        """The module as a graph, by torch's own exporter.

        Raises:
            UnsupportedError: something in it has no place in a graph; names it.
            UsageError: onnxscript is not installed, or the opset is none of 18 to 23.
        """
        from puffer_backend_torch.modules.export import to_onnx  # imports what exporting alone needs

        call = self._build(0)
        with torch.no_grad():
            for name, tensor in Slots(call.module).tensors.items():
                tensor.copy_(torch.from_numpy(np.array(params[name])))
        return to_onnx(call, self.interface, opset)

    def _build(self, seed: int) -> Call:
        """The module, in evaluation mode, its first weights drawn from this seed."""
        with own_noise(seed):
            call = Call(self._construct().eval().float(), self._reads, self.interface)
            if any(map(is_lazy, call.module.parameters())):
                try_once(call, self.interface, 1)  # which is when lazy parameters get their shapes
        return call

    def _construct(self) -> nn.Module:
        spaces = self.interface.observation.space, self.interface.action.space
        options = {name: getattr(self.config, name) for name in type(self.config).model_fields}
        try:
            return self.module(*spaces, **options)
        except PufferError:
            raise
        except Exception as error:
            raise UnsupportedError(
                f"{self.module.__name__}({', '.join(map(str, spaces))}, ...): {type(error).__name__}: {error}",
                remedy="its constructor takes the observation space, the action space, and options by keyword",
            ) from error
