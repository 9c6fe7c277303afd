"""`puffer export RUN`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puffer_core.cli.output import print_json, size_text
from puffer_core.cli.parser import Parser

if TYPE_CHECKING:
    from puffer_core.plugins import PluginHost


def run_export(argv: list[str], host: PluginHost) -> int:
    """Run the command. `argv` is what stands after `puffer export`.

    Returns:
        The exit code, 0.

    Raises:
        PufferError: as `puffer_core.export` does.
    """
    arguments = _parser().parse(argv)
    from puffer_core.api import export

    options = {} if arguments.opset is None else {"opset": arguments.opset}
    done = export(
        arguments.run,
        format=arguments.format,
        output=arguments.output,
        checkpoint=arguments.checkpoint,
        host=host,
        **options,
    )
    if arguments.json:
        print_json(done.summary())
    else:
        print("\n".join(lines(done.summary())))  # noqa: T201
    return 0


def lines(summary: dict[str, Any]) -> list[str]:
    """What was written, for people.

    Example:
        >>> array = {"shape": ["batch", 4], "dtype": "float32"}
        >>> parts = {"inputs": {"observation": array}, "outputs": {"action": {"shape": ["batch"], "dtype": "int64"}}}
        >>> print(*lines({"path": "p.onnx", "size": 999, "step": 8, "difference": 2e-7, **parts}), sep="; ")
        p.onnx  999 B, step 8; in   observation  float32 [batch, 4]; out  action       int64 [batch]; differs by 2e-07
        at most
    """
    arrays = [("in ", *item) for item in summary["inputs"].items()] + [
        ("out", *item) for item in summary["outputs"].items()
    ]
    width = max(len(name) for _, name, _ in arrays)
    return [
        f"{summary['path']}  {size_text(summary['size'])}, step {summary['step']:,}",
        *(f"{way}  {name:<{width}}  {x['dtype']} [{', '.join(map(str, x['shape']))}]" for way, name, x in arrays),
        f"differs by {summary['difference']:.2g} at most",
    ]


def _parser() -> Parser:
    parser = Parser(prog="puffer export", description="Write what a run learned as a file that plays without Puffer.")
    parser.add_argument("run", metavar="RUN", help="directory of the run, or of one of its checkpoints")
    parser.add_argument("--format", default="onnx", metavar="NAME", help="a backend that exports (default: onnx)")
    parser.add_argument(
        "--output", metavar="FILE", help="what to write (default: exports/CHECKPOINT.FORMAT in the run's directory)"
    )
    parser.add_argument(
        "--checkpoint", default="last", metavar="last|best|STEP",
        help="which checkpoint; best: by the run's --best-metric (default: last)",
    )  # fmt: skip
    parser.add_argument(
        "--opset", type=int, metavar="18..23", help="version of ONNX's operators, for older runtimes (default: 18)"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    return parser
