from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest

from puffer_core.contracts.logger import RunInfo
from puffer_core.errors import PufferWarning
from puffer_logger_wandb import WandbConfig, WandbLogger
from puffer_logger_wandb.service import forget
from puffer_logger_wandb.starting import answers, choose_mode

AUTO = WandbConfig(init_timeout=5)
UNREACHABLE = "http://127.0.0.1:9"
"""The port `discard`, on which nothing listens."""


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    """wandb reads its environment variables once."""
    forget()
    yield
    forget()


@pytest.fixture
def server() -> Iterator[str]:
    class Refusing(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as serving:
        thread = Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_without_a_key_it_is_offline() -> None:
    assert choose_mode(AUTO) == "offline"


def test_an_explicit_mode_is_taken() -> None:
    assert choose_mode(WandbConfig(mode="online")) == "online"


@pytest.mark.parametrize(("value", "mode"), [("dryrun", "offline"), ("disabled", "disabled"), ("online", "online")])
def test_wandbs_variable_decides(value: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", value)
    assert choose_mode(AUTO) == mode


@pytest.mark.parametrize("netrc", [True, False])
def test_with_a_key_and_a_server_it_is_online(
    server: str, netrc: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server)
    if netrc:
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login user password {'0' * 40}\n")
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    else:
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert choose_mode(AUTO) == "online"


def test_an_unreachable_server_costs_seconds_and_a_warning(
    tmp_path: Path, info: Callable[..., RunInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", UNREACHABLE)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    logger, begin = WandbLogger(AUTO), monotonic()
    with pytest.warns(PufferWarning, match="is written offline"):
        logger.open(info(tmp_path), None)
    assert monotonic() - begin < 60  # wandb's own default waits 90 s, then gives up
    logger.log(1, {"a": 1.0})
    logger.close()
    assert len(list(tmp_path.glob("wandb/offline-run-*/*.wandb"))) == 1


def test_online_with_an_unreachable_server_raises_in_time(
    tmp_path: Path, info: Callable[..., RunInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", UNREACHABLE)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    logger = WandbLogger(WandbConfig(mode="online", init_timeout=1, finish_timeout=1))
    with pytest.raises(Exception, match="abc") as raised:
        logger.open(info(tmp_path, "abc"), None)
    assert type(raised.value).__name__ == "CommError"
    logger.close()


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from socket import create_server

    with create_server(("127.0.0.1", 0)) as silent:
        assert not answers(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.2)
