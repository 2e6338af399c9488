"""What becomes of an operation that ended in failure: told, repeated when that makes sense, and no sooner."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from gallery_operator.api import Gallery
from gallery_operator.azure.error_kinds import AzureError, ErrorKind
from gallery_operator.planning.outcome import STALLED_RECHECK_SECONDS, Report, Retry, Stalled, Waiting
from gallery_operator.planning.status import settle
from gallery_operator.reconcilers.common import stop_if_deletion_failed, stop_if_hopeless
from gallery_operator.reconcilers.halt import Halt

K = ErrorKind
START = datetime(2026, 1, 1, tzinfo=UTC)
POLL = 15.0


@dataclass
class World:
    """An object whose operation fails again and again, and a clock."""

    kind: ErrorKind
    code: str = "SomeCode"
    operation: str = "galleries.put"
    generation: int = 1
    deleting: bool = False
    now: datetime = START
    status: dict[str, Any] = field(default_factory=dict)

    async def look(self) -> Any:
        """Look once; returns the outcome, or None when the operation is to be repeated."""
        resource = Gallery.from_wire(
            {
                "metadata": {"name": "g", "namespace": "n", "generation": self.generation},
                "spec": {"resourceGroup": "r", "location": "westeurope"},
                "status": self.status,
            }
        )
        ctx: Any = SimpleNamespace(now=lambda: self.now, settings=SimpleNamespace(poll_seconds=POLL))
        arm: Any = SimpleNamespace(failure=self._failure)
        try:
            if self.deleting:
                await stop_if_deletion_failed(ctx, resource, arm, "/id")
            else:
                await stop_if_hopeless(ctx, resource, arm, "/id", {})
        except Halt as halt:
            self._tell(halt.outcome)
            return halt.outcome
        self._tell(Waiting("Updating", "Updating.", POLL))
        return None

    def _tell(self, outcome: Any) -> None:
        self.status = settle(self.status, Report(outcome), self.generation, self.now)

    async def _failure(self, resource_id: str) -> AzureError:
        return AzureError(self.kind, self.code, "Azure says so.", "Do something.", self.operation)


async def started(kind: ErrorKind, code: str = "SomeCode") -> World:
    """An object whose first operation is under way."""
    world = World(kind, code)
    assert await world.look() is None, "nothing is observed yet of this generation"
    return world


@pytest.mark.parametrize("kind", [K.RETRY, K.UNREACHABLE, K.CONFLICT, K.DEPENDENCY, K.THROTTLED, K.DEPENDENTS])
async def test_what_passes_is_told_and_then_repeated(kind: ErrorKind) -> None:
    world = await started(kind)
    outcome = await world.look()
    assert isinstance(outcome, Retry | Waiting)
    assert "Azure says so. Do something." in outcome.message
    assert await world.look() is None
    assert await world.look() == outcome, "the repetition failed, too: told again"


async def test_what_passes_is_repeated_ever_less_often() -> None:
    world = await started(K.RETRY)
    delays = []
    for _ in range(12):
        outcome = await world.look()
        assert isinstance(outcome, Retry)
        delays.append(outcome.at_least)
        world.now += timedelta(seconds=outcome.at_least + 60)
        assert await world.look() is None
    assert delays == sorted(delays)
    assert delays[0] == POLL
    assert delays[-1] > 4 * POLL


@pytest.mark.parametrize("kind", [K.QUOTA, K.FORBIDDEN, K.UNAUTHENTICATED])
async def test_what_is_mended_outside_is_repeated_now_and_then(kind: ErrorKind) -> None:
    world = await started(kind)
    assert isinstance(await world.look(), Stalled)
    world.now += timedelta(seconds=STALLED_RECHECK_SECONDS - 1)
    assert isinstance(await world.look(), Stalled)
    world.now += timedelta(seconds=1)
    assert await world.look() is None
    assert isinstance(await world.look(), Stalled)


async def test_what_a_person_must_mend_is_repeated_only_after_an_edit() -> None:
    world = await started(K.INVALID)
    for _ in range(3):
        assert isinstance(await world.look(), Stalled)
        world.now += timedelta(days=1)
    world.generation = 2
    assert await world.look() is None
    assert isinstance(await world.look(), Stalled)


@pytest.mark.parametrize("kind", [K.INVALID, K.FORBIDDEN])
async def test_a_deletion_that_failed_is_told_and_repeated_now_and_then(kind: ErrorKind) -> None:
    world = World(kind, operation="galleries.delete", deleting=True)
    assert isinstance(await world.look(), Stalled)
    assert isinstance(await world.look(), Stalled)
    world.now += timedelta(seconds=STALLED_RECHECK_SECONDS)
    assert await world.look() is None


async def test_what_failed_before_does_not_keep_from_a_deletion() -> None:
    assert await World(K.INVALID, operation="galleries.put", deleting=True).look() is None
