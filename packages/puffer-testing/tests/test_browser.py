from __future__ import annotations

from pathlib import Path

import pytest

from puffer_testing.browser import photograph, rendered


def test_scripts_have_run(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        "<p>raw</p><script>setTimeout(() => document.querySelector('p').textContent = 'cooked', 3000)</script>"
    )
    assert "<p>cooked</p>" in rendered(page.as_uri())


def test_a_picture_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    photograph("data:text/html,hello", tmp_path / "page.png", width=320, height=200, wait_ms=100)
    header = (tmp_path / "page.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == (320, 200)


def test_without_a_browser_the_test_is_skipped_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        rendered("data:text/html,hello")
