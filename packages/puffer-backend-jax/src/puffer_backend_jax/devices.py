"""Which devices there are, and arrays over several of them."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from puffer_core.errors import UsageError

_PARTS = "parts"


def find_devices(name: str, count: int) -> Mesh:
    """`count` devices from the one called `name` on, in a row.

    Args:
        name: `cpu`, `gpu`, `cuda:1`, `tpu`; `auto` for what JAX prefers.
        count: how many, >= 1.

    Raises:
        UsageError: this machine, or this build of JAX, does not have them.

    Example:
        >>> find_devices("cpu", 1).size
        1

    """
    platform, _, number = name.partition(":")
    there = _devices()
    try:
        found = there if name == "auto" else jax.local_devices(backend=platform)[int(number or 0) :]
    except RuntimeError:
        found = []
    if not found:
        known = sorted({"cpu", *(str(device) for device in there if device.platform != "cpu")})
        raise UsageError(
            f"backend jax: device is {name!r}, but this machine has {', '.join(known)} (jax {jax.__version__})",
            remedy="choose one of these with --backend.device, or install the build of JAX for your device: "
            'pip install "jax[cuda13]" for NVIDIA',
        )
    if count > len(found):
        raise UsageError(
            f"backend jax: devices is {count}, but from {name!r} on there are {len(found)}: "
            f"{', '.join(map(str, found))} (jax {jax.__version__})",
            remedy=f"give at most {len(found)} with --backend.devices; a CPU counts as several where XLA_FLAGS holds "
            f"--xla_force_host_platform_device_count={count}",
        )
    return Mesh(np.array(found[:count]), (_PARTS,))


def _devices() -> list[jax.Device]:
    """All of this process.

    Raises:
        UsageError: JAX was told of a platform that is not here.
    """
    try:
        found: list[jax.Device] = jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # the latter of platforms that JAX has no plugin for
        told, cause = jax.config.values["jax_platforms"], str(error).partition(" (set JAX_PLATFORMS")[0]
        raise UsageError(
            f"backend jax: JAX finds no device where JAX_PLATFORMS is {told!r} (jax {jax.__version__})"
            + (f": {cause}" if cause else ""),
            remedy="unset JAX_PLATFORMS to take what there is, or install the build of JAX for your device: "
            'pip install "jax[cuda13]" for NVIDIA',
        ) from error
    return found


def placement(mesh: Mesh) -> jax.Device | NamedSharding:
    """Where arrays live: on the one device, or as copies on every one."""
    return mesh.devices[0] if mesh.size == 1 else NamedSharding(mesh, _parts())


def spread_over(mesh: Mesh, x: jax.Array, axis: int) -> jax.Array:
    """`x` in equal parts along `axis`, one on each device.

    Raises:
        UsageError: it cannot be cut so.
    """
    length, count = x.shape[axis], mesh.size
    if length % count:
        near = [number for number in (length - length % count, length - length % count + count) if number]
        raise UsageError(
            f"--backend.devices: {count} devices cannot share {length} rows or sequences evenly",
            remedy="change --vector.num-envs, --horizon or --minibatches so that rows, and the sequences of a "
            f"minibatch, are multiples of {count}, such as {' or '.join(map(str, near))}",
        )
    constrain: Any = jax.lax.with_sharding_constraint
    spread: jax.Array = constrain(x, NamedSharding(mesh, _parts(*[None] * axis, _PARTS)))
    return spread


def _parts(*axes: str | None) -> PartitionSpec:
    return PartitionSpec(*axes)  # type: ignore[no-untyped-call]
