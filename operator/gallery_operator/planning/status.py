"""One place that turns an outcome into conditions and a status patch."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from gallery_operator.planning.outcome import (
    RETRY_GRACE_SECONDS,
    Done,
    Finding,
    Outcome,
    Report,
    Retry,
    Stalled,
    Waiting,
)
from gallery_operator.redact import redact

_MESSAGE_CHARACTERS = 2000


def timestamp(moment: datetime) -> str:
    """Return a moment as Kubernetes writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def conditions(
    old: list[dict[str, Any]],
    outcome: Outcome,
    generation: int,
    now: datetime,
    own: Iterable[Finding] = (),
    *,
    retrying_seconds: float = 0.0,
) -> list[dict[str, Any]]:
    """Return the conditions that follow from an outcome (the kstatus convention).

    ``Ready`` is always there; ``Reconciling`` and ``Stalled`` only while True. Others are kept unless they are
    reported anew.

    A failed try says nothing about what Azure has: an object that was ready stays ready for
    :data:`RETRY_GRACE_SECONDS`, and ``Reconciling`` tells what fails. One whose spec has changed does not.

    Args:
        old: Conditions so far, in wire form.
        outcome: How the reconcile ended.
        generation: ``metadata.generation`` that was reconciled.
        now: Present time; ``lastTransitionTime`` moves only when a condition's status does.
        own: Conditions of the kind's own.
        retrying_seconds: For how many seconds every try has failed.
    """
    before = {each["type"]: each for each in old}

    def make(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
        previous = before.get(kind)
        since = (
            previous["lastTransitionTime"] if previous is not None and previous["status"] == status else timestamp(now)
        )
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": redact(message)[:_MESSAGE_CHARACTERS],
            "lastTransitionTime": since,
            "observedGeneration": generation,
        }

    match outcome:
        case Done():
            result = [make("Ready", "True", outcome.reason, outcome.message)]
        case Waiting():
            result = [
                make("Ready", "True" if outcome.ready else "False", outcome.reason, outcome.message),
                make("Reconciling", "True", outcome.reason, outcome.message),
            ]
        case Retry():
            ready = before.get("Ready")
            if ready is None or not _still_counts(ready, generation, retrying_seconds):
                ready = make("Ready", "False", outcome.reason, outcome.message)
            result = [ready, make("Reconciling", "True", outcome.reason, outcome.message)]
        case Stalled():
            result = [
                make("Ready", "False", outcome.reason, outcome.message),
                make("Stalled", "True", outcome.reason, outcome.message),
            ]
    told = {each.type: each for each in own}
    settled = {"Ready", "Reconciling", "Stalled", *told}
    others = [each for each in old if each["type"] not in settled]
    others += [make(each.type, each.status, each.reason, each.message) for each in told.values() if each.status]
    # In one order whichever of them are reported: a changed order would be written.
    return result + sorted(others, key=lambda each: str(each["type"]))


def _still_counts(ready: Mapping[str, Any], generation: int, retrying_seconds: float) -> bool:
    return (
        ready["status"] == "True"
        and ready.get("observedGeneration") == generation
        and retrying_seconds < RETRY_GRACE_SECONDS
    )


def merge_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON merge patch (RFC 7386) that turns one document into another.

    Args:
        old: What is there.
        new: What is wanted; it holds no None.

    Returns:
        The patch; empty when the documents are equal.
    """
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        if name not in old:
            patch[name] = value
        elif isinstance(value, Mapping) and isinstance(old[name], Mapping):
            inner = merge_difference(old[name], value)
            if inner:
                patch[name] = inner
        elif old[name] != value:
            patch[name] = value
    return patch


def without_none(value: Any) -> Any:
    """Return a wire value without members that are None, at any depth."""
    if isinstance(value, Mapping):
        return {name: without_none(each) for name, each in value.items() if each is not None}
    if isinstance(value, (list, tuple)):
        return [without_none(each) for each in value]
    return value


def settle(
    old: Mapping[str, Any], report: Report, generation: int, now: datetime, *, retrying_seconds: float = 0.0
) -> dict[str, Any]:
    """Return the whole desired status.

    Args:
        old: Status as the server has it.
        report: What the reconciler handed back.
        generation: ``metadata.generation`` that was reconciled.
        now: Present time.
        retrying_seconds: For how many seconds every try has failed.
    """
    merged = without_none({**old, **report.status})
    merged["observedGeneration"] = generation
    before = list(old.get("conditions") or [])
    merged["conditions"] = conditions(
        before, report.outcome, generation, now, report.conditions, retrying_seconds=retrying_seconds
    )
    result: dict[str, Any] = merged
    return result


def ready_condition(status: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the ``Ready`` condition of a status in wire form, or None."""
    found: dict[str, Any] | None = next(
        (each for each in status.get("conditions") or [] if each.get("type") == "Ready"), None
    )
    return found
