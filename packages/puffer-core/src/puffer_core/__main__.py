"""Puffer's command line as a process: `puffer` and `python -m puffer_core` both start here."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line on `sys.argv`; gives the exit code."""
    import signal

    raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if raises:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback of imports
    from puffer_core.cli.main import main as run
    from puffer_core.cli.process import as_process
    from puffer_core.run.parent import end_with_parent

    end_with_parent()
    if raises:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = as_process(lambda: run(sys.argv[1:]))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback of an interpreter that ends anyway
    return code


def _leave_working_directory() -> None:
    """`python -m` puts the working directory first on the path, where a file could stand in for any module of ours."""
    import os

    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 - light
        del sys.path[0]


if __name__ == "__main__":
    _leave_working_directory()
    sys.exit(main())
