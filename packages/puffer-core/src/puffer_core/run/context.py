"""What a trainer is given: env, policy, backend, collector, random streams, each built when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from puffer_core.collection.batches import divided, joined
from puffer_core.collection.device import DeviceCollector
from puffer_core.collection.host import HostCollector
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.checkpointable import Checkpointable
from puffer_core.contracts.env import DeviceEnv, VectorEnv, VectorEnvSpec
from puffer_core.contracts.logger import MetricLogger
from puffer_core.contracts.policy import Policy, PolicyInterface
from puffer_core.contracts.trainer import Collector, Trainer
from puffer_core.errors import PluginError, UnsupportedError, UsageError
from puffer_core.peers import Peers
from puffer_core.plan import Component, RunPlan, VectorConfig
from puffer_core.plugins import PluginHost, Provided
from puffer_core.specs import EnvSpec, PolicySpec, Spec
from puffer_core.streams import Streams
from puffer_core.vector.declaring import declared

if TYPE_CHECKING:
    from puffer_core.vector.choosing import Choice

EVALUATION_ROWS = 64
"""Environments of an evaluation, at most: enough for speed, few enough for memory."""
_CORE = frozenset({"policy", "trainer", "streams", "collector", "run"})


class RunContext:
    """Implements `TrainerContext` for one run of a plan. `close` frees what was built.

    Args:
        plan: every choice of the run.
        host: loads the components.
        on_choice: told where `--vector.mode auto` was settled.
    """

    def __init__(self, plan: RunPlan, host: PluginHost, on_choice: Callable[[Choice], object] = lambda _: None) -> None:
        self.plan = plan
        self.host = host
        self._on_choice = on_choice
        self.seed = plan.options.seed
        self.total_steps = plan.options.total_steps
        self.streams = Streams(self.seed)
        self._collector: HostCollector | DeviceCollector | None = None
        self._load_collector: Callable[[HostCollector | DeviceCollector], None] | None = None
        self._policies: list[Policy] = []

    @cached_property
    def backend(self) -> Backend:
        """The run's engine.

        Raises:
            UsageError: trainer, policy or env do not run on it, or a launcher started several processes for nothing.
        """
        _check_alone(self.plan.trainer.spec)
        engine: Backend = self._build(self.plan.backend)
        users = (self.plan.trainer, self.plan.policy, *([self.plan.env] if self.plan.env else []))
        for user in users:
            _check_runs_on(user.spec, engine.name)
        return engine

    @cached_property
    def acting_backend(self) -> Backend:
        """The engine that acts: NumPy where arrays are in host memory and the policy allows it."""
        return acting_backend(self.backend, self.plan.policy_spec)

    @cached_property
    def device_env(self) -> DeviceEnv | None:
        """The env that is learned in, where it is a device env.

        Raises:
            UsageError: `--vector.*` asks for what such an env does not have, or its options are wrong.
            EnvError: it cannot be made.
        """
        env = self._env_component()
        target = self.host.load(env)
        if declared(env, target).interface != "device":
            return None
        from puffer_core.vector.device import make_device_env

        return make_device_env(env, target, env.config, self.plan.vector)

    @cached_property
    def vector_envs(self) -> tuple[VectorEnv, ...]:
        """The env that is learned in, as the batches that it is stepped in."""
        from puffer_core.vector.shares import cores

        component = self._env_component()
        with ExitStack() as made:
            envs = []
            for vector in divided(self._settled_vector(), cores()):
                envs.append(make_env(self.host, component, component.config, vector))
                made.callback(envs[-1].close)
            made.pop_all()
        return tuple(envs)

    @property
    def worker_pids(self) -> list[int]:
        """Of the processes that step the run's env beside this one, as they are now."""
        return [pid for env in self.__dict__.get("vector_envs", ()) for pid in getattr(env, "pids", ())]

    def worker_stacks(self) -> dict[int, str]:
        """Where each of them stands, by pid; for a thread that watches."""
        envs = self.__dict__.get("vector_envs", ())
        return {pid: text for env in envs for pid, text in getattr(env, "stacks", dict)().items()}

    def _settled_vector(self) -> VectorConfig:
        """How the env is stepped; where its mode is `auto`, a short look at the env settles it."""
        from puffer_core.vector.choosing import choose
        from puffer_core.vector.shares import cores

        if self.plan.settled is not None:
            return self.plan.settled
        component, vector = self._env_component(), self.plan.vector
        divided(vector, cores())  # what cannot be shared out is refused before anything is measured
        choice = choose(component, self.host.load(component), component.config, vector, env_steps=self.total_steps)
        if choice is None:
            return vector
        self._on_choice(choice)
        shared_out = vector.batches == 2 and not vector.workers  # by `divided`, which finds an even number
        return choice.vector.model_copy(update={"workers": 0}) if shared_out else choice.vector

    @cached_property
    def env(self) -> VectorEnvSpec:
        """What the run's env looks like, all batches together."""
        if self.device_env is not None:
            return replace(self.device_env.spec, snapshot=True)
        return joined([env.spec for env in self.vector_envs])

    def make_env(self, num_envs: int) -> VectorEnv:
        """A vector env of the run's kind, of its own.

        Raises:
            EnvError: it cannot be made.
            UsageError: the run has no env.
        """
        component = self._env_component()
        vector = resized(self.plan.vector, num_envs)
        return make_env(self.host, component, component.config, vector, self.backend)

    def _env_component(self) -> Component:
        if self.plan.env is None:
            raise UsageError(f"this run has no env: {self.plan.trainer.spec.name} learns from {self.plan.source}")
        return self.plan.env

    def policy(self, *, outputs: frozenset[str] = frozenset({"value"})) -> Policy:
        """The run's policy, between the env's spaces and the outputs asked for."""
        spec = self.env
        interface = PolicyInterface(
            observation=spec.observation, action=spec.action, global_state=spec.global_state, outputs=outputs
        )
        policy: Policy = self._build(self.plan.policy, interface)
        self._policies.append(policy)
        return policy

    def provides(self, policy: Policy) -> bool:
        """Whether `policy` was made by this context, so that the plan says how to make it again."""
        return any(policy is own for own in self._policies)

    def generator(self, name: str) -> np.random.Generator:
        """A random stream of this name; its state is saved with the run."""
        return self.streams.generator(name)

    def collector(self, policy: Policy, *, horizon: int) -> Collector:
        """Collection of `horizon` steps a time from the run's env; a run has one collector.

        Raises:
            UnsupportedError: it was asked for twice.
        """
        if self._collector is not None:
            raise UnsupportedError("the run's collector was asked for twice; a trainer collects with one")
        collector = self._new_collector(policy, horizon)
        if self._load_collector is not None:
            self._load_collector(collector)
        self._collector = collector
        return collector

    def _new_collector(self, policy: Policy, horizon: int) -> HostCollector | DeviceCollector:
        backend, seed, rng = self.backend, self.streams.fixed("env"), self.generator("acting")
        if self.device_env is not None:
            return DeviceCollector(self.device_env, policy, backend=backend, horizon=horizon, seed=seed, rng=rng)
        return HostCollector(
            self.vector_envs,
            policy,
            backend=backend,
            horizon=horizon,
            seed=seed,
            rng=rng,
            acting_backend=self.acting_backend,
            poison=self.plan.vector.poison,
        )

    @property
    def collects(self) -> Collector | None:
        """The collector, once a trainer has asked for it."""
        return self._collector

    def restore_collector(self, state: dict[str, Any], instead: Callable[[str], object] | None = None) -> None:
        """Load a state into the collector, now or when a trainer asks for it.

        Args:
            state: of the collector.
            instead: see `HostCollector.load_state_dict`.
        """
        self._load_collector = lambda collector: collector.load_state_dict(state, instead=instead)
        if self._collector is not None:
            self._load_collector(self._collector)

    @cached_property
    def plugin_components(self) -> dict[str, tuple[Checkpointable, Provided]]:
        """Components that plugins add to every run, by name.

        Raises:
            PluginError: two have one name, or a name that is the core's.
        """
        components: dict[str, tuple[Checkpointable, Provided]] = {}
        for provided in self.host.provided("checkpointable"):
            name = provided.spec.name
            if name in _CORE or name in components:
                raise PluginError(
                    f"{provided.distribution}: the name {name!r} of its run component is taken",
                    remedy=f"leave one of them out with -p no:{provided.distribution}",
                )
            model = self.host.load_config(provided)
            target = self.host.load(provided)
            components[name] = (target(model() if model else {}, self), provided)
        return components

    def trainer(self) -> Trainer:
        """The run's trainer, built anew."""
        trainer: Trainer = self._build(self.plan.trainer, self)
        return trainer

    def logger(self, component: Component) -> MetricLogger:
        """A chosen metric logger."""
        logger: MetricLogger = self._build(component)
        return logger

    def close(self) -> None:
        """Close the env, if it was made: every batch, even where one fails. Safe to call twice."""
        with ExitStack() as stack:
            for env in self.__dict__.get("vector_envs", ()):
                stack.callback(env.close)

    def _build(self, component: Component, *arguments: Any) -> Any:
        return self.host.load(component)(component.config, *arguments)


