"""What is logged is what TensorBoard reads."""

from __future__ import annotations

import gc
import io
import math
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.util import tensor_util

from puffer_core.contracts.logger import RunInfo
from puffer_core.errors import ShapeError
from puffer_logger_tensorboard.config import TensorBoardConfig
from puffer_logger_tensorboard.logger import TensorBoardLogger

Read = Callable[[], EventAccumulator]


@pytest.fixture
def logger(run: RunInfo) -> Iterator[TensorBoardLogger]:
    logger = TensorBoardLogger(TensorBoardConfig(histogram_bins=4, video_fps=10))
    logger.open(run, None)
    yield logger
    logger.close()


def points(read: EventAccumulator, key: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read.Scalars(key)]


def test_scalars_come_back(logger: TensorBoardLogger, read: Read) -> None:
    for step in range(0, 5000, 10):
        logger.log(step, {"loss/policy": step / 4, "episode/return": -1.5})
    logger.close()
    assert points(read(), "loss/policy") == [(step, step / 4) for step in range(0, 5000, 10)]
    assert sorted(read().Tags()["scalars"]) == ["episode/return", "loss/policy"]


def test_what_was_logged_is_there_before_anything_is_closed(logger: TensorBoardLogger, read: Read) -> None:
    logger.log(1, {"loss": 0.5})
    assert points(read(), "loss") == [(1, 0.5)]
    logger.close()


def test_a_step_is_one_event(logger: TensorBoardLogger, events: Path) -> None:
    before = sum(path.stat().st_size for path in events.iterdir())
    logger.log(1, {})
    assert sum(path.stat().st_size for path in events.iterdir()) == before
    logger.close()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_come_back(logger: TensorBoardLogger, read: Read, value: float) -> None:
    logger.log(1, {"loss": value})
    logger.close()
    ((step, back),) = points(read(), "loss")
    assert step == 1
    assert back == value or (math.isnan(back) and math.isnan(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1e300, math.inf),
        (10**400, math.nan),
        (None, math.nan),
        ("many", math.nan),
        (torch.ones(2), math.nan),
        (np.float64(2), 2.0),
        (np.array([3.0]).reshape(()), 3.0),
        (True, 1.0),
        (torch.tensor(4.0, requires_grad=True) * 2, 8.0),
    ],
)
def test_odd_values_raise_nothing(logger: TensorBoardLogger, read: Read, value: object, expected: float) -> None:
    logger.log(1, {"odd": value, "even": 1.0})  # type: ignore[dict-item]
    logger.close()
    assert points(read(), "odd") == [(1, pytest.approx(expected, nan_ok=True))]
    assert points(read(), "even") == [(1, 1.0)]


@pytest.mark.parametrize("key", ["", " ", "a b", "ü/ß", "../up", "\ud800", "new\nline", "x" * 5000, "/", "\0", 3, None])
def test_odd_keys_raise_nothing(logger: TensorBoardLogger, read: Read, key: str) -> None:
    logger.log(1, {key: 0.5})
    logger.artifact(1, f"text {key}", "text", "hello")
    logger.close()
    (name,) = read().Tags()["scalars"]
    assert points(read(), name) == [(1, 0.5)]


def test_no_graph_is_kept_alive(logger: TensorBoardLogger) -> None:
    weight = torch.ones(3, requires_grad=True)
    loss = (weight * 2).sum()

    def hook(*gradients: object) -> None: ...

    loss.grad_fn.register_hook(hook)
    held_by_the_graph = weakref.ref(hook)
    logger.log(1, {"loss": loss})  # type: ignore[dict-item]
    logger.artifact(1, "weights", "histogram", weight * 2)
    del hook
    gc.collect()
    assert held_by_the_graph() is not None
    del loss
    gc.collect()
    assert held_by_the_graph() is None


def test_hyperparameters_come_back(logger: TensorBoardLogger, read: Read) -> None:
    logger.close()
    content = read().SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    assert values == {
        "seed": 7.0,
        "policy.name": "mlp",
        "policy.hidden_sizes": "[64, 64]",
        "policy.dual": False,
        "env": "{}",
        "target": "null",
    }
    assert start.group_name == "a-run"


def test_hyperparameters_can_be_left_out(run: RunInfo, read: Read) -> None:
    logger = TensorBoardLogger(TensorBoardConfig(hyperparameters=False))
    logger.open(run, None)
    logger.close()
    assert metadata.SESSION_START_INFO_TAG not in read().Tags()["tensors"]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_image_comes_back(logger: TensorBoardLogger, read: Read, channels: int) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (4, 6, channels), np.uint8)
    logger.artifact(5, "frame", "image", frame)
    logger.close()
    (event,) = read().Images("frame")
    assert (event.step, event.height, event.width) == (5, 4, 6)
    back = np.asarray(Image.open(io.BytesIO(event.encoded_image_string))).reshape(frame.shape)
    np.testing.assert_array_equal(back, frame)


