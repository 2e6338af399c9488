"""An event loop whose time a test moves: nothing sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class ClockLoop(asyncio.SelectorEventLoop):
    """A loop that jumps to the next timer when it has nothing to do."""

    def __init__(self) -> None:
        super().__init__()
        self._moment = 1000.0
        self._select = self._selector.select  # type: ignore[attr-defined]
        self._selector.select = self._jump  # type: ignore[attr-defined]

    def time(self) -> float:
        """Return the invented time in seconds."""
        return self._moment

    def _jump(self, timeout: float | None) -> Any:
        if timeout is not None and timeout > 0:
            self._moment += timeout
        return self._select(0 if timeout is not None else None)


def run(main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine function in invented time."""
    with asyncio.Runner(loop_factory=ClockLoop) as runner:
        return runner.run(main())
