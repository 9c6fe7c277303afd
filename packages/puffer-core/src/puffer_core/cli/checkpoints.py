"""`puffer checkpoints list | verify | inspect | prune`: what a run saved, whether it is sound, and how to have less."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puffer_core.cli.output import print_json, print_table, size_text
from puffer_core.cli.parser import Parser
from puffer_core.errors import CheckpointError, UsageError, did_you_mean

if TYPE_CHECKING:
    from puffer_core.checkpoints.inventory import Found
    from puffer_core.plugins import PluginHost


def run_checkpoints(argv: list[str], host: PluginHost) -> int:  # noqa: ARG001  no plugin is asked
    """Run the command. `argv` is what stands after `puffer checkpoints`.

    Returns:
        The exit code: 0, or 4 where `verify` found one that is damaged.

    Raises:
        PufferError: a mistake in the arguments, not a run, or another process holds the run that is to be pruned.
    """
    action, *rest = argv or ["--help"]
    if action in _ACTIONS:
        return _ACTIONS[action](rest)
    if action in ("-h", "--help"):
        Parser(prog="puffer checkpoints", usage=_USAGE, description="What runs saved.").print_help()
        return 0
    raise UsageError(f"unknown action {action!r} of puffer checkpoints", remedy=did_you_mean(action, _ACTIONS))


_USAGE = """
  puffer checkpoints list RUN                  step, size, time; whether a resumed run equals one never stopped
  puffer checkpoints verify RUN|CHECKPOINT     every file against its SHA-256
  puffer checkpoints inspect RUN|CHECKPOINT    what it holds and what made it
  puffer checkpoints prune RUN --keep-last N   remove the others, but never the last sound one
