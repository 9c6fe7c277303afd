"""Names as Weights & Biases takes them."""

from __future__ import annotations

import hashlib
import re

LONGEST_ID = 64


def run_id(name: str) -> str:
    """The id of a run there: the same for the same name of ours, so that a resumed run stays one run.

    A name that has to be changed is told apart from others that become the same by a hash of it.

    Example:
        >>> run_id("2026-01-01_0000_ppo_cartpole_0000")
        '2026-01-01_0000_ppo_cartpole_0000'
        >>> run_id("mine: a/b")
        'mine--a-b-029c0ce6'
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "-", name)
    if plain == name and 0 < len(name) <= LONGEST_ID:
        return name
    return f"{plain[: LONGEST_ID - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def metric_key(name: object) -> str:
    """A metric's name there. Names that begin with `_` are wandb's own, so they move under `metric/`.

    Example:
        >>> metric_key("episode/return"), metric_key("_step"), metric_key("")
        ('episode/return', 'metric/_step', 'metric/')
    """
    key = str(name)
    return f"metric/{key}" if not key or key.startswith("_") else key


def artifact_key(name: str) -> str:
    """An artifact's name there; it becomes part of a path, so nothing of it may lead out of the directory.

    Example:
        >>> artifact_key("eval/video"), artifact_key("../../a:b")
        ('eval/video', 'a_b')
    """
    parts = [re.sub(r"[^\w.-]", "_", part)[:100] for part in name.split("/")]
    return "/".join(part for part in parts if part.strip(".")) or "artifact"