def make_env(
    host: PluginHost,
    provided: Provided,
    options: dict[str, Any],
    vector: VectorConfig,
    backend: Backend | None = None,
) -> VectorEnv:
    """The vector env that a description and options give.

    Args:
        host: loads it.
        provided: its description and who provides it.
        options: by name.
        vector: how many environments, and where they are stepped.
        backend: the engine that steps a device env, where it can; one that is installed otherwise.

    Raises:
        EnvError: it cannot be made.
        UnsupportedError: its spaces cannot be served, or no backend is installed that steps it.
    """
    target = host.load(provided)
    if declared(provided, target).interface == "device":
        from puffer_core.vector.device import DeviceVectorEnv, backend_for, make_device_env

        assert isinstance(provided.spec, EnvSpec)
        env = make_device_env(provided, target, options, vector)
        return DeviceVectorEnv(env, backend_for(host, provided.spec, backend))
    from puffer_core.vector import make_vector_env

    return make_vector_env(provided, target, options, vector)


def resized(vector: VectorConfig, num_envs: int) -> VectorConfig:
    """The same way of stepping another number of environments, in one batch.

    Example:
        >>> resized(VectorConfig(num_envs=64, workers=8, isolate=True, batches=2), 5).workers
        5
    """
    most = num_envs if vector.isolate else max(1, num_envs - 1)
    return vector.model_copy(update={"num_envs": num_envs, "workers": min(vector.workers, most), "batches": 1})


def acting_backend(backend: Backend, policy: PolicySpec) -> Backend:
    """NumPy, over the same bytes as `backend`, where both allow it; `backend` itself otherwise."""
    if backend.name == "numpy" or not (backend.on_host and policy.runs_on("numpy")):
        return backend
    from puffer_core.numpy_backend import NumpyBackend, NumpyConfig

    return NumpyBackend(NumpyConfig())


def _check_alone(trainer: Spec) -> None:
    peers = Peers.launched()
    if peers is not None and "distributed" not in trainer.capabilities:
        raise UsageError(
            f"trainer {trainer.name} trains in one process, but WORLD_SIZE is {peers.world_size}",
            remedy="start it without a launcher and without RANK and WORLD_SIZE; --seeds trains several runs at once",
        )


def _check_runs_on(spec: Spec, backend: str) -> None:
    if not spec.runs_on(backend):
        raise UsageError(
            f"--backend {backend}: {spec.KIND} {spec.name} runs on {', '.join(sorted(spec.backends))}",
            remedy=f"add --backend {min(spec.backends)}, or choose another {spec.KIND}",
        )
