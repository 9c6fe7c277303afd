"""What the page says of runs in every state, without a browser."""

from __future__ import annotations

import base64
import html
import json
import math
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.cli.main import main
from puffer_core.errors import CheckpointError, ResourceError, UsageError
from puffer_core.run.directory import hold
from puffer_report import films, write_report

from .conftest import lines


class Page:
    """A written page: its text as people read it, and its figures."""

    def __init__(self, *runs: Path, output: Path) -> None:
        self.written = write_report(list(runs), output)
        self.html = output.read_text(encoding="utf-8")
        self.body = re.sub(r"<(script|style)\b.*?</\1>", "", self.html, flags=re.S)
        self.words = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.body)).split())
        (text,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', self.html, re.S)
        self.figures: list[dict[str, Any]] = json.loads(text)
        self.titles = re.findall(r"<figcaption>([^<]*)", self.body)

    def row(self, start: str) -> str:
        """The first table row that begins so."""
        rows = (html.unescape(re.sub(r"<[^>]+>", " ", row)) for row in re.findall(r"<tr.*?</tr>", self.body, re.S))
        return next(row for row in (" ".join(row.split()) for row in rows) if row.startswith(start))


@pytest.fixture
def page(tmp_path: Path):
    return lambda *runs: Page(*runs, output=tmp_path / "report.html")


def decoded(values: Any) -> np.ndarray:
    """An array as plotly writes it."""
    if isinstance(values, list):
        return np.array(values)
    return np.frombuffer(base64.b64decode(values["bdata"]), np.dtype(values["dtype"]))


def test_a_run_is_summed_up_in_a_row(make_run, page) -> None:
    row = page(make_run()).row("mine")
    assert row == "mine 120 120 40 4,000 40.0 s 100 0 failed"


def test_seeds_are_one_row_with_their_interval(make_seeds, page) -> None:
    found = page(make_seeds("many", 3))
    assert found.row("many").startswith("many 121 [120, 122] 121 [120, 122] 41 [40, 42] 4,000 40.0 s 100 0 to 2")
    assert "75 % of the time at most" in found.words


def test_every_evaluation_is_in_the_table_and_the_best_is_marked(make_run, page) -> None:
    found = page(make_run())
    assert [found.row(step) for step in ("1,000", "4,000")] == ["1,000 30 0.5 20", "4,000 120 0.5 20 best"]


def test_of_many_evaluations_the_best_is_always_shown(make_run, page) -> None:
    rows = [{"step": step, "eval/return": -abs(step - 777.0)} for step in range(1000)]
    found = page(make_run(rows=rows))
    assert "777 0 - 20 best" in found.words
    assert "959 others are left out" in found.words


def test_time_is_split_into_parts_that_add_up(make_run, page) -> None:
    found = page(make_run())
    shares = [float(share) for share in re.findall(r"<dd>([\d.]+)&nbsp;%", found.body)]
    assert shares == [20.0, 10.0, 50.0, 10.0, 0.0, 10.0]


def test_runs_of_two_trainers_and_two_envs_stand_side_by_side(make_run, page) -> None:
    found = page(make_run("one", trainer="ours", source="cartpole"), make_run("other", trainer="theirs", source="maze"))
    assert all(word in found.body for word in ("2 runs", "ours", "theirs", "cartpole", "maze"))


def test_differences_come_first_and_then_the_rest(make_run, page) -> None:
    found = page(make_run("a"), make_run("b", clip=0.1, epochs=4))
    assert found.row("clip") == "clip 0.2 0.1"
    assert found.row("epochs") == "epochs - 4"
    assert found.words.index("epochs - 4") < found.words.index("policy.hidden_sizes [64, 64]")


def test_a_metric_that_nobody_knows_is_drawn(make_run, page) -> None:
    rows = [
        {"step": step, "league/elo": step**0.5, "always": None, "once": 1.0 if step == 3 else None} for step in range(9)
    ]
    found = page(make_run(rows=rows, trainer="theirs"))
    assert found.titles == ["league/elo"]
    assert "There is no return yet" in found.words
    assert "theirs on cartpole" in found.words


def test_system_metrics_have_a_place_of_their_own(make_run, page) -> None:
    rows = [row | {"system/cpu": 1.5} for row in lines()]
    found = page(make_run(rows=rows))
    assert found.words.index("Machine") < found.words.index("system/cpu")


@pytest.mark.parametrize(("value", "expected"), [(0.0, [0, 1]), (0.25, [0, 0.5]), (-3.0, [-6, 0])])
def test_what_never_changes_has_a_scale(make_run, page, value: float, expected: list[float]) -> None:
    found = page(make_run(rows=[{"step": step, "learning_rate": value} for step in range(3)]))
    assert found.figures[0]["layout"]["yaxis"]["range"] == expected


def test_there_is_an_end_to_figures(make_run, page) -> None:
    rows = [{"step": step} | {f"layer/{index:03}": step for index in range(100)} for step in range(3)]
    found = page(make_run(rows=rows))
    assert len(found.figures) == 80
    assert "layer/080, layer/081" in found.words


def test_100_000_lines_become_curves_of_2_000_points_with_every_extreme(make_run, page) -> None:
    rows = [{"step": step, "episode/return": 900.0 if step == 77_777 else math.sin(step)} for step in range(100_000)]
    found = page(make_run(rows=rows))
    every, smooth = (decoded(trace["y"]) for trace in found.figures[0]["data"])
    assert len(every) <= 2000
    assert every.max() == 900
    assert np.median(np.abs(smooth)) < 0.1
    assert found.written.bytes - found.written.script_bytes < 200_000


def test_a_run_without_evaluation_or_any_line_is_reported(make_run, page) -> None:
    found = page(make_run("empty", rows=[]), make_run("young", rows=lines(3), clip=0.1))
    assert found.row("empty").startswith("empty - - - 0 0.0 s -")
    assert "Evaluations" not in found.words


def test_a_killed_run_keeps_what_it_wrote(make_run, page) -> None:
    found = page(make_run(tail='{"step": 4100, "episode/ret'))
    assert "failed" in found.row("mine")
    assert "cannot be read" not in found.words


def test_a_damaged_line_is_said_to_be(make_run, page) -> None:
    run = make_run()
    text = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join([*text[:5], "\x00\x00rubbish\n", *text[5:]]))
    assert "lines of metrics.jsonl that cannot be read 1" in page(run).words


