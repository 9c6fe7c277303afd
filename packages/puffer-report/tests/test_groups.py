"""Which runs belong together, and what they are called."""

from __future__ import annotations

from pathlib import Path

from puffer_report.groups import Group, grouped
from puffer_report.records import read_runs


def groups_of(*paths: Path) -> list[Group]:
    return grouped(read_runs(paths)[0])


def test_runs_that_differ_in_their_seed_alone_are_one(make_seeds) -> None:
    (group,) = groups_of(make_seeds("many", 4))
    assert (group.label, group.seeds) == ("many", "0 to 3")
    assert "seed" not in group.options


def test_another_option_makes_another_group(make_run) -> None:
    groups = groups_of(make_run("a", seed=3), make_run("b", clip=0.1))
    assert [(group.label, group.seeds) for group in groups] == [("a", "3"), ("b", "0")]


def test_the_same_seed_again_is_no_further_evidence(make_run) -> None:
    assert [len(group.runs) for group in groups_of(make_run("a"), make_run("b"), make_run("c", seed=1))] == [2, 1]


def test_a_run_that_is_named_twice_counts_once(make_run) -> None:
    run = make_run("a")
    assert [len(group.runs) for group in groups_of(run, run, run / ".." / "a", run.parent)] == [1]


def test_groups_that_share_a_directory_are_told_apart_by_what_differs(make_run, tmp_path: Path) -> None:
    for clip in (0.1, 0.2):
        for seed in (0, 5):
            make_run(f"all/{clip}-{seed}", seed=seed, clip=clip)
    groups = groups_of(tmp_path / "all")
    assert [group.label for group in groups] == ["ppo on cartpole, clip 0.1", "ppo on cartpole, clip 0.2"]
    assert [group.seeds for group in groups] == ["0, 5", "0, 5"]


def test_names_are_never_the_same(make_run) -> None:
    labels = [group.label for group in groups_of(make_run("x/one"), make_run("y/one"))]
    assert labels == ["one (1)", "one (2)"]


def test_one_seed_of_many_is_named_with_its_directory(make_seeds) -> None:
    assert [group.label for group in groups_of(make_seeds("many") / "seed-1")] == ["many/seed-1"]