Each has --json and --help."""


def _parser(action: str, what: str, description: str) -> Parser:
    parser = Parser(prog=f"puffer checkpoints {action}", description=description)
    either = ", or of one of its checkpoints" if "|" in what else ""
    parser.add_argument("path", metavar=what, help=f"directory of the run{either}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _list(argv: list[str]) -> int:
    arguments = _parser("list", "RUN", "The checkpoints of a run, by step.").parse(argv)
    from puffer_core.checkpoints.inventory import best_of, find

    found = find(_checkpoints(arguments.path))
    latest, best = _latest(found), best_of(found)
    if arguments.json:
        print_json([as_json(item) | {"latest": item is latest, "best": item is best} for item in found])
        return 0
    rows = [
        [
            f"{item.step:,}",
            "-" if item.score is None else f"{item.score:,.2f}",
            size_text(item.size),
            _time(item.saved),
            item.condition,
            item.reason or item.resumes,
            ", ".join(word for word, which in (("latest", latest), ("best", best)) if item is which),
        ]
        for item in found
    ]
    print_table(["STEP", "SCORE", "SIZE", "SAVED", "CONDITION", "RESUMES", ""], rows)
    return 0


def _verify(argv: list[str]) -> int:
    description = "Read every file and compare it with its SHA-256. Exit code 4: one is damaged."
    arguments = _parser("verify", "RUN|CHECKPOINT", description).parse(argv)
    from puffer_core.checkpoints.inventory import verify
    from puffer_core.checkpoints.reading import is_checkpoint

    path = Path(arguments.path)
    single = is_checkpoint(path)
    paths = [path] if single else [item.path for item in _some(path)]
    found = []
    for each in paths:  # shown one by one: each may take a while
        found.append(verify(each))
        if not arguments.json:
            print(f"{each}: {found[-1].reason or found[-1].condition}")  # noqa: T201
    if arguments.json:
        print_json([as_json(item) for item in found])
    bad = [item for item in found if item.error]
    if not bad:
        return 0
    good = [item for item in found if not item.error]
    if single:
        siblings = (verify(item.path) for item in reversed(_siblings(path)))
        good = [item for item in siblings if not item.error][:1]
    print(_summary(bad, good), file=sys.stderr)  # noqa: T201
    return CheckpointError.exit_code


def _summary(bad: list[Found], good: list[Found]) -> str:
    named = ", ".join(item.path.name for item in bad)
    if not good:
        return f"error: {named} cannot be used, and no other checkpoint of the run is sound"
    return f"error: {named} cannot be used; the last that is sound is {good[-1].path}"


def _siblings(path: Path) -> list[Found]:
    from puffer_core.checkpoints.inventory import find

    return [item for item in find(path.resolve().parent) if item.path.name != path.name]


def _inspect(argv: list[str]) -> int:
    arguments = _parser("inspect", "RUN|CHECKPOINT", "What a checkpoint holds; of a run, its last.").parse(argv)
    from puffer_core.checkpoints.inventory import best_of, find
    from puffer_core.checkpoints.locating import locate
    from puffer_core.checkpoints.reading import load
    from puffer_core.cli.manifest_words import lines, summary

    _, path = locate(arguments.path)
    loaded = load(path, ["policy"])
    best = best_of(find(path.parent))
    told = summary(loaded) | {"best": best is not None and best.path == path}
    if arguments.json:
        print_json(told)
    else:
        print("\n".join(lines(told)))  # noqa: T201
    return 0


def _prune(argv: list[str]) -> int:
    parser = _parser("prune", "RUN", "Remove checkpoints that are not wanted; the last sound one always stays.")
    parser.add_argument("--keep-last", type=int, required=True, metavar="N", help="keep the last N, >= 1")
    parser.add_argument(
        "--keep-every", type=int, default=0, metavar="STEPS",
        help="of those at or after each multiple of STEPS keep the first too (default: 0, none for that)",
    )  # fmt: skip
    parser.add_argument(
        "--keep-best", type=int, default=0, metavar="N", help="keep the N with the best scores too (default: 0)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would go; remove nothing")
    arguments = parser.parse(argv)
    for name, least in (("keep_last", 1), ("keep_every", 0), ("keep_best", 0)):
        flag, value = f"--{name.replace('_', '-')}", getattr(arguments, name)
        if value < least:
            raise UsageError(f"{flag}: got {value}, expected an integer >= {least}")
    from puffer_core.checkpoints.pruning import prune

    directory = _checkpoints(arguments.path).parent
    pruned = prune(
        directory,
        arguments.keep_last,
        arguments.keep_every,
        keep_best=arguments.keep_best,
        dry_run=arguments.dry_run,
    )
    gone, kept, left = pruned.removed, pruned.kept, pruned.left
    freed = sum(item.size for item in gone)
    if arguments.json:
        named = {"removed": gone, "kept": kept, "left": left}
        lists: dict[str, Any] = {name: [as_json(item) for item in items] for name, items in named.items()}
        print_json(lists | {"freed_bytes": freed, "dry_run": arguments.dry_run})
        return 0
    would = "would remove" if arguments.dry_run else "removed"
    for item in gone:
        print(f"{would} {item.path.name} ({size_text(item.size)}){': ' * bool(item.reason)}{item.reason}")  # noqa: T201
    for item in left:
        print(f"left {item.path.name} as it is: {item.reason}")  # noqa: T201
    print(f"{would} {len(gone)}, kept {len(kept)}; {size_text(freed)}{' freed' * (not arguments.dry_run)}")  # noqa: T201
    return 0


def _checkpoints(path: str) -> Path:
    """The `checkpoints` directory of a run.

    Raises:
        CheckpointError: not a run.
    """
    from puffer_core.checkpoints.reading import CHECKPOINTS, is_checkpoint
    from puffer_core.run.directory import Run

    given = Path(path)
    if is_checkpoint(given):
        raise CheckpointError(
            f"{given}: a checkpoint, expected a run", remedy=f"name its run: {given.absolute().parent.parent}"
        )
    return Run(given).directory / CHECKPOINTS


def _some(path: Path) -> list[Found]:
    """The checkpoints of a run, one at least."""
    from puffer_core.checkpoints.inventory import find
    from puffer_core.run.directory import Run

    found = find(_checkpoints(str(path)))
    if not found:
        _ = Run(path).latest  # raises what is to be said of a run without one
    return found


def _latest(found: list[Found]) -> Found | None:
    """The one that `puffer eval RUN` takes: the last, unless it was never completed."""
    from puffer_core.checkpoints.reading import MANIFEST

    return next((item for item in reversed(found) if (item.path / MANIFEST).is_file()), None)


def as_json(found: Found) -> dict[str, Any]:
    """A checkpoint for programs."""
    resume = found.manifest.resume if found.manifest else None
    return {
        "step": found.step,
        "path": str(found.path),
        "bytes": found.size,
        "saved": _time(found.saved),
        "score": found.score,
        "condition": found.condition,
        "reason": found.reason,
        "bitwise": resume.bitwise if resume else None,
        "reasons": list(resume.reasons) if resume else [],
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")


_ACTIONS: dict[str, Callable[[list[str]], int]] = {
    "list": _list,
    "verify": _verify,
    "inspect": _inspect,
    "prune": _prune,
}
