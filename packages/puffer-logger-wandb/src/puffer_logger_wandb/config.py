"""Options of the logger."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class WandbConfig(BaseModel):
    """Options of the logger `wandb`; on the command line `--logger.wandb.NAME VALUE`.

    Example:
        >>> WandbConfig(project="cartpole", tags=("baseline",)).mode
        'auto'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: Annotated[str, r"text without / \ # ? % :"] = Field(
        "puffer", min_length=1, max_length=128, pattern=r"^[^/\\#?%:]+$"
    )
    """The project that runs are listed under; made if there is none."""
    entity: str | None = None
    """The user or team that owns the project; none: the account's default."""
    group: str | None = Field(None, max_length=128)
    """Runs of one group are shown together: the seeds of one experiment; none: no group."""
    job_type: str | None = Field(None, max_length=64)
    """What the run is within its group, such as `train`; none: not said."""
    name: str | None = Field(None, max_length=128)
    """What the run is called in listings; none: as its directory. The run's id is its directory's in any case."""
    notes: str | None = None
    """A longer description of the run; none: none."""
    tags: tuple[str, ...] = ()
    """Words to find the run by, at most 64 characters each."""
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """`offline` writes to the run's directory alone, `online` sends too, `disabled` does nothing. `auto` does what
    WANDB_MODE says, else sends if there is a key and the server answers, else writes offline. Nothing ever asks."""
    init_timeout: float = Field(10.0, gt=0, le=600)
    """Seconds within which the server has to answer at the start. Larger: waits longer for a slow one."""
    call_timeout: float = Field(30.0, gt=0, le=3600)
    """Seconds after which wandb's service, if it does not take what it is given, is ended; the logger then raises."""
    finish_timeout: float = Field(60.0, gt=0, le=86400)
    """Seconds that sending the rest may take when the run ends; what is left stays in the run's directory."""
    code: bool = False
    """Save the program's source, and the commit and changes of its git repository."""
    system: bool = False
    """Record the machine: name, hardware, command line, installed packages, use of processors and memory."""
    video_fps: float = Field(30.0, gt=0, le=50)
    """Pictures a second in videos, which are GIFs."""
