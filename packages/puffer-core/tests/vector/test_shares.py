"""How environments are shared out."""

from __future__ import annotations

import pytest

from puffer_core.errors import UsageError
from puffer_core.vector import shares
from puffer_core.vector.plain import plain
from puffer_core.vector.shares import Share, number_of_workers, shares_of


@pytest.mark.parametrize("num_envs", range(1, 12))
@pytest.mark.parametrize("parts", range(1, 5))
def test_shares_are_even_and_cover_everything(num_envs: int, parts: int) -> None:
    if parts > num_envs:
        return
    cut = shares_of(num_envs, parts)
    covered = [env for share in cut for env in range(num_envs)[share.envs]]
    counts = [share.count for share in cut]
    assert covered == list(range(num_envs))
    assert max(counts) - min(counts) <= 1
    assert counts[0] == min(counts), "the main process has other work too"


def test_a_share_knows_its_rows_and_its_name() -> None:
    share = Share(2, 3, agents=4)
    assert (share.envs, share.rows, str(share)) == (slice(2, 5), slice(8, 20), "environments 2 to 4")
    assert str(Share(5, 1)) == "environment 5"


@pytest.mark.parametrize(
    ("cores", "num_envs", "main_steps", "main_acts", "expected"),
    [
        (1, 8, True, False, 1),
        (2, 8, True, False, 1),
        (2, 8, False, False, 2),
        (2, 8, False, True, 1),
        (8, 4, True, False, 3),
        (8, 4, False, False, 4),
        (4, 1, False, False, 1),
    ],
)
def test_workers_go_by_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, num_envs: int, main_steps: bool, main_acts: bool, expected: int
) -> None:
    monkeypatch.setattr(shares, "cores", lambda: cores)
    assert number_of_workers(0, num_envs, main_steps=main_steps, main_acts=main_acts) == expected


@pytest.mark.parametrize(
    ("asked", "num_envs", "main_steps", "remedy"),
    [
        (8, 8, True, "Use --vector.workers 7 or --vector.num-envs 9."),
        (9, 8, False, "Use --vector.workers 8 or --vector.num-envs 9."),
        (2, 1, False, "Use --vector.workers 1 or --vector.num-envs 2."),
    ],
)
def test_too_many_workers_get_the_nearest_that_work(asked: int, num_envs: int, main_steps: bool, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        number_of_workers(asked, num_envs, main_steps=main_steps)
    assert caught.value.remedy == remedy


def test_what_goes_on_for_ever_is_cut_short() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert "[[[" in str(plain(endless))
    assert plain({"text": "x" * 2000})["text"] == "x" * 2000
    assert len(plain({"it": bytes(2000)})["it"]) == 1000


def test_a_value_whose_repr_raises_is_named() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    assert plain([Rude()]) == ["<Rude, whose repr raises RuntimeError>"]


def test_a_variable_says_how_many_of_the_cores_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUFFER_CORES", raising=False)
    there = shares.cores()
    for asked, expected in ((1, 1), (there, there), (10_000, there)):
        monkeypatch.setenv("PUFFER_CORES", str(asked))
        assert shares.cores() == expected
    for wrong in ("0", "-1", "many", ""):
        monkeypatch.setenv("PUFFER_CORES", wrong)
        with pytest.raises(UsageError, match=r"PUFFER_CORES: got .*, expected an integer >= 1"):
            shares.cores()
