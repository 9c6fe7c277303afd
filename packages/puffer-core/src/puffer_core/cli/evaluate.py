"""`puffer eval RUN`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puffer_core.cli.output import print_json
from puffer_core.cli.parser import Parser
from puffer_core.cli.process import stdout_on_stderr
from puffer_core.errors import UsageError

if TYPE_CHECKING:
    from puffer_core.plugins import PluginHost

_SEEDS = 2**63


def run_eval(argv: list[str], host: PluginHost) -> int:
    """Run the command. `argv` is what stands after `puffer eval`.

    Returns:
        The exit code, 0.

    Raises:
        PufferError: as `puffer_core.evaluate` does.
    """
    arguments = _parser().parse(argv)
    _check("--episodes", arguments.episodes, 1, None)
    if arguments.seed is not None:
        _check("--seed", arguments.seed, 0, _SEEDS)
    from puffer_core.api import evaluate, film_path

    video = film_path(arguments.run) if arguments.video == "" else arguments.video
    with stdout_on_stderr():  # an env may print
        found = evaluate(
            arguments.run,
            episodes=arguments.episodes,
            seed=arguments.seed,
            deterministic=not arguments.sample,
            video=video,
            host=host,
        )
    summary = found.summary() | ({"video": str(video)} if video else {})
    if arguments.json:
        print_json(summary)
    else:
        print("\n".join(lines(summary)))  # noqa: T201
    return 0


def lines(summary: dict[str, Any]) -> list[str]:
    """An evaluation for people.

    Example:
        >>> print(*lines({"mean_return": 1, "std_return": 0, "mean_length": 9, "episodes": 2, "deterministic": True}))
        mean return  1.00 +- 0.00 mean length  9.0 episodes     2, greedy
    """
    how = "greedy" if summary["deterministic"] else "sampled"
    return [
        f"mean return  {summary['mean_return']:,.2f} +- {summary['std_return']:,.2f}",
        f"mean length  {summary['mean_length']:,.1f}",
        f"episodes     {summary['episodes']:,}, {how}",
        *([f"cut          {summary['cut']:,} episodes that did not end"] if summary.get("cut") else []),
        *([f"video        {summary['video']}"] if "video" in summary else []),
    ]


def _parser() -> Parser:
    parser = Parser(prog="puffer eval", description="Play whole episodes with what a run learned.")
    parser.add_argument("run", metavar="RUN", help="directory of the run, or of one of its checkpoints")
    parser.add_argument("--episodes", type=int, default=100, metavar="INT", help="how many, >= 1 (default: 100)")
    parser.add_argument("--seed", type=int, metavar="INT", help="of envs and sampling (default: from the run's seed)")
    parser.add_argument(
        "--sample", action="store_true", help="sample actions; the most likely ones are taken otherwise"
    )
    parser.add_argument(
        "--video", nargs="?", const="", metavar="FILE",
        help="film the first episode of environment 0: FILE.mp4 or FILE.gif (default: videos/ in the run's directory)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    return parser


def _check(flag: str, value: int, least: int, below: int | None) -> None:
    if value < least or (below is not None and value >= below):
        bounds = f">= {least}" + (" and < 2**63" if below else "")
        raise UsageError(f"{flag}: got {value}, expected an integer {bounds}")
