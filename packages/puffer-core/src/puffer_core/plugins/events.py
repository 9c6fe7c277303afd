"""Calling hooks after registration: one implementation at a time, so that one that raises stops no other."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any, TypeVar

import pluggy

from puffer_core.errors import PufferError
from puffer_core.plugins.faults import describe
from puffer_core.plugins.loading import HookManager

STRIKES = 3
"""Errors after which an implementation is not called again."""

Answer = TypeVar("Answer")


class Events:
    """Calls the hooks of registered plugins in pluggy's order, and remembers which implementations raise."""

    def __init__(self, manager: HookManager) -> None:
        self._manager = manager
        self._strikes: dict[tuple[str, str], int] = {}

    def notify(self, event: str, **arguments: Any) -> None:
        """Tell every implementation of `event`; see `PluginHost.notify`."""
        for implementation, wanted in self._calls(event, arguments):
            try:
                implementation.function(**wanted)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - a plugin must not end a run
                self._strike(implementation.plugin_name, event, describe(error))

    def ask(self, hook: str, expected: type[Answer], **arguments: Any) -> Iterator[tuple[str, Answer]]:
        """The answers that are not None, with the distribution of the plugin that gave each.

        A PufferError passes: the plugin knows what is wrong. Any other error counts as no answer.
        """
        for implementation, wanted in self._calls(hook, arguments):
            plugin = implementation.plugin_name
            try:
                with redirect_stdout(sys.stderr):
                    answer = implementation.function(**wanted)
            except (KeyboardInterrupt, PufferError):
                raise
            except BaseException as error:  # noqa: BLE001 - likewise
                self._strike(plugin, hook, describe(error))
                continue
            if isinstance(answer, expected):
                yield plugin.partition(":")[0], answer
            elif answer is not None:
                self._strike(plugin, hook, f"returned {type(answer).__name__}, expected {expected.__name__} or None")

    def documented(self, hook: str) -> Iterator[tuple[str, str]]:
        """Who implements a hook, by distribution, and the first line of what the implementation says of itself."""
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            text = inspect.getdoc(implementation.function) or ""
            yield implementation.plugin_name.partition(":")[0], text.partition("\n")[0]

    def _calls(self, hook: str, arguments: dict[str, Any]) -> Iterator[tuple[pluggy.HookImpl, dict[str, Any]]]:
        """The implementations that are still called, last registered first, and the arguments that each takes."""
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            if self._strikes.get((implementation.plugin_name, hook), 0) < STRIKES:
                yield implementation, {name: arguments[name] for name in implementation.argnames}

    def _strike(self, plugin: str, hook: str, reason: str) -> None:
        count = self._strikes[plugin, hook] = self._strikes.get((plugin, hook), 0) + 1
        if count == 1:
            name = plugin.partition(":")[0]
            print(  # noqa: T201 - logging may be the plugin's own
                f"warning: {name}: {hook}: {reason}; after {STRIKES} such errors it is not called again",
                file=sys.stderr,
            )
