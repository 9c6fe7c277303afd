"""Films, read back: as many pictures as states that were acted on, of the env's size, and none where it failed."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from puffer_core import video
from puffer_core.contracts.env import EnvBuffers, VectorEnv
from puffer_core.errors import EnvError, ResourceError, UnsupportedError, UsageError
from puffer_core.vector import SerialVectorEnv
from puffer_core.video import Camera, check_film, filmed, filming, without_screen

Image = pytest.importorskip("PIL.Image")
ffmpeg = pytest.importorskip("imageio_ffmpeg")


def pictures(file: Path, height: int = 34, width: int = 50) -> np.ndarray:
    """All of a film, `[pictures, height, width, 3]`."""
    if file.suffix == ".gif":
        with Image.open(file) as film:
            return np.stack([_frame(film, i) for i in range(film.n_frames)])
    command = [
        ffmpeg.get_ffmpeg_exe(),
        "-loglevel",
        "error",
        "-i",
        str(file),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def _frame(film: Any, i: int) -> np.ndarray:
    film.seek(i)
    return np.asarray(film.convert("RGB"))


class Lamp(gymnasium.Env[Any, Any]):
    """Grows brighter with every step of an episode of `length` steps; its pictures are 33 x 50."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)
    length, size = 7, (33, 50, 3)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.zeros(1, np.float32), 0.0, self.steps == self.length, False, {}

    def render(self) -> Any:
        return np.full(self.size, 20 * self.steps, np.uint8) if self.render_mode else None


class Growing(Lamp):
    def render(self) -> Any:
        return np.zeros((32, 32 + 2 * self.steps, 3), np.uint8)


class Fails(Lamp):
    def step(self, action: Any) -> Any:
        raise RuntimeError("the bulb broke")


def maker(kind: type[Lamp] = Lamp, num_envs: int = 2) -> Any:
    return lambda options: SerialVectorEnv(lambda: kind(**options), num_envs, id="lamp")


def play(env: VectorEnv, steps: int) -> list[float]:
    """Two slots, as an evaluation has them; the rewards of environment 0."""
    slots = EnvBuffers.allocate(env.spec, 2)
    env.bind(slots)
    env.reset(0)
    rewards = []
    for _ in range(steps):
        env.step(np.zeros(env.spec.rows, np.int64), 1)
        rewards.append(float(slots.reward[1, 0]))
        slots.wrap()
    return rewards


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_every_state_of_the_first_episode_is_a_picture(name: str, tmp_path: Path) -> None:
    file = tmp_path / "new" / name
    with filming(maker(), {}, file) as env:
        play(env, 3 * Lamp.length)
    film = pictures(file)
    assert film.shape == (Lamp.length, 34, 50, 3)
    brightness = film.reshape(len(film), -1).mean(axis=1)
    assert np.allclose(brightness, 20 * np.arange(Lamp.length), atol=8)
    assert [entry.name for entry in file.parent.iterdir()] == [name]


def test_it_runs_as_fast_as_the_env_says(tmp_path: Path) -> None:
    with filming(maker(), {}, tmp_path / "film.mp4") as env:
        play(env, 10)
    count, seconds = ffmpeg.count_frames_and_secs(str(tmp_path / "film.mp4"))
    assert count / seconds == pytest.approx(20.0)


def test_a_short_look_is_a_short_film(tmp_path: Path) -> None:
    with filming(maker(), {}, tmp_path / "film.mp4") as env:
        play(env, 3)
    assert len(pictures(tmp_path / "film.mp4")) == 4


def test_a_real_env_is_drawn_without_a_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)

    def make(options: dict[str, Any]) -> VectorEnv:
        return SerialVectorEnv(lambda: gymnasium.make("CartPole-v1", **options), 2, id="CartPole-v1")

    with filming(make, {}, tmp_path / "film.mp4") as env:
        play(env, 30)
    film = pictures(tmp_path / "film.mp4", 400, 600)
    assert 5 < len(film) < 30
    assert (film[0] != film[-1]).any()
    assert "SDL_VIDEODRIVER" not in os.environ


def test_the_camera_changes_nothing_that_is_played(tmp_path: Path) -> None:
    def make(options: dict[str, Any]) -> VectorEnv:
        return SerialVectorEnv(lambda: gymnasium.make("Pendulum-v1"), 2, id="Pendulum-v1")

    class Still:
        def add(self, picture: Any) -> None: ...

        def end(self) -> None: ...

    env = make({})
    env.render = lambda: np.zeros((2, 2, 3), np.uint8)  # type: ignore[method-assign]
    with closing(make({})) as plain, closing(Camera(env, lambda size, fps: Still())) as camera:
        assert [_pushed(plain), _pushed(plain)] == [_pushed(camera), _pushed(camera)]


