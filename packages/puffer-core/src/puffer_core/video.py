"""Films: pictures of an env while it is played, written as mp4 or gif, without a screen.

Needs the extra `puffer-core[video]`: imageio-ffmpeg, which brings its own ffmpeg, for mp4; pillow for gif.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Shaped, UInt8

from puffer_core.contracts.checkpointable import State
from puffer_core.contracts.env import EnvBuffers, Infos, RenderingEnv, VectorEnv, VectorEnvSpec
from puffer_core.errors import EnvError, ResourceError, UnsupportedError, UsageError

FRAMES_A_SECOND = 30.0
"""Where the env does not say it."""
_NEEDS = {".mp4": "imageio_ffmpeg", ".gif": "PIL"}
_SCREENLESS = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}


class Film(Protocol):
    """Takes pictures of one size."""

    def add(self, picture: UInt8[np.ndarray, "height width 3"]) -> None:
        """The next picture."""
        ...

    def end(self) -> None:
        """Write what is not written yet."""
        ...


def check_film(path: Path) -> None:
    """Find out before anything is played whether a film can be written there.

    Raises:
        UsageError: the name ends in neither .mp4 nor .gif, or what writes it is not installed.

    Example:
        >>> check_film(Path("film.avi"))
        Traceback (most recent call last):
        puffer_core.errors.UsageError: --video film.avi: got .avi, expected a name that ends in .mp4 or .gif
    """
    needed = _NEEDS.get(path.suffix.lower())
    if needed is None:
        what = f"got {path.suffix}" if path.suffix else "the name has no ending"
        raise UsageError(f"--video {path}: {what}, expected a name that ends in .mp4 or .gif")
    if importlib.util.find_spec(needed) is None:
        raise UsageError(
            f"--video {path}: {needed} is not installed, which writes {path.suffix[1:]}",
            remedy='Install it: pip install "puffer-core[video]"',
        )


def make_to_film(make: Callable[[dict[str, Any]], VectorEnv], options: dict[str, Any]) -> VectorEnv:
    """An env with Gymnasium's `render_mode="rgb_array"`, or without, where it has no such option.

    Args:
        make: gives the env that options describe.
        options: as the run has them.
    """
    try:
        return make(options | {"render_mode": "rgb_array"})
    except UsageError:
        return make(options)


@contextmanager
def without_screen() -> Iterator[None]:
    """Let SDL, which PyGame draws with, do without a screen and a loudspeaker, where nobody chose otherwise."""
    ours = {name: value for name, value in _SCREENLESS.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@contextmanager
def filming(make: Callable[[dict[str, Any]], VectorEnv], options: dict[str, Any], path: Path) -> Iterator[VectorEnv]:
    """A new env that is filmed; the first episode of its environment 0 is in `path` when this ends without an error.

    Args:
        make: gives the env that options describe.
        options: as the run has them; pictures are asked for beside them.
        path: ends in .mp4 or .gif; the directory is made, an older file replaced.

    Raises:
        UsageError: as `check_film`, before anything is made.
        EnvError: a picture is none, or of another size than the first; or as `make`.
        ResourceError: the file cannot be written.
        UnsupportedError: the env gives no pictures.
    """
    check_film(path)
    with without_screen(), closing(make_to_film(make, options)) as env, filmed(env, path) as camera:
        yield camera


@contextmanager
def filmed(env: VectorEnv, path: Path) -> Iterator[VectorEnv]:
    """`env` while it is filmed, as `filming` does."""
    if not isinstance(env, RenderingEnv):
        raise UnsupportedError(f"--video: {env.spec.id} gives no pictures")
    partial = path.with_name(f".{path.stem}.part-{os.getpid()}{path.suffix}")
    camera = Camera(env, lambda size, fps: _FILMS[path.suffix.lower()](partial, size, fps))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield camera
        finally:
            camera.end()
        partial.replace(path)
    except OSError as error:
        raise ResourceError(f"--video {path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


class Camera:
    """A `VectorEnv` that plays another one and films the first episode of its environment 0.

    There is a picture of every state that the policy acted on; the state that the episode ended in is gone when it
    could be taken.

    Args:
        env: gives the pictures; `render_fps`, if it has that, says how many are a second.
        start: opens a film, told the size of its pictures (width, height) and how many are a second.
    """

    def __init__(self, env: VectorEnv, start: Callable[[tuple[int, int], float], Film]) -> None:
        assert isinstance(env, RenderingEnv)
        self.spec: VectorEnvSpec = env.spec
        self._env, self._render = env, env.render
        self._start = start
        self._film: Film | None = None
        self._shape: tuple[int, ...] = ()
        self._over = False
        self._rows = len(env.spec.agents)
        self._slot = 0

    def bind(self, buffers: EnvBuffers) -> None:
        """As the env does."""
        self._slots = buffers
        self._env.bind(buffers)

    def reset(self, seed: int, first: int = 0) -> None:
        """As the env does, and a picture."""
        self._env.reset(seed, first)
        self._take()

    def step(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> Infos:
        """As the env does, and a picture."""
        self.send(action, slot)
        return self.recv()

    def send(self, action: Shaped[np.ndarray, "rows *action"], slot: int) -> None:
        """As the env does."""
        self._slot = slot
        self._env.send(action, slot)

    def recv(self) -> Infos:
        """As the env does, and a picture."""
        infos = self._env.recv()
        slots, mine = self._slots, slice(self._rows)
        ended = slots.terminated[self._slot, mine] | slots.truncated[self._slot, mine]
        self._over = self._over or bool((ended | ~slots.active[self._slot - 1, mine]).all())
        self._take()
        return infos

    def _take(self) -> None:
        if self._over:
            return
        picture = np.asarray(self._render())
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            got = f"{picture.dtype} of shape {picture.shape}"
            raise EnvError(f"{self.spec.id}: its picture is {got}, expected uint8 [height, width, 3]")
        if self._film is None:
            self._shape = picture.shape
            height, width = (side + side % 2 for side in picture.shape[:2])
            self._film = self._start((width, height), float(getattr(self._env, "render_fps", FRAMES_A_SECOND)))
        if picture.shape != self._shape:
            raise EnvError(f"{self.spec.id}: a picture has shape {picture.shape}, the first had {self._shape}")
        self._film.add(_even(picture))

    def end(self) -> None:
        """Finish the film. Safe to call twice."""
        film, self._film = self._film, None
        if film is not None:
            film.end()

    def snapshot(self) -> State:
        """As the env does."""
        return self._env.snapshot()

    def restore(self, state: State) -> None:
        """As the env does."""
        self._env.restore(state)

    def close(self) -> None:
        """As the env does."""
        self._env.close()


def _even(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """With the last row and column twice where their number is odd: video codecs take pairs."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(picture)


class _Mp4:
    """Pictures go to ffmpeg one by one."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        from imageio_ffmpeg import write_frames

        self._frames: Generator[None, Any, None] = write_frames(
            str(path), size, fps=fps, macro_block_size=1, ffmpeg_log_level="error"
        )
        self._frames.send(None)

    def add(self, picture: np.ndarray[Any, Any]) -> None:
        self._frames.send(picture)

    def end(self) -> None:
        self._frames.close()


class _Gif:
    """Pictures are kept with 256 colours of their own each, and written at the end."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        self._path = path
        self._milliseconds = 1000.0 / fps
        self._pictures: list[Any] = []

    def add(self, picture: np.ndarray[Any, Any]) -> None:
        from PIL import Image

        self._pictures.append(Image.fromarray(picture).quantize(256))

    def end(self) -> None:
        first, *rest = self._pictures
        first.save(self._path, save_all=True, append_images=rest, duration=self._milliseconds, loop=0, disposal=1)


_FILMS: dict[str, Callable[[Path, tuple[int, int], float], Film]] = {".mp4": _Mp4, ".gif": _Gif}
