"""What a page shows, in headless Chromium: its text after its scripts ran, and a picture of it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
# Without 3D, pages that would draw by WebGL draw as SVG, which a picture of the page holds.
_HEADLESS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-3d-apis", "--disable-quic", *_QUIET)
_PATIENCE_SECONDS = 180


def rendered(address: str, *, width: int = 1400, height: int = 1000, wait_ms: int = 5_000) -> str:
    """The page's document as HTML, once its scripts have had that much of the page's own time in a window of that size.

    Skips the test, and says so, where there is no Chromium.

    Example:
        >>> "<b>2</b>" in rendered("data:text/html,<b></b><script>document.querySelector('b').append(1 + 1)</script>")
        True
    """
    return _chromium(address, width, height, wait_ms, "--dump-dom")


def photograph(address: str, file: Path, *, width: int = 1400, height: int = 1000, wait_ms: int = 20_000) -> None:
    """Write a picture of the page, PNG, of so many pixels. Skips the test, and says so, where there is no Chromium.

    Example:
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     photograph("data:text/html,hello", Path(directory) / "hello.png", wait_ms=100)
        ...     (Path(directory) / "hello.png").read_bytes()[1:4]
        b'PNG'
    """
    _chromium(address, width, height, wait_ms, f"--screenshot={file}")
    assert file.is_file(), f"Chromium took no picture of {address}"


def _chromium(address: str, width: int, height: int, wait_ms: int, output: str) -> str:
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("no Chromium: `apt-get install chromium` brings it")
    # Its helper processes may still write into its profile while that is removed.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        window = (f"--window-size={width},{height}", f"--virtual-time-budget={wait_ms}", f"--user-data-dir={profile}")
        command = [program, *_HEADLESS, *window, output, address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return done.stdout
