"""Runs the catalogue over one disk."""

import logging
from collections.abc import Callable, Collection
from typing import TypeVar

from gallery_operator.contract import GuestProfile, PrerequisitesConfig
from gallery_operator.prerequisites.catalogue import rows
from gallery_operator.prerequisites.container import ContainerFacts
from gallery_operator.prerequisites.disk import DiskSource
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import (
    CheckReport,
    CheckResult,
    Outcome,
    Status,
    Verdict,
    not_applicable,
    status_of,
    unknown,
)
from gallery_operator.prerequisites.readers.base import ReadError
from gallery_operator.prerequisites.registry import Row

_Value = TypeVar("_Value")
_log = logging.getLogger(__name__)

_MESSAGE_CHARACTERS = 1000


def check_disk(
    disk: DiskSource,
    profile: GuestProfile,
    config: PrerequisitesConfig,
    container: ContainerFacts | None = None,
) -> CheckReport:
    """Check a disk against the catalogue.

    Args:
        disk: The disk's bytes (raw; a VHD without its footer).
        profile: What the image is declared to be.
        config: Level and ids to ignore. ``policy`` and ``on_unknown`` are the caller's to act on.
        container: The file the disk came in; None leaves out the rows about it.

    Returns:
        One result for every row. Nothing on the disk makes this raise: what cannot be read is unknown.
    """
    with Guest(disk, profile, container) as guest:
        return check_guest(guest, config)


def check_guest(guest: Guest, config: PrerequisitesConfig, only: Collection[str] | None = None) -> CheckReport:
    """Check a guest that is open already.

    Args:
        guest: The guest.
        config: As for ``check_disk``.
        only: Ids of the rows to run; None runs all.

    Returns:
        One result for every row that was run.
    """
    ignored = {each.strip().upper() for each in config.ignore}
    results = tuple(_run(row, guest, config, ignored) for row in rows() if only is None or row.id in only)
    return CheckReport(
        results=results,
        distribution=_or_none(lambda: guest.os_release.name),
        architecture=_or_none(lambda: guest.architecture),
        notes=tuple(_or_none(lambda: guest.notes) or ()),
    )


def _run(row: Row, guest: Guest, config: PrerequisitesConfig, ignored: set[str]) -> CheckResult:
    reason = row.applies.why_not(guest.profile)
    if reason is not None:
        outcome = not_applicable(reason)
    else:
        outcome = _decide(row, guest)
    severity = (outcome.levels or row.levels).at(config.level)
    if row.id in ignored and outcome.verdict in (Verdict.FAILED, Verdict.UNKNOWN):
        status = Status.IGNORED
    elif outcome.verdict is Verdict.FAILED:
        status = status_of(severity)
    else:
        status = {
            Verdict.PASSED: Status.PASS,
            Verdict.UNKNOWN: Status.UNKNOWN,
            Verdict.NOT_APPLICABLE: Status.NOT_APPLICABLE,
        }[outcome.verdict]
    attention = status in (Status.FAIL, Status.WARN, Status.INFO, Status.IGNORED)
    return CheckResult(
        id=row.id,
        title=row.title,
        status=status,
        severity=severity,
        message=_printable(outcome.message),
        remedy=row.remedy(_or_none(lambda: guest.family)) if attention else "",
        source=row.source,
    )


def _decide(row: Row, guest: Guest) -> Outcome:
    try:
        if row.applies.names_distributions:
            reason = row.applies.why_not_distribution(guest.family, guest.major)
            if reason is not None:
                return not_applicable(reason)
        return row.run(guest)
    except ReadError as error:
        return unknown(str(error))
    except Exception as error:  # noqa: BLE001 - the disk is hostile input: a parser's error is no pass
        _log.debug("check %s could not be decided", row.id, exc_info=True)
        return unknown(f"could not be decided: {type(error).__name__} while reading the disk")


def _or_none(get: Callable[[], _Value | None]) -> _Value | None:
    try:
        return get()
    except Exception:  # noqa: BLE001 - as in _decide
        return None


def _printable(text: str) -> str:
    """Text from the image must not carry control characters into a terminal, a log or a status."""
    clean = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return clean if len(clean) <= _MESSAGE_CHARACTERS else clean[: _MESSAGE_CHARACTERS - 1] + "…"
