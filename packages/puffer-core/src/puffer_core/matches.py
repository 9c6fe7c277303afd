"""Who acts in which env: what an evaluation of a run, or of an exported file, is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from puffer_core.contracts.backend import Backend
from puffer_core.contracts.env import VectorEnvSpec
from puffer_core.contracts.policy import Agent
from puffer_core.errors import CheckpointError, UsageError
from puffer_core.exporting import open_file
from puffer_core.loaded_policy import LoadedAgent, load_agent
from puffer_core.plan import VectorConfig
from puffer_core.plugins import PluginHost, Provided
from puffer_core.run.directory import Run
from puffer_core.run.fitting import check_env
from puffer_core.streams import Streams


@dataclass(frozen=True)
class Match:
    """An agent, and the env that it acts in.

    Args:
        source: the checkpoint or the file that the agent is from.
        agent: parameters are arrays of `backend`.
        backend: the engine that acts.
        masked: the agent learned with action masks.
        env: who provides the env.
        options: of the env.
        vector: how it is stepped.
        seed: of envs and sampling, where none is told.
        checkpoint: `source`, if it is one.
        remedy: where the agent does not fit the env.
    """

    source: Path
    agent: Agent
    backend: Backend
    masked: bool
    env: Provided
    options: dict[str, Any]
    vector: VectorConfig
    seed: int
    checkpoint: Path | None
    remedy: str

    def check(self, env: VectorEnvSpec) -> None:
        """Whether the env, now that it is made, is one for this agent.

        Raises:
            CheckpointError: it is not; says what differs.
        """
        fits, name = self.agent.policy.interface, self.env.spec.name
        check_env(self.source, fits, env, name=name, masked=self.masked, remedy=self.remedy)


def match_of_run(run: Run, path: Path, host: PluginHost) -> Match:
    """What one of a run's checkpoints learned, in the run's own env.

    Raises:
        CheckpointError: it holds no policy, or one that cannot be made again.
    """
    saved, backend = acting(run, path, host)
    return Match(
        source=path,
        agent=saved.agent,
        backend=backend,
        masked=saved.masked,
        env=host.find_env(option(run, "source")),
        options=dict(option(run, "env")),
        vector=VectorConfig.model_validate(option(run, "vector")),
        seed=Streams(int(option(run, "seed"))).fixed("evaluation"),
        checkpoint=path,
        remedy="the env has changed: install the versions that `puffer checkpoints inspect` names",
    )


def match_of_file(file: Path, env: str | None, options: Mapping[str, Any], host: PluginHost) -> Match:
    """What a file of `export` holds, in an env of this id.

    Raises:
        CheckpointError: no such file, or it holds none.
        UsageError: no env is named, or there is none of this id.
    """
    if not env:
        raise UsageError(f"{file}: got no env to play it in, expected the id of one", remedy="add --env ID")
    agent, backend = open_file(host, file)
    return Match(
        source=file,
        agent=agent,
        backend=backend,
        masked="action_mask" in agent.policy.inputs,
        env=host.find_env(env),
        options=dict(options),
        vector=VectorConfig(),
        seed=0,
        checkpoint=None,
        remedy="name the env that it was trained in, with the same --env.* options",
    )


def acting(run: Run, path: Path, host: PluginHost) -> tuple[LoadedAgent, Backend]:
    """What one of a run's checkpoints learned, its parameters where the engine that acts keeps arrays.

    Raises:
        CheckpointError: it holds no policy, or one that cannot be made again.
    """
    saved = load_agent(path, host)
    backend = engine_of(run, saved.provided, host)
    return replace(saved, agent=Agent(saved.agent.policy, backend.to_device(saved.agent.params))), backend


def engine_of(run: Run, policy: Provided, host: PluginHost) -> Backend:
    """NumPy where the policy runs on it, else the engine that the run was trained on."""
    from puffer_core.numpy_backend import NumpyBackend

    if policy.spec.runs_on("numpy"):
        return NumpyBackend()
    options = dict(option(run, "backend"))
    provided = host.find("backend", options.pop("name"))
    model = host.load_config(provided)
    backend: Backend = host.load(provided)(model(**options) if model else options)
    return backend


def option(run: Run, name: str) -> Any:
    """A value of a run's configuration.

    Raises:
        CheckpointError: it has none of this name.
    """
    try:
        return run.config[name]
    except KeyError as error:
        raise CheckpointError(f"{run.directory}: its config.json has no {name!r}") from error