def test_a_video_comes_back_frame_by_frame(logger: TensorBoardLogger, read: Read) -> None:
    frames = np.zeros((5, 8, 8, 3), np.uint8)
    for time in range(5):
        frames[time, :, time] = 255
    logger.artifact(5, "episode", "video", frames)
    logger.close()
    (event,) = read().Images("episode")
    film = Image.open(io.BytesIO(event.encoded_image_string))
    assert (film.format, film.n_frames, film.info["duration"], film.info["loop"]) == ("GIF", 5, 100, 0)
    for time in range(5):
        film.seek(time)
        np.testing.assert_array_equal(np.asarray(film.convert("RGB")), frames[time])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("image", np.zeros((4, 6), np.uint8)),
        ("image", np.zeros((4, 6, 3), np.float32)),
        ("image", np.zeros((4, 6, 5), np.uint8)),
        ("image", np.zeros((0, 6, 3), np.uint8)),
        ("video", np.zeros((4, 6, 3), np.uint8)),
        ("video", np.zeros((0, 4, 6, 3), np.uint8)),
    ],
)
def test_pixels_that_are_none_are_named(logger: TensorBoardLogger, kind: str, value: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"artifact 'frame' is \w+ \["):
        logger.artifact(1, "frame", kind, value)  # type: ignore[arg-type]
    logger.close()


def test_text_comes_back(logger: TensorBoardLogger, read: Read) -> None:
    logger.artifact(5, "note", "text", "it *moves* ü")
    logger.close()
    (event,) = read().Tensors("note")
    assert tensor_util.make_ndarray(event.tensor_proto).tolist() == ["it *moves* ü".encode()]
    assert read().SummaryMetadata("note").plugin_data.plugin_name == "text"


def test_a_histogram_comes_back(logger: TensorBoardLogger, read: Read) -> None:
    logger.artifact(5, "weights", "histogram", np.array([0.0, 1.0, 1.0, 4.0, math.nan, math.inf]))
    logger.close()
    (event,) = read().Histograms("weights")
    step, shown = event.step, event.histogram_value
    assert (step, shown.min, shown.max, shown.num, shown.sum, shown.sum_squares) == (5, 0, 4, 4, 6, 18)
    assert (shown.bucket_limit, shown.bucket) == ([1, 2, 3, 4], [1, 2, 0, 1])


@pytest.mark.parametrize(
    "values",
    [
        np.ones(3),
        np.array([1e16, 1e16 + 2]),
        np.array([-1e308, 1e308]),
        np.array([True, False, True]).astype(np.int64),
        np.zeros((2, 3), np.float16),
        np.array([5e-324, 0.0]),
    ],
)
def test_no_value_is_lost_between_buckets(logger: TensorBoardLogger, read: Read, values: np.ndarray) -> None:
    logger.artifact(5, "weights", "histogram", values)
    logger.close()
    (event,) = read().Histograms("weights")
    shown = event.histogram_value
    assert sum(shown.bucket) == shown.num == values.size


@pytest.mark.parametrize("values", [np.array([]), np.array([math.nan, math.inf])])
def test_a_histogram_of_nothing_is_dropped(logger: TensorBoardLogger, read: Read, values: np.ndarray) -> None:
    logger.artifact(5, "weights", "histogram", values)
    logger.close()
    assert read().Tags()["histograms"] == []


def test_a_file_is_dropped(logger: TensorBoardLogger, events: Path, tmp_path: Path) -> None:
    before = [path.stat().st_size for path in events.iterdir()]
    logger.artifact(5, "model", "file", tmp_path)
    assert [path.stat().st_size for path in events.iterdir()] == before
    logger.close()


def test_events_are_forced_to_disk_within_the_interval(run: RunInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr("os.fsync", synced.append)
    for seconds, expected in ((0, 2), (3600, 0)):
        logger = TensorBoardLogger(TensorBoardConfig(hyperparameters=False, sync_seconds=seconds))
        logger.open(run, None)
        synced.clear()
        logger.log(1, {"loss": 1.0})
        logger.log(2, {"loss": 1.0})
        assert len(synced) == expected
        logger.close()


def test_closing_unopened_and_twice_is_harmless(logger: TensorBoardLogger) -> None:
    TensorBoardLogger().close()
    logger.close()
    logger.close()
