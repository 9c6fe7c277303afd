"""A checkpoint's manifest for people."""

from __future__ import annotations

from typing import Any

from puffer_core.arrays import named_leaves
from puffer_core.checkpoints.reading import Checkpoint
from puffer_core.cli.output import size_text


def summary(loaded: Checkpoint) -> dict[str, Any]:
    """A manifest for programs: what `manifest.json` says, with the policy's parameters counted.

    Args:
        loaded: a checkpoint with its policy's state.
    """
    manifest = loaded.manifest.model_dump(mode="json")
    arrays = [array for _, array in named_leaves(loaded.states["policy"])]
    counted = {"parameters": sum(array.size for array in arrays), "parameter_bytes": sum(a.nbytes for a in arrays)}
    sizes = {
        name: entry | {"bytes": sum(manifest["files"][file]["size"] for file in entry["files"])}
        for name, entry in manifest["components"].items()
    }
    return {"path": str(loaded.path)} | manifest | counted | {"components": sizes}


def lines(summary: dict[str, Any]) -> list[str]:
    """A summary for people, which says whether its checkpoint is the `best` of its run."""
    runtime = dict(summary["runtime"])
    backend = dict(runtime.pop("backend", {}))
    resume = summary["resume"]
    return [
        f"{summary['path']}: step {summary['step']:,} ({summary['unit']}) of run {summary['run_id']}",
        f"  policy      {_policy(summary)}",
        *_spaces(summary["policy"]),
        f"  parameters  {summary['parameters']:,} numbers, {size_text(summary['parameter_bytes'])}",
        *_section("components", [_component(name, entry) for name, entry in summary["components"].items()]),
        *_section("plugins", [f"{item['name']} {item['version']}: {item['status']}" for item in summary["plugins"]]),
        f"  runtime     {', '.join(f'{name} {value}' for name, value in runtime.items()) or '-'}",
        f"  backend     {', '.join(f'{name} {value}' for name, value in backend.items()) or '-'}",
        f"  resume      {'bitwise' if resume['bitwise'] else 'not bitwise: ' + '; '.join(resume['reasons'])}",
        f"  score       {_score(summary)}",
        *([f"  not finite  {', '.join(summary['nonfinite'])}: the policy is broken"] if summary["nonfinite"] else []),
    ]


def _score(summary: dict[str, Any]) -> str:
    if summary["score"] is None:
        return f"- (no {summary['score_metric']} at this step)"
    return f"{summary['score_metric']} {summary['score']:,.2f}{', the best of the run' * summary['best']}"


def _policy(summary: dict[str, Any]) -> str:
    policy = summary["policy"]
    if policy is None:
        return f"{summary['components']['policy']['type']}, which no plugin provides"
    memory = ", with memory" if policy["carry"] else ""
    return f"{policy['name']} of {policy['distribution'] or 'no distribution'} ({policy['target']}){memory}"


def _spaces(policy: dict[str, Any] | None) -> list[str]:
    if policy is None:
        return []
    return [f"  {name:<11} {_space(policy[name])}" for name in ("observation", "action")]


def _space(form: dict[str, Any]) -> str:
    """A space in a line.

    Example:
        >>> _space({"type": "box", "shape": [4], "dtype": "float32", "low": "-inf", "high": "inf"})
        'box shape [4] dtype float32'
        >>> _space({"type": "dict", "spaces": [["a", {"type": "discrete", "n": 3, "start": 0, "dtype": "int64"}]]})
        'dict(a: discrete n 3 dtype int64)'
    """
    parts = form.get("spaces")
    if parts is not None:
        named = [f"{part[0]}: {_space(part[1])}" if isinstance(part, list) else _space(part) for part in parts]
        return f"{form['type']}({', '.join(named)})"
    shown = [f"{key} {form[key]}" for key in ("shape", "n", "nvec", "dtype") if key in form]
    return " ".join([str(form["type"]), *shown])


def _component(name: str, entry: dict[str, Any]) -> str:
    provider = f"{entry['distribution']} {entry['distribution_version']}".strip() or "no distribution"
    return f"{name}: {entry['type']}, state version {entry['version']}, of {provider}; {size_text(entry['bytes'])}"


def _section(title: str, items: list[str]) -> list[str]:
    return [f"  {title if i == 0 else '':<11} {item}" for i, item in enumerate(items or ["-"])]
