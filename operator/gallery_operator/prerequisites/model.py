"""The words of the checks: severity, outcome of one check, report of all."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from gallery_operator.contract import Finding, PrerequisitesReport

Architecture = Literal["x64", "Arm64"]


class Severity(StrEnum):
    """How grave a finding is.

    Attributes:
        ERROR: Azure refuses the file, the VM does not boot, provisioning fails, or an identity or a secret
            is cloned into every VM; at level Strict also what marketplace certification refuses.
        WARNING: It works, but not as it should.
        INFO: Worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Status(StrEnum):
    """What became of a check."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    WARN = "warn"
    INFO = "info"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "notApplicable"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Levels:
    """Severity of a finding at level ``Default`` and at level ``Strict``."""

    default: Severity
    strict: Severity

    def at(self, level: Literal["Default", "Strict"]) -> Severity:
        """Severity at a level."""
        return self.strict if level == "Strict" else self.default


EE = Levels(Severity.ERROR, Severity.ERROR)
EW = Levels(Severity.ERROR, Severity.WARNING)
WE = Levels(Severity.WARNING, Severity.ERROR)
WW = Levels(Severity.WARNING, Severity.WARNING)
IE = Levels(Severity.INFO, Severity.ERROR)
IW = Levels(Severity.INFO, Severity.WARNING)
II = Levels(Severity.INFO, Severity.INFO)

_GRAVITY = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
_STATUS_OF = {Severity.ERROR: Status.FAIL, Severity.WARNING: Status.WARN, Severity.INFO: Status.INFO}
_ORDER = {
    Status.FAIL: 0,
    Status.UNKNOWN: 1,
    Status.WARN: 2,
    Status.INFO: 3,
    Status.IGNORED: 4,
    Status.PASS: 5,
    Status.NOT_APPLICABLE: 6,
}


class Verdict(StrEnum):
    """What a check function says.

    Attributes:
        PASSED: The prerequisite is met.
        FAILED: It is not.
        UNKNOWN: The fact could not be read; never folded into a pass.
        NOT_APPLICABLE: The prerequisite makes no sense for this disk.
    """

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "notApplicable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check function found.

    Attributes:
        verdict: What it says.
        message: One sentence with the evidence: file and line, value.
        levels: Severity of this finding where it differs from the row's.
    """

    verdict: Verdict
    message: str = ""
    levels: Levels | None = None


def passed(message: str = "") -> Outcome:
    """The prerequisite is met."""
    return Outcome(Verdict.PASSED, message)


def failed(message: str, levels: Levels | None = None) -> Outcome:
    """The prerequisite is not met; ``levels`` where this case is judged otherwise than the row."""
    return Outcome(Verdict.FAILED, message, levels)


def unknown(message: str) -> Outcome:
    """It could not be decided, and why."""
    return Outcome(Verdict.UNKNOWN, message)


def not_applicable(message: str) -> Outcome:
    """The prerequisite makes no sense for this disk, and why."""
    return Outcome(Verdict.NOT_APPLICABLE, message)


def gravest(outcomes: list[Outcome], levels: Levels) -> Outcome:
    """Fold several findings of one row into one: the gravest wins, all messages are kept.

    Args:
        outcomes: What was found; may be empty.
        levels: The row's own severity, for findings without one.

    Returns:
        ``passed()`` when no outcome is a failure or unknown.
    """
    failures = [each for each in outcomes if each.verdict is Verdict.FAILED]
    if failures:
        graded = sorted(failures, key=lambda each: _GRAVITY[(each.levels or levels).default])
        return failed("; ".join(each.message for each in graded), graded[0].levels or levels)
    doubts = [each for each in outcomes if each.verdict is Verdict.UNKNOWN]
    return unknown("; ".join(each.message for each in doubts)) if doubts else passed()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What became of one row of the catalogue.

    Attributes:
        id: For example ``KRN002``.
        title: The prerequisite in one line.
        status: What became of it.
        severity: How grave it is (or would be) at the level in use.
        message: What was found, with its evidence.
        remedy: What to do about it on this distribution; empty when there is nothing to do.
        source: The document that asks for it.
    """

    id: str
    title: str
    status: Status
    severity: Severity
    message: str
    remedy: str
    source: str


@dataclass(frozen=True)
class CheckReport:
    """Outcome of all rows.

    Attributes:
        results: One a row, in the catalogue's order.
        distribution: For example ``debian 12``; None when it could not be read.
        architecture: Of the installed kernel or boot loader; None when it could not be read.
        notes: What the reader noticed, for example file systems that it could not read.
    """

    results: tuple[CheckResult, ...]
    distribution: str | None = None
    architecture: Architecture | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def verdict(self) -> Literal["ok", "failed", "unknown"]:
        """``failed`` with an error; else ``unknown`` when a check that could be an error is undecided."""
        if any(each.status is Status.FAIL for each in self.results):
            return "failed"
        if any(each.status is Status.UNKNOWN and each.severity is Severity.ERROR for each in self.results):
            return "unknown"
        return "ok"

    def sorted(self) -> tuple[CheckResult, ...]:
        """The results, gravest first, in the catalogue's order within one status."""
        return tuple(sorted(self.results, key=lambda each: (_ORDER[each.status], _GRAVITY[each.severity])))

    def count(self, *statuses: Status) -> int:
        """How many results have one of these statuses."""
        return sum(each.status in statuses for each in self.results)

    def summary(self) -> PrerequisitesReport:
        """The report in the words of the contract between operator and worker."""
        severities: dict[Status, Literal["error", "warning", "info", "unknown"]] = {
            Status.FAIL: "error",
            Status.WARN: "warning",
            Status.INFO: "info",
            Status.UNKNOWN: "unknown",
        }
        return PrerequisitesReport(
            passed=self.count(Status.PASS),
            warnings=self.count(Status.WARN),
            failures=self.count(Status.FAIL),
            unknown=self.count(Status.UNKNOWN),
            ignored=self.count(Status.IGNORED),
            findings=tuple(
                Finding(
                    id=each.id,
                    severity=severities[each.status],
                    message=each.message,
                    remedy=each.remedy,
                )
                for each in self.sorted()
                if each.status in severities
            ),
        )


def status_of(severity: Severity) -> Status:
    """The status of a failed check of this severity."""
    return _STATUS_OF[severity]
