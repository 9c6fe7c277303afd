"""How a run starts: online or offline, and with which of wandb's settings."""

from __future__ import annotations

import os
import warnings
from threading import Thread
from typing import TYPE_CHECKING, Literal, TypeAlias

from puffer_core.errors import PufferWarning
from puffer_logger_wandb.config import WandbConfig
from puffer_logger_wandb.service import library

if TYPE_CHECKING:
    import wandb

Mode: TypeAlias = Literal["online", "offline", "disabled"]
_ASKED: dict[str, Mode] = {
    "online": "online", "run": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled",
}  # fmt: skip


def choose_mode(config: WandbConfig) -> Mode:
    """What `auto` comes to here; a warning says so where there is a key but no server."""
    if config.mode != "auto":
        return config.mode
    asked = _ASKED.get(os.environ.get("WANDB_MODE", ""))
    if asked is not None:
        return asked
    settings = library().setup().settings
    if not has_key(settings):
        return "offline"
    if answers(settings.base_url, config.init_timeout):
        return "online"
    warnings.warn(
        f"wandb: {settings.base_url} did not answer within {config.init_timeout:g} s: "
        "the run is written offline; `wandb sync` sends it later",
        PufferWarning,
        stacklevel=2,
    )
    return "offline"


def has_key(settings: wandb.Settings) -> bool:
    """Whether wandb would find credentials without asking: its settings, its environment variables, or a netrc file."""
    from requests.utils import get_netrc_auth

    return bool(settings.api_key or settings.identity_token_file or get_netrc_auth(settings.base_url))


def answers(url: str, seconds: float) -> bool:
    """Whether something answers there in time, with whatever status; proxies are used as set in the environment."""
    import requests

    answered: list[int] = []

    def ask() -> None:
        try:
            answered.append(requests.head(url, timeout=seconds, allow_redirects=False).status_code)
        except requests.RequestException:
            return  # no answer is what the caller is told

    asking = Thread(target=ask, daemon=True)  # looking up a name has no time limit of its own
    asking.start()
    asking.join(seconds)
    return bool(answered)


def settings(config: WandbConfig, mode: Mode) -> wandb.Settings:
    """Quiet, bounded in time, and looking at nothing that was not asked for."""
    made: wandb.Settings = library().Settings(
        mode=mode,
        silent=True,
        console="off",
        init_timeout=config.init_timeout,
        login_timeout=config.init_timeout,
        finish_timeout=config.finish_timeout,
        allow_val_change=True,
        symlink=False,
        save_code=config.code,
        disable_code=not config.code,
        disable_git=not config.code,
        x_save_requirements=config.system,
        x_disable_meta=not config.system,
        x_disable_machine_info=not config.system,
        x_disable_stats=not config.system,
        x_transaction_log_flush_interval=1.0,
    )
    return made