def test_a_run_that_is_still_going_is_said_to_be(make_run, page) -> None:
    run = make_run()
    with hold(run):
        found = page(run)
    assert "Still training" in found.words
    assert "running" in found.row("mine")


def test_names_are_text_and_never_markup(make_run, page) -> None:
    name = "<script>alert(1)<"
    found = page(make_run(name, trainer="<b>x", source='"><img src=x>', clip="</script>"))
    assert "<script>alert" not in found.html
    assert "<img" not in found.body
    assert found.row(name).startswith(name)
    assert found.figures[0]["data"][1]["name"] == "&lt;script&gt;alert(1)&lt;"


def test_the_page_is_whole_and_well_formed(make_run, page) -> None:
    found = page(make_run())
    assert found.html.count("plotly.js v") == 1
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"', found.body) == []
    assert "default-src 'none'" in found.html
    balance = Balance()
    balance.feed(found.body)
    assert balance.open == []


class Balance(HTMLParser):
    """Finds elements that are not closed, or in the wrong order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in {"meta", "link", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_what_it_cost_to_survive_is_told(make_run, page) -> None:
    counted = {"logger/wandb/dropped": 7.0, "system/saves_failed": 2.0}
    rows = [row | counted | {"update/skipped": float(row["step"] >= 300)} for row in lines()]
    run = make_run(rows=rows)
    resume = {"time": "2026-11-22T10:15:00+00:00", "step": 2000, "checkpoint": "step-000000002000",
              "changes": {"total_steps": {"from": 2000, "to": 4000}}, "versions": {}}  # fmt: skip
    (run / "resumes.jsonl").write_text(json.dumps(resume) + '\n{"half')
    for name, content in (("stacks-1.txt", "thread"), ("stacks-2.txt", ""), ("crash-1.txt", "traceback")):
        (run / name).write_text(content)
    words = page(run).words
    for text in (
        "2,000 step-000000002000 total_steps: 2000 → 4000",
        "updates undone, since something in them was not finite 1",
        "metrics that wandb did not take 7",
        "checkpoints that could not be written 2",
        "it stood still stacks-1.txt",
        "crash report crash-1.txt",
    ):
        assert text in words, text
    assert "stacks-2.txt" not in words, "the watchdog of a run that goes on has seen nothing"


def test_the_newest_film_is_in_the_page(make_run, page) -> None:
    run = make_run()
    (run / "videos").mkdir()
    for name, age in (("old.mp4", 100), ("new.mp4", 200)):
        (run / "videos" / name).write_bytes(name.encode())
        os.utime(run / "videos" / name, (age, age))
    found = page(run)
    assert f'src="data:video/mp4;base64,{base64.b64encode(b"new.mp4").decode()}"' in found.body
    assert "old.mp4" not in found.words


def test_a_large_film_is_linked_to(make_run, page) -> None:
    run = make_run("a b")
    (run / "videos").mkdir()
    with (run / "videos" / "long.gif").open("wb") as file:
        file.truncate(films.MOST_BYTES + 1)
    found = page(run)
    assert 'href="a%20b/videos/long.gif"' in found.body
    assert "8.0 MB: too large" in found.words


def test_runs_below_a_directory_are_found_and_damaged_ones_left_out(make_run, make_seeds, page, tmp_path: Path) -> None:
    make_run("all/one", clip=0.5)
    make_seeds("all/two", 2)
    broken = make_run("all/broken")
    (broken / "config.json").write_text("{")
    found = page(tmp_path / "all")
    assert found.row("one")
    assert found.row("two")
    assert "left out" in found.words
    assert [warning for warning in found.written.warnings if str(broken) in warning]


def test_odd_files_of_a_run_are_no_obstacle(make_run, page) -> None:
    run = make_run(trainer={"name": "theirs"}, source=None, seed=None, backend="torch", eval_episodes=None, env=[1])
    (run / "plugins.json").write_text('["x", {"name": "y"}, 3]')
    checkpoint = run / "checkpoints" / "step-000000004000"
    checkpoint.mkdir(parents=True)
    (checkpoint / "manifest.json").write_text('{"runtime": [1]}')
    assert "theirs" in page(run).words
    (checkpoint / "manifest.json").write_text("{")
    assert "theirs" in page(run).words


@pytest.mark.parametrize("state", ["missing", "empty", "file", "damaged"])
def test_what_is_no_run_is_refused(tmp_path: Path, make_run, page, state: str) -> None:
    path = tmp_path / "there"
    if state == "empty":
        path.mkdir()
    elif state == "file":
        path.write_text("")
    elif state == "damaged":
        (make_run("there") / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        page(path)
    assert not (tmp_path / "report.html").exists()


def test_all_of_several_may_be_damaged(tmp_path: Path, make_run, page) -> None:
    (make_run("all/a") / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="none of the runs in it can be read"):
        page(tmp_path / "all")


@pytest.mark.parametrize("output", ["missing/report.html", "mine", "mine/config.json/x.html"])
def test_a_page_that_cannot_be_written_is_an_error(make_run, tmp_path: Path, output: str) -> None:
    with pytest.raises(ResourceError, match=re.escape(output)) as raised:
        write_report([make_run()], tmp_path / output)
    assert "--output" in raised.value.remedy


def test_no_run_is_an_error() -> None:
    with pytest.raises(UsageError):
        write_report([], Path("report.html"))


def test_nothing_of_a_run_is_changed(make_run, page) -> None:
    run = make_run()
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in run.iterdir()}
    page(run)
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in run.iterdir()} == before


# --- the command ----------------------------------------------------------------------------------------


def test_the_command_says_where_the_page_is_and_how_large(make_run, tmp_path: Path, capsys) -> None:
    output = tmp_path / "x.html"
    assert main(["report", str(make_run()), "--output", str(output)]) == 0
    assert re.fullmatch(
        rf"report     {output} \(\d\.\d MB, of which plotly\.js is 4\.8 MB\)\n", capsys.readouterr().out
    )


def test_it_says_what_was_left_out(make_run, tmp_path: Path, capsys) -> None:
    make_run("all/one")
    (make_run("all/broken") / "config.json").write_text("{")
    assert main(["report", str(tmp_path / "all"), "--output", str(tmp_path / "x.html")]) == 0
    assert "left out" in capsys.readouterr().err


def test_it_opens_the_page_where_asked(make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main(["report", str(make_run()), "--output", str(tmp_path / "x.html"), "--open"]) == 0
    assert opened == [(tmp_path / "x.html").as_uri()]


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        ([], 2, "RUN"),
        (["mine", "--outptu", "x"], 2, "--output"),
        (["nowhere"], 4, "nowhere"),
        (["mine", "--output", "missing/x.html"], 6, "missing/x.html"),
    ],
)
def test_wrong_input_ends_with_its_code(
    argv: list[str], code: int, said: str, make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    make_run("mine")
    monkeypatch.chdir(tmp_path)
    assert main(["report", *argv]) == code
    assert said in capsys.readouterr().err


def test_help_lists_its_options(capsys) -> None:
    assert main(["report", "--help"]) == 0
    assert "--output" in capsys.readouterr().out
