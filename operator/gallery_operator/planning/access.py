"""Who may use a gallery's images, as one condition: what came of the sharing profile and of the role assignments. Pure.

Trouble with sharing does not make a gallery or a definition unready: what it holds can be used by all who could before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gallery_operator.api.meta import Condition
from gallery_operator.planning.outcome import Done, Finding, Outcome, Report, Waiting

CONDITION = "Shared"
"""Type of the condition; there only while sharing is asked for or something is wrong with it."""


NOT_JUDGED = Finding(CONDITION, None)
"""For an object that only observes: it shares nothing."""


@dataclass(frozen=True)
class Problem:
    """Something about sharing that is not as desired.

    Attributes:
        reason: CamelCase reason.
        message: What happened, and what to do next.
        delay: Seconds until the next try.
    """

    reason: str
    message: str
    delay: float


@dataclass(frozen=True)
class Part:
    """What came of one way of sharing.

    Attributes:
        asked: The spec asks for it.
        fields: Fields of ``status``.
        pending: What is under way, or None.
        delay: Seconds until the next look at what is under way.
        problems: What is wrong.
        events: What was done: (type, reason, message).
    """

    asked: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
    pending: str | None = None
    delay: float = 0.0
    problems: tuple[Problem, ...] = ()
    events: tuple[tuple[str, str, str], ...] = ()


def finding(parts: Sequence[Part]) -> Finding:
    """Return the condition ``Shared`` that follows from all ways of sharing."""
    problems = [problem for part in parts for problem in part.problems]
    pending = [part.pending for part in parts if part.pending]
    if problems:
        told = dict.fromkeys(problem.message for problem in problems)
        return Finding(CONDITION, "False", problems[0].reason, " ".join(told))
    if pending:
        return Finding(CONDITION, "False", "InProgress", " ".join(pending))
    if any(part.asked for part in parts):
        return Finding(CONDITION, "True", "Shared", "Everybody whom the spec names has access.")
    return NOT_JUDGED


def report(parts: Sequence[Part], fields: dict[str, Any], done: Done, before: Iterable[Condition]) -> Report:
    """Return how a reconcile ended whose object is as desired but, perhaps, for sharing.

    Args:
        parts: What came of each way of sharing.
        fields: Fields of ``status`` besides those of the parts.
        done: The outcome when nothing is left to do.
        before: Conditions that the object had.
    """
    told = finding(parts)
    problems = [problem for part in parts for problem in part.problems]
    delays = [problem.delay for problem in problems] + [part.delay for part in parts if part.pending]
    outcome: Outcome = done
    if problems:
        message = f"{done.message.rstrip('.')}, but not who may use it: {told.message}"
        outcome = Waiting("NotShared", message, min(delays), ready=True)
    elif delays:
        outcome = Waiting("Sharing", told.message, min(delays), ready=True)
    merged = dict(fields)
    for part in parts:
        merged.update(part.fields)
    events = (*(event for part in parts for event in part.events), *_news(told, bool(problems), before))
    return Report(outcome, merged, events, (told,))


def _news(told: Finding, is_trouble: bool, before: Iterable[Condition]) -> tuple[tuple[str, str, str], ...]:
    """Return the change of the condition that is worth an Event: trouble, another trouble, the end of it."""
    old = next((each for each in before if each.type == CONDITION), None)
    if is_trouble and (old is None or (old.status, old.reason) != (told.status, told.reason)):
        return (("Warning", told.reason, told.message),)
    if told.status == "True" and (old is None or old.status != "True"):
        return (("Normal", told.reason, told.message),)
    return ()
