"""The page as a browser shows it: headless Chromium runs its scripts, tells what it then holds and what it asked for.

A probe is put before and behind the page's own scripts; the page between is byte for byte what `puffer report` wrote.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from puffer_report import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH: apt-get install chromium")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--virtual-time-budget=5000",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
BEFORE = """<script>
const told = [];
addEventListener("error", event => told.push(`error: ${event.message}`), true);
addEventListener("unhandledrejection", event => told.push(`rejected: ${event.reason}`));
addEventListener("securitypolicyviolation", event => told.push(`wanted: ${event.blockedURI}`));
for (const level of ["error", "warn"]) console[level] = (...words) => told.push(`${level}: ${words.join(" ")}`);
</script>"""
BEHIND = """<pre id="probe"></pre><script>addEventListener("load", () => setTimeout(() => {
  const lines = () => document.querySelectorAll(".js-line").length;
  const colour = () => getComputedStyle(document.querySelector(".js-line")).stroke;
  const width = () => document.querySelector(".main-svg").getBoundingClientRect().width;
  const found = { lines: lines(), colour: colour(), width: width() };
  found.plots = document.querySelectorAll("[data-figure]").length;
  found.drawn = document.querySelectorAll("[data-figure] > .plot-container").length;
  found.paper = getComputedStyle(document.body).backgroundColor;
  found.overflow = document.documentElement.scrollWidth - innerWidth;
  const button = document.querySelector("button[data-group]");
  if (button) { button.click(); found.hidden = [lines(), button.getAttribute("aria-pressed")]; button.click(); }
  dispatchEvent(new Event("beforeprint"));
  found.printed = [width(), colour()];
  dispatchEvent(new Event("afterprint"));
  found.again = [lines(), width()];
  found.asked = performance.getEntriesByType("resource").map(entry => entry.name);
  found.asked = found.asked.filter(name => !name.startsWith("data:"));
  found.told = told;
  document.getElementById("probe").textContent = JSON.stringify(found);
}, 100));</script>"""


def seen(page: Path, *flags: str, more: str = "") -> tuple[str, dict[str, Any]]:
    """The page's document after its scripts ran, and what the probe found."""
    text = page.read_text(encoding="utf-8")
    probed = page.with_name("probed.html")
    probed.write_text(
        text.replace("<head>", "<head>" + BEFORE, 1).replace("</body>", more + BEHIND + "</body>"), encoding="utf-8"
    )
    profile = page.with_name("profile")
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, "--dump-dom", probed.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    match = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.S)
    assert match, done.stderr[-2000:]
    assert match[1], "the probe did not run"
    return done.stdout, json.loads(html.unescape(match[1]))


def test_the_page_draws_what_it_says_and_asks_for_nothing(make_run, make_seeds, tmp_path: Path) -> None:
    runs = [make_seeds("many", 3), make_run("<b>bold<", clip=0.1), make_run("gone", rows=[], clip=0.3)]
    page = write_report(runs, tmp_path / "report.html").path
    document, found = seen(page, "--window-size=1200,1000")
    assert found["told"] == []
    assert found["asked"] == []
    assert found["plots"] == found["drawn"] > 4
    assert found["overflow"] <= 0
    body = re.sub(r"<(script|style)\b.*?</\1>", "", document, flags=re.S)
    words = html.unescape(re.sub(r"<[^>]+>", " ", body))
    for text in ("many", "<b>bold<", "gone", "Return in training", "loss/policy", "121 [120, 122]"):
        assert text in words, text
    assert found["hidden"][0] < found["lines"]
    assert found["hidden"][1] == "false"
    assert found["again"] == [found["lines"], found["width"]]
    assert found["printed"][0] == 330


def test_it_is_dark_where_that_is_wished_and_fits_a_phone(make_run, tmp_path: Path) -> None:
    page = write_report([make_run("a-name-that-is-" + "much-" * 20 + "too-long")], tmp_path / "report.html").path
    _, found = seen(page, "--force-dark-mode", "--blink-settings=preferredColorScheme=0", "--window-size=500,900")
    assert found["told"] == []
    assert found["paper"] == "rgb(20, 22, 27)"
    assert found["colour"] == "rgb(110, 164, 255)"
    assert found["printed"][1] == "rgb(37, 99, 201)"
    assert found["overflow"] <= 0


def test_the_probe_would_have_seen_it(make_run, tmp_path: Path) -> None:
    page = write_report([make_run()], tmp_path / "report.html").path
    more = '<img src="http://example.invalid/a.png"><script>fetch("http://example.invalid/b"); missing()</script>'
    _, found = seen(page, more=more)
    told = "\n".join(found["told"])
    assert "wanted: http://example.invalid/a.png" in told
    assert "wanted: http://example.invalid/b" in told
    assert "missing is not defined" in told
