"""From which seeds the environments of a batch begin."""

from __future__ import annotations

import numpy as np

_RESTART = 0x72657374


def environment_seed(seed: int, index: int) -> int:
    """The seed of environment `index` in a run seeded with `seed`, in 0..2**31-1.

    It depends on nothing else, so a row plays the same episodes whatever the number of envs and wherever they are
    stepped. 31 bits, because many simulators keep their seed in a C int.

    Example:
        >>> environment_seed(0, 1) == environment_seed(0, 1) != environment_seed(0, 2)
        True
    """
    return int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint32)[0] >> 1)


def restart_seed(seed: int, restarts: int) -> int:
    """The seed of environments that start anew after a worker's restart number `restarts`; `seed` itself for 0.

    Example:
        >>> restart_seed(3, 0), restart_seed(3, 1) == restart_seed(3, 1) != restart_seed(3, 2)
        (3, True)
    """
    if not restarts:
        return seed
    return int(np.random.SeedSequence((seed, _RESTART, restarts)).generate_state(1, np.uint64)[0] >> 1)