def _pushed(env: VectorEnv) -> list[float]:
    slots = EnvBuffers.allocate(env.spec, 2)
    env.bind(slots)
    env.reset(3)
    rewards = []
    for _ in range(5):
        env.send(np.ones((2, 1), np.float32), 1)
        env.recv()
        rewards.append(float(slots.reward[1, 0]))
    return rewards


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (Growing, EnvError, r"a picture has shape \(32, 34, 3\), the first had \(32, 32, 3\)"),
        (Fails, EnvError, "the bulb broke"),
    ],
)
def test_a_failure_leaves_no_file(kind: type[Lamp], error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message), filming(maker(kind), {}, tmp_path / "film.mp4") as env:
        play(env, 3)
    assert list(tmp_path.iterdir()) == []


def test_an_older_film_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    file = tmp_path / "film.gif"
    file.write_bytes(b"older")
    with pytest.raises(EnvError), filming(maker(Fails), {}, file) as env:
        play(env, 1)
    assert file.read_bytes() == b"older"
    with filming(maker(), {}, file) as env:
        play(env, 2)
    assert file.read_bytes().startswith(b"GIF89a")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = filming(maker(), {}, tmp_path / "file" / "film.mp4")
    with pytest.raises(ResourceError, match="cannot be written"), place:
        pass


@pytest.mark.parametrize("picture", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_picture(picture: np.ndarray, tmp_path: Path) -> None:
    env = maker()({})
    env.render = lambda: picture
    with (
        pytest.raises(EnvError, match=r"lamp: its picture is .*, expected uint8"),
        filmed(env, tmp_path / "a.gif") as it,
    ):
        play(it, 1)
    assert list(tmp_path.iterdir()) == []


def test_an_env_that_cannot_show_itself(tmp_path: Path) -> None:
    methods = {name: lambda self: None for name in vars(VectorEnv) if not name.startswith("_")}
    blind = type("Blind", (), methods | {"spec": maker()({}).spec})()
    with pytest.raises(UnsupportedError, match="lamp gives no pictures"), filmed(blind, tmp_path / "film.mp4"):
        pass


def test_an_env_without_the_option_is_made_without_it(tmp_path: Path) -> None:
    def make(options: dict[str, Any]) -> VectorEnv:
        if "render_mode" in options:
            raise UsageError("no such option")
        return maker()({"render_mode": "its own"})

    with filming(make, {}, tmp_path / "film.mp4") as env:
        play(env, 2)
    assert (tmp_path / "film.mp4").exists()


@pytest.mark.parametrize(("name", "got"), [("film.avi", "got .avi"), ("film", "the name has no ending")])
def test_names_of_films(name: str, got: str) -> None:
    with pytest.raises(UsageError, match=rf"--video {name}: {got}, expected a name that ends in \.mp4 or \.gif"):
        check_film(Path(name))


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_what_is_missing_is_said_before_anything_is_made(suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(video._NEEDS, suffix, "absent_package")
    place = filming(lambda options: pytest.fail("it was made"), {}, Path(f"film{suffix}"))
    with pytest.raises(UsageError, match="absent_package is not installed") as raised, place:
        pass
    assert raised.value.remedy == 'Install it: pip install "puffer-core[video]"'
    assert raised.value.exit_code == 2


def test_who_chose_a_screen_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.delenv("SDL_AUDIODRIVER", raising=False)
    with without_screen():
        assert (os.environ["SDL_VIDEODRIVER"], os.environ["SDL_AUDIODRIVER"]) == ("x11", "dummy")
    assert "SDL_AUDIODRIVER" not in os.environ


class TestAgents:
    """An episode of several agents ends with the last of them."""

    @pytest.mark.parametrize(
        ("playing", "ended", "over"),
        [
            ([True, True], [True, True], True),
            ([True, True], [True, False], False),
            ([False, True], [False, True], True),
            ([True, False], [False, False], False),
        ],
    )
    def test_it_is_over_when_nobody_plays_on(self, playing: list[bool], ended: list[bool], over: bool) -> None:
        taken: list[int] = []

        class Film:
            def add(self, picture: Any) -> None:
                taken.append(1)

            def end(self) -> None: ...

        env = maker(num_envs=1)({"render_mode": "rgb_array"})
        camera = Camera(env, lambda size, fps: Film())
        camera._rows = 2
        env.reset = lambda seed, first=0: None
        env.send = lambda action, slot: None
        env.recv = list
        env._envs[0].steps = 0

        class Slots:
            active = np.array([playing, [True, True]])
            terminated = np.array([[False, False], ended])
            truncated = np.zeros((2, 2), bool)

        camera._slots = Slots()  # type: ignore[assignment]
        camera.reset(0)
        camera.step(np.zeros(2), 1)
        assert len(taken) == (1 if over else 2)
