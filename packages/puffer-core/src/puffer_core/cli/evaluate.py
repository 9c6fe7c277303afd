"""`puffer eval RUN`, and `puffer eval FILE --env ID`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from puffer_core.cli.output import print_json, table_lines
from puffer_core.cli.parser import Parser
from puffer_core.cli.process import stdout_on_stderr
from puffer_core.errors import UsageError

if TYPE_CHECKING:
    from puffer_core.plugins import PluginHost

_SEEDS = 2**63


class EnvOnly(BaseModel):
    """No options beside the env's."""


def run_eval(argv: list[str], host: PluginHost) -> int:
    """Run the command. `argv` is what stands after `puffer eval`.

    Returns:
        The exit code, 0.

    Raises:
        PufferError: as `puffer_core.evaluate` does.
    """
    argv, env_flags = _apart(argv)
    arguments = _parser().parse(argv)
    _check("--episodes", arguments.episodes, 1, None)
    if arguments.seed is not None:
        _check("--seed", arguments.seed, 0, _SEEDS)
    options = {
        "episodes": arguments.episodes,
        "seed": arguments.seed,
        "deterministic": not arguments.sample,
        "checkpoint": arguments.checkpoint,
        "host": host,
        **_env(arguments.env, env_flags, host),
    }
    from puffer_core.run.overview import is_run
    from puffer_core.run.seed_directories import seeds_in

    several = not is_run(Path(arguments.run)) and seeds_in(Path(arguments.run))
    summary, shown = (_evaluate_seeds if several else _evaluate)(arguments.run, arguments.video, options)
    if arguments.json:
        print_json(summary)
    else:
        print("\n".join(shown))  # noqa: T201
    return 0


def _apart(argv: list[str]) -> tuple[list[str], list[str]]:
    """The command's own arguments, and those of the env: `--env.KEY VALUE`, `--env.KEY=VALUE`, `--env.FLAG`."""
    own: list[str] = []
    env: list[str] = []
    takes_value = False
    for token in argv:
        is_env = token.startswith("--env.") or (takes_value and not token.startswith("--"))
        (env if is_env else own).append(token)
        takes_value = token.startswith("--env.") and "=" not in token
    return own, env


def _env(id: str | None, flags: list[str], host: PluginHost) -> dict[str, Any]:
    """The env that a file is played in, with its options; nothing for a run, which has its own."""
    if id is None and not flags:
        return {}
    from puffer_core.config.env_command import env_arguments

    if id is None:
        raise UsageError(f"{flags[0]}: a run has its own env", remedy="--env ID names the env that a file is played in")
    request, _ = env_arguments("eval", [id, *flags], host, EnvOnly)
    return {"env": id, "env_options": request.options}


def _evaluate(run: str, video: str | None, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The figures of one run, for programs and for people."""
    from puffer_core.api import evaluate, film_path

    film = film_path(run, options["checkpoint"]) if video == "" else video
    with stdout_on_stderr():  # an env may print
        found = evaluate(run, video=film, **options)
    summary = found.summary() | ({"video": str(film)} if film else {})
    return summary, lines(summary)


def _evaluate_seeds(directory: str, video: str | None, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The figures of several seeds."""
    if video is not None:
        raise UsageError(f"--video: {directory} holds several seeds, expected one run", remedy="name one of them")
    from puffer_core.console.seeds import statistics_lines
    from puffer_core.seeds import evaluate_seeds

    with stdout_on_stderr():
        found = evaluate_seeds(directory, **options)
    rows = [
        [str(seed), f"{one.mean_return:,.2f}", f"{one.std_return:,.2f}", f"{one.mean_length:,.1f}", f"{one.episodes:,}"]
        for seed, one in found.evaluations.items()
    ]
    shown = table_lines(["SEED", "MEAN RETURN", "STD", "MEAN LENGTH", "EPISODES"], rows)
    return found.summary(), shown + (["", *statistics_lines(found.statistics)] if found.statistics else [])


def lines(summary: dict[str, Any]) -> list[str]:
    """An evaluation for people.

    Example:
        >>> found = {"mean_return": 1, "std_return": 0, "mean_length": 9, "episodes": 2, "seed": 7}
        >>> print(*lines(found | {"deterministic": True}), sep="; ")
        mean return  1.00 +- 0.00; mean length  9.0; episodes     2, greedy, seed 7
    """
    how = "greedy" if summary["deterministic"] else "sampled"
    low, high = summary.get("interval_95") or (None, None)
    return [
        f"mean return  {summary['mean_return']:,.2f} +- {summary['std_return']:,.2f}",
        *([] if low is None else [f"of all       {low:,.2f} to {high:,.2f}, with 95 % confidence"]),
        f"mean length  {summary['mean_length']:,.1f}",
        f"episodes     {summary['episodes']:,}, {how}, seed {summary['seed']}",
        *([f"checkpoint   {summary['checkpoint']}"] if "checkpoint" in summary else []),
        *([f"cut          {summary['cut']:,} episodes that did not end"] if summary.get("cut") else []),
        *([f"video        {summary['video']}"] if "video" in summary else []),
    ]


def _parser() -> Parser:
    parser = Parser(prog="puffer eval", description="Play whole episodes with what a run learned.")
    parser.add_argument(
        "run",
        metavar="RUN|FILE",
        help="directory of the run, of one of its checkpoints, or of several seeds; or a file of `puffer export`",
    )
    parser.add_argument("--env", metavar="ID", help="play a file in this env; its options are --env.KEY VALUE")
    parser.add_argument("--episodes", type=int, default=100, metavar="INT", help="how many, >= 1 (default: 100)")
    parser.add_argument(
        "--seed", type=int, metavar="INT", help="of envs and sampling (default: from the run's seed; of a file, 0)"
    )
    parser.add_argument(
        "--checkpoint", default="last", metavar="last|best|STEP",
        help="which checkpoint; best: by the run's --best-metric (default: last)",
    )  # fmt: skip
    parser.add_argument(
        "--sample", action="store_true", help="sample actions; the most likely ones are taken otherwise"
    )
    parser.add_argument(
        "--video", nargs="?", const="", metavar="FILE",
        help="film the first episode of environment 0: FILE.mp4 or FILE.gif (default: videos/ in the "
        "run's directory, or beside the file)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    return parser


def _check(flag: str, value: int, least: int, below: int | None) -> None:
    if value < least or (below is not None and value >= below):
        bounds = f">= {least}" + (" and < 2**63" if below else "")
        raise UsageError(f"{flag}: got {value}, expected an integer {bounds}")
