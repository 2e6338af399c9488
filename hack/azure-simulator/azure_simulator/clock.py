"""Scaled time: waits of the real service, shortened without changing their order.

Two kinds of time exist. *Wall time* is what timestamps in answers show and what certificates, tokens and
signatures are measured against. *Azure time*, in seconds, is what waits are measured in: at scale 60 one minute
of Azure passes in one second. Changing the scale moves no instant that has passed already.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["Clock", "ClockState", "timestamp"]


@dataclass(frozen=True, slots=True)
class ClockState:
    """What must survive a restart: Azure seconds `azure` were reached at wall time `wall` (Unix seconds)."""

    wall: float
    azure: float
    scale: float


class Clock:
    """Azure time that runs `scale` times as fast as wall time and never backwards."""

    def __init__(
        self,
        scale: float = 1.0,
        *,
        state: ClockState | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Start at Azure second 0, or go on from `state`.

        Args:
            scale: Azure seconds per second of wall time, greater than 0.
            state: where an earlier process was; time that passed while none ran has passed for Azure too.
            wall: source of Unix time in seconds, replaced in tests.

        Raises:
            ValueError: `scale` is not positive.
        """
        if scale <= 0:
            raise ValueError(f"time scale must be greater than 0, not {scale}")
        self._wall = wall
        self._last = 0.0
        if state is None:
            self._state = ClockState(wall(), 0.0, scale)
        else:
            self._state = state
            self._rebase(scale)

    @property
    def scale(self) -> float:
        """Azure seconds per second of wall time."""
        return self._state.scale

    @property
    def state(self) -> ClockState:
        """The state to keep on disk."""
        return self._state

    def now(self) -> float:
        """Return Azure time in seconds."""
        state = self._state
        reached = state.azure + (self._wall() - state.wall) * state.scale
        self._last = max(self._last, state.azure, reached)
        return self._last

    def wall(self) -> float:
        """Return wall time in Unix seconds."""
        return self._wall()

    def wall_at(self, azure: float) -> float:
        """Return the wall time (Unix seconds) at which Azure time `azure` is or was reached."""
        state = self._state
        return state.wall + (azure - state.azure) / state.scale

    def real_seconds(self, azure_seconds: float) -> float:
        """Return how long `azure_seconds` take by the wall clock."""
        return azure_seconds / self._state.scale

    def set_scale(self, scale: float) -> ClockState:
        """Change the scale from now on and return the state to keep.

        Raises:
            ValueError: `scale` is not positive.
        """
        if scale <= 0:
            raise ValueError(f"time scale must be greater than 0, not {scale}")
        return self._rebase(scale)

    def skip(self, azure_seconds: float) -> ClockState:
        """Jump forward by `azure_seconds` and return the state to keep.

        Raises:
            ValueError: `azure_seconds` is negative.
        """
        if azure_seconds < 0:
            raise ValueError("time does not run backwards")
        now = self.now()
        self._state = ClockState(self._wall(), now + azure_seconds, self._state.scale)
        return self._state

    def _rebase(self, scale: float) -> ClockState:
        self._state = ClockState(self._wall(), self.now(), scale)
        return self._state


def timestamp(unix: float) -> str:
    """Return a wall time as Azure Compute writes it: 7 decimals and an offset."""
    moment = datetime.fromtimestamp(unix, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0+00:00"
