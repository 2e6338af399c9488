"""How a reconcile ended, and what follows from it.

``Done``: as desired. ``Waiting``: something is under way or must appear first. ``Retry``: it failed in a way that time
mends. ``Stalled``: only a person can mend it (it is still looked at now and then, and at once when the spec changes).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

STALLED_RECHECK_SECONDS = 300.0
"""How often a stalled object is looked at again: rights and names are mended outside the cluster."""

RETRY_GRACE_SECONDS = 300.0
"""How long an object that was ready stays so while every try fails: what is in Azure is still there."""


@dataclass(frozen=True)
class Done:
    """The object is as desired.

    Attributes:
        message: What is true now.
        reason: Reason of the ``Ready`` condition.
        recheck: Seconds until something falls due, when that may be before the next comparison with Azure; or None.
    """

    message: str
    reason: str = "Succeeded"
    recheck: float | None = None


@dataclass(frozen=True)
class Waiting:
    """Something is under way, or something else must happen first.

    Attributes:
        reason: CamelCase reason.
        message: What is awaited, and what a person can do if it does not come.
        delay: Seconds until the next look.
        ready: The object counts as ready while this goes on (for example when one region is enough).
    """

    reason: str
    message: str
    delay: float
    ready: bool = False


@dataclass(frozen=True)
class Retry:
    """It failed; the queue tries again with backoff.

    Attributes:
        reason: CamelCase reason.
        message: What failed.
        at_least: Lower bound of the delay in seconds (``Retry-After``).
    """

    reason: str
    message: str
    at_least: float = 0.0


@dataclass(frozen=True)
class Stalled:
    """Only a person can mend it.

    Attributes:
        reason: CamelCase reason.
        message: What is wrong and what to do next.
        recheck: Seconds until the next look.
    """

    reason: str
    message: str
    recheck: float = STALLED_RECHECK_SECONDS


Outcome = Done | Waiting | Retry | Stalled


@dataclass(frozen=True)
class Finding:
    """A condition of a kind's own, besides ``Ready``, ``Reconciling`` and ``Stalled``.

    Attributes:
        type: CamelCase type.
        status: ``True``, ``False`` or ``Unknown``; None takes the condition away.
        reason: CamelCase reason.
        message: Why, and what to do next.
    """

    type: str
    status: Literal["True", "False", "Unknown"] | None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Report:
    """What a reconciler hands back.

    Attributes:
        outcome: How it ended.
        status: Fields of ``status`` besides conditions, in wire form; an absent field keeps its value, one that is
            None is removed.
        events: Milestones to tell, besides changes of the ``Ready`` condition: (type, reason, message).
        conditions: Conditions of the kind's own; one that is not named here stays as it is.
    """

    outcome: Outcome
    status: dict[str, Any] = field(default_factory=dict)
    events: tuple[tuple[str, str, str], ...] = ()
    conditions: tuple[Finding, ...] = ()

    def with_more(
        self,
        status: Mapping[str, Any],
        events: tuple[tuple[str, str, str], ...] = (),
        conditions: tuple[Finding, ...] = (),
    ) -> "Report":
        """Return the same with further fields of status, events and conditions."""
        return Report(
            self.outcome,
            {**self.status, **status},
            (*self.events, *events),
            (*self.conditions, *conditions),
        )
