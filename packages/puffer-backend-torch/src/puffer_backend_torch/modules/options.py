"""Options of a policy: what its module's constructor takes beside the two spaces."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model
from torch import nn

SPACES = 2
"""The constructor's first parameters: the observation space and the action space."""


def options_of(module: type[nn.Module]) -> type[BaseModel]:
    """A model with a field for each parameter of the constructor behind the spaces, of its annotation and default.

    Example:
        >>> class Net(nn.Module):
        ...     def __init__(self, observation_space, action_space, hidden: int = 64, dueling=False): ...
        >>> options_of(Net)(hidden="128")
        NetOptions(hidden=128, dueling=False)
    """
    constructor = module.__init__
    hints = get_type_hints(constructor)
    parameters = list(inspect.signature(constructor).parameters.values())[1 + SPACES :]
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    fields: dict[str, Any] = {
        p.name: (hints.get(p.name, _kind(p.default)), ... if p.default is p.empty else p.default) for p in named
    }
    config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    return create_model(f"{module.__name__}Options", __config__=config, **fields)


def _kind(default: Any) -> Any:
    return Any if default in (None, inspect.Parameter.empty) else type(default)
