"""Puffer from Python: train, evaluate, and act with what was learned."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from puffer_core.checkpoints.locating import locate
from puffer_core.contracts.env import VectorEnv
from puffer_core.errors import UsageError
from puffer_core.evaluation import Evaluation
from puffer_core.evaluation import evaluate as play
from puffer_core.exporting import Exported, find_format, is_file, open_file, write
from puffer_core.guests import working_directory_kept
from puffer_core.loaded_policy import LoadedPolicy, load_agent
from puffer_core.matches import acting, engine_of, match_of_file, match_of_run, option
from puffer_core.plan import VectorConfig
from puffer_core.plugins import PluginHost, Provided
from puffer_core.run.context import EVALUATION_ROWS, make_env, resized
from puffer_core.run.directory import Run
from puffer_core.run.display import Display

__all__ = ["Evaluation", "Exported", "LoadedPolicy", "Run", "evaluate", "export", "load_policy", "resume", "train"]


def train(
    trainer: str,
    *,
    env: str | None = None,
    dataset: str | None = None,
    config: str | Path | None = None,
    host: PluginHost | None = None,
    quiet: bool = True,
    **options: Any,
) -> Run:
    """Train, and evaluate what was learned. The same as `puffer train`.

    Args:
        trainer: its name: `ppo`, `name@distribution`, or `py:module:Class`.
        env: id of the env to learn in: `cartpole`, `gymnasium:CartPole-v1`.
        dataset: what to learn from instead, for trainers that learn from data.
        config: a TOML file of options, which `options` override.
        host: the plugins; discovered where None.
        quiet: show nothing while it trains.
        options: those of `puffer train TRAINER --help` with underscores (`total_steps=1000`, `seed=1`,
            `run="runs/mine"`, `learning_rate=1e-3`); those of components as a dict (`vector={"num_envs": 4}`,
            `policy={"hidden_sizes": [32]}`), or the name of another component (`policy="mlp"`).

    Returns:
        The run; `run.evaluation` is what it reached.

    Raises:
        UsageError: an unknown name, or an option that is not valid.
        RunStopped: a signal ended it; it was saved before.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as place:
        ...     run = train("ppo", env="cartpole", total_steps=256, horizon=32, eval_episodes=2, run=place)
        ...     found = evaluate(run, episodes=3)
        ...     action = load_policy(run)([0.0, 0.1, 0.0, -0.1])
        >>> run.evaluation.episodes, found.episodes, action in (0, 1)
        (2, 3, True)
    """
    from puffer_core.config import resolve
    from puffer_core.run.resume import begin

    if env and dataset:
        raise UsageError(f"train: got env={env!r} and dataset={dataset!r}, expected one of them")
    host = host or PluginHost.discover()
    options |= {"quiet": quiet}
    plan = resolve(host, trainer, env or dataset, overrides=options, file=config)
    if plan.several.seeds:
        raise UsageError(
            f"train: got seeds={plan.several.seeds}, expected one run", remedy="puffer_core.train_seeds trains several"
        )
    file = [] if config is None else ["--config", str(config)]
    return begin(plan, host, argv=file, overrides=options, display=_display(quiet))


def resume(run: Run | str | Path, *, host: PluginHost | None = None, quiet: bool = True, **options: Any) -> Run:
    """Go on with a run from its last sound checkpoint, to its end. The same as `puffer resume`.

    Args:
        run: the run, or its directory.
        host: the plugins; discovered where None.
        quiet: show nothing while it trains, but warnings on stderr.
        options: what is to change from here on, of what `puffer resume --help` lists (`total_steps=2000`,
            `vector={"workers": 2}`, `logger=["tensorboard"]`).

    Returns:
        The run; `run.evaluation` is what it reached. One that had finished is returned as it is.

    Raises:
        CheckpointError: not a run, nothing sound to go on from, or a plugin that it needs is not installed.
        UsageError: an option that may not change; says from what to what.
        ResourceError: another process works on it.
        RunStopped: a signal ended it; it was saved before.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as place:
        ...     run = train("ppo", env="cartpole", total_steps=128, horizon=4, eval_episodes=2, run=place)
        ...     longer = resume(run, total_steps=256)
        ...     [path.name for path in longer.checkpoints][-1]
        'step-000000000256'
    """
    from puffer_core.run.resume import resume as go_on

    directory = run.directory if isinstance(run, Run) else Path(run)
    return go_on(directory, host or PluginHost.discover(), overrides=options, display=_display(quiet))


def _display(quiet: bool) -> Display | None:
    if quiet:
        return None
    from puffer_core.console.run import make_display

    return make_display()


def evaluate(
    run: Run | str | Path,
    *,
    episodes: int = 100,
    seed: int | None = None,
    deterministic: bool = True,
    checkpoint: str | int = "last",
    video: str | Path | None = None,
    env: str | None = None,
    env_options: Mapping[str, Any] | None = None,
    host: PluginHost | None = None,
) -> Evaluation:
    """Play whole episodes with a trained policy, in envs of their own.

    Args:
        run: the run, its directory, the directory of one of its checkpoints, or a file that `export` wrote.
        episodes: how many, >= 1.
        seed: of envs and sampling, 0..2**63-1; where None, the seed of the run's own evaluations, which depends
            on the run's seed alone; 0 for a file.
        deterministic: take the mode of the policy's distribution instead of sampling.
        checkpoint: `last`, `best` (by the run's `best_metric`), or a step.
        video: a file (.mp4 or .gif) for a film of the first episode of environment 0; `film_path` gives a name for it.
        env: id of the env to play a file in; a run names its own.
        env_options: of that env.
        host: the plugins; discovered where None.

    Raises:
        CheckpointError: not a run, or nothing sound to load in it; a file that is damaged, or for another env.
        EnvError: the env cannot be made.
        UsageError: the film cannot be made, and what to install; another argument is none of these.

    Example:
        >>> evaluate("runs/none")
        Traceback (most recent call last):
        puffer_core.errors.CheckpointError: runs/none: not the directory of a run: there is no such directory
        name a directory that `puffer train` made, such as one of those under runs/
    """
    if episodes < 1:
        raise UsageError(f"episodes: got {episodes}, expected an integer >= 1")
    if seed is not None and not 0 <= seed < 2**63:
        raise UsageError(f"seed: got {seed}, expected an integer >= 0 and < 2**63")
    host = host or PluginHost.discover()
    if is_file(run):
        match = match_of_file(Path(str(run)), env, env_options or {}, host)
        if str(checkpoint) != "last":
            raise UsageError(
                f"checkpoint: got {checkpoint!r} for {run}, which is a file of one checkpoint, expected a run"
            )
    elif env is not None:
        locate(run, checkpoint)  # which says so where it is no run either
        raise UsageError(f"env: got {env!r} for the run {run}, which has its own", remedy="leave it out")
    else:
        match = match_of_run(*locate(run, checkpoint), host)
    vector = resized(match.vector, min(episodes, EVALUATION_ROWS))
    seed = match.seed if seed is None else seed
    with working_directory_kept(), _stage(host, match.env, match.options, vector, video) as stage:
        match.check(stage.spec)
        played = play(match.agent, match.backend, stage, episodes=episodes, seed=seed, deterministic=deterministic)
    return replace(played, checkpoint=match.checkpoint)


def export(
    run: Run | str | Path,
    *,
    format: str = "onnx",
    output: str | Path | None = None,
    checkpoint: str | int = "last",
    host: PluginHost | None = None,
    **options: Any,
) -> Exported:
    """Write what a run learned as a file that plays without Puffer. The same as `puffer export`.

    Args:
        run: the run, its directory, or the directory of one of its checkpoints.
        format: name of a backend with the capability `export`.
        output: the file; `exports/CHECKPOINT.FORMAT` in the run's directory where None. An older one is replaced.
        checkpoint: `last`, `best` (by the run's `best_metric`), or a step.
        host: the plugins; discovered where None.
        options: of the backend, such as `opset=20`.

    Raises:
        CheckpointError: not a run, or nothing sound to load in it.
        UnsupportedError: the policy cannot be exported; names the op and the backends that it runs on. No file is left.
        UsageError: no such format, an option that is not valid, or how to install what is missing.

    Example:
        >>> export("runs/none")
        Traceback (most recent call last):
        puffer_core.errors.CheckpointError: runs/none: not the directory of a run: there is no such directory
        name a directory that `puffer train` made, such as one of those under runs/
    """
    host = host or PluginHost.discover()
    found, path = locate(run, checkpoint)
    form = find_format(host, format, options)
    saved = load_agent(path, host)
    file = Path(output) if output else found.directory / "exports" / f"{path.name}.{form.name}"
    reference, words = engine_of(found, saved.provided, host), {"env": option(found, "source")}
    return write(host, form, saved, file, reference=reference, words=words)


def _stage(
    host: PluginHost, provided: Provided, options: dict[str, Any], vector: VectorConfig, video: str | Path | None
) -> AbstractContextManager[VectorEnv]:
    """Envs to play in, closed afterwards; filmed where a file is named."""
    if video is None:
        return closing(make_env(host, provided, options, vector))
    from puffer_core.video import filming

    film = Path(video).resolve()  # before an env can change the working directory
    return filming(lambda shown: make_env(host, provided, shown, vector), options, film)


def film_path(run: Run | str | Path, checkpoint: str | int = "last") -> Path:
    """The name of a film of the checkpoint that is meant, in the run's directory; of a file, beside it.

    Raises:
        CheckpointError: not a run, or it has no checkpoint.
    """
    if is_file(run):
        return Path(str(run)).with_suffix(".mp4")
    found, path = locate(run, checkpoint)
    return found.directory / "videos" / f"{path.name}.mp4"


def load_policy(
    run: Run | str | Path,
    *,
    deterministic: bool = True,
    seed: int = 0,
    checkpoint: str | int = "last",
    host: PluginHost | None = None,
) -> LoadedPolicy:
    """A trained policy as a function: `load_policy(run)(observation)` is an action.

    Args:
        run: the run, its directory, the directory of one of its checkpoints, or a file that `export` wrote.
        deterministic: take the mode of the policy's distribution instead of sampling.
        seed: of sampling.
        checkpoint: `last`, `best` (by the run's `best_metric`), or a step.
        host: the plugins; discovered where None.

    Raises:
        CheckpointError: not a run, or nothing sound to load in it; a file that is damaged.

    Example:
        >>> load_policy("runs/none")
        Traceback (most recent call last):
        puffer_core.errors.CheckpointError: runs/none: not the directory of a run: there is no such directory
        name a directory that `puffer train` made, such as one of those under runs/
    """
    host = host or PluginHost.discover()
    if is_file(run):
        agent, backend = open_file(host, Path(str(run)))
    else:
        saved, backend = acting(*locate(run, checkpoint), host)
        agent = saved.agent
    return LoadedPolicy(agent, backend, deterministic=deterministic, seed=seed)
