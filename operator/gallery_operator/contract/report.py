"""Report (termination message) and progress of a worker."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_REPORT_BYTES = 4096
"""Kubernetes keeps at most 4096 bytes of a termination message."""

_MESSAGE_CHARACTERS = 600
_DISTRIBUTION_CHARACTERS = 80


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FailureCode(StrEnum):
    """Why a worker ended without success; the operator decides by this, never by text."""

    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_FORBIDDEN = "SourceForbidden"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    SOURCE_ADDRESS_FORBIDDEN = "SourceAddressForbidden"
    SOURCE_CHANGED = "SourceChanged"
    SOURCE_TRUNCATED = "SourceTruncated"
    TLS_FAILED = "TLSFailed"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    NOT_A_DISK = "NotADisk"
    UNSUPPORTED_FORMAT = "UnsupportedFormat"
    UNSAFE_IMAGE = "UnsafeImage"
    CORRUPT_IMAGE = "CorruptImage"
    TOO_LARGE = "TooLarge"
    TOO_SMALL = "TooSmall"
    SCRATCH_FULL = "ScratchFull"
    PREREQUISITES_NOT_MET = "PrerequisitesNotMet"
    PREREQUISITES_UNKNOWN = "PrerequisitesUnknown"
    TARGET_FORBIDDEN = "TargetForbidden"
    TARGET_UNREACHABLE = "TargetUnreachable"
    TARGET_CONFLICT = "TargetConflict"
    VERIFICATION_FAILED = "VerificationFailed"
    BAD_CONFIGURATION = "BadConfiguration"
    INTERNAL = "Internal"


class Finding(_Model):
    """A prerequisite that did not pass.

    Attributes:
        id: Id in the catalogue, for example ``KRN002``.
        severity: ``error``, ``warning``, ``info``, or ``unknown`` when the check could not be decided.
        message: What was found, with its evidence.
        remedy: What to do; left out of a termination message (the catalogue has it by id).
    """

    id: str
    severity: Literal["error", "warning", "info", "unknown"]
    message: str
    remedy: str = ""


class PrerequisitesReport(_Model):
    """Outcome of all checks.

    Attributes:
        passed: Number of checks that passed.
        warnings: Number of findings of severity warning.
        failures: Number of findings of severity error.
        unknown: Number of checks that could not be decided.
        ignored: Number of findings the user asked to ignore.
        findings: What did not pass, gravest first; cut to fit a termination message.
        findings_omitted: How many findings the cut left out.
    """

    passed: int = 0
    warnings: int = 0
    failures: int = 0
    unknown: int = 0
    ignored: int = 0
    findings: tuple[Finding, ...] = ()
    findings_omitted: int = 0


class DiskFacts(_Model):
    """What was learned about the disk.

    Attributes:
        format: Format of the source.
        compression: ``gzip``, ``xz``, ``zstd``, ``bzip2`` or None.
        virtual_size: Bytes of the disk in Azure without the VHD footer (a multiple of 1 MiB).
        data_bytes: Bytes that are not in holes or zero blocks.
        sha256: SHA-256 (hex) of the fixed VHD, footer included.
        distribution: For example ``debian 12``.
        architecture: ``x64`` or ``Arm64`` when it could be read.
        in_place: The disk is read from the source claim; there is no copy on the scratch volume.
        guest_state_sha256: SHA-256 (hex) of the VM guest state that came with the disk.
    """

    format: str
    compression: str | None = None
    virtual_size: int
    data_bytes: int | None = None
    sha256: str
    distribution: str | None = None
    architecture: str | None = None
    in_place: bool = False
    guest_state_sha256: str | None = None


class UploadFacts(_Model):
    """What an upload did. All numbers are bytes of this attempt except ``total_bytes``.

    Attributes:
        total_bytes: Size of the VHD.
        sent_bytes: Sent with Put Page by this attempt.
        skipped_bytes: Zero ranges that were not sent.
        resumed_bytes: Found in the target already, from an earlier attempt.
        etag: ETag of the finished page blob.
    """

    total_bytes: int
    sent_bytes: int
    skipped_bytes: int
    resumed_bytes: int = 0
    etag: str | None = None


class Report(_Model):
    """The last word of a worker."""

    job: Literal["prepare", "upload"]
    succeeded: bool
    code: FailureCode | None = None
    message: str = ""
    disk: DiskFacts | None = None
    prerequisites: PrerequisitesReport | None = None
    upload: UploadFacts | None = None


class Progress(_Model):
    """What a worker is doing now, as served at ``/progress``.

    Attributes:
        job: Which Job speaks.
        phase: What it is doing.
        bytes_done: Bytes of this phase's work done (sent plus skipped, for an upload).
        bytes_total: All of them, or None while unknown.
        bytes_sent: Bytes sent to Azure so far by this attempt.
        bytes_skipped: Zero bytes that need not be sent.
        bytes_per_second: Rate over the last seconds.
        attempts: Retried requests so far.
    """

    job: Literal["prepare", "upload"]
    phase: Literal["Starting", "Downloading", "Reading", "Decompressing", "Checking", "Hashing", "Uploading", "Done"]
    bytes_done: int = Field(default=0, ge=0)
    bytes_total: int | None = None
    bytes_sent: int = 0
    bytes_skipped: int = 0
    bytes_per_second: float = 0.0
    attempts: int = 0


def dump_report(report: Report) -> str:
    """Serialise a report so that it fits a termination message.

    Findings lose their remedy (the operator takes it from the catalogue by id), long texts are cut, and as
    many findings as do not fit are counted in ``findings_omitted``.

    Args:
        report: What to say.

    Returns:
        JSON of at most ``MAX_REPORT_BYTES`` bytes in UTF-8.
    """
    short = report.model_copy(update={"message": report.message[:_MESSAGE_CHARACTERS]})
    if report.disk is not None and report.disk.distribution is not None:
        # Read from the image, so it may be anything.
        disk = report.disk.model_copy(update={"distribution": report.disk.distribution[:_DISTRIBUTION_CHARACTERS]})
        short = short.model_copy(update={"disk": disk})
    findings: tuple[Finding, ...] = ()
    if report.prerequisites is not None:
        findings = tuple(
            Finding(id=each.id, severity=each.severity, message=each.message[:160])
            for each in report.prerequisites.findings
        )
    for keep in range(len(findings), -1, -1):
        if report.prerequisites is not None:
            cut = report.prerequisites.model_copy(
                update={
                    "findings": findings[:keep],
                    "findings_omitted": report.prerequisites.findings_omitted + len(findings) - keep,
                }
            )
            short = short.model_copy(update={"prerequisites": cut})
        text = short.model_dump_json(exclude_defaults=True)
        if len(text.encode()) <= MAX_REPORT_BYTES:
            return text
    # Only a pathological message (for example all multi-byte characters) comes here.
    return short.model_copy(update={"message": report.message[:100]}).model_dump_json(exclude_defaults=True)


def parse_report(text: str) -> Report | None:
    """Read a termination message.

    Args:
        text: The container's termination message; the kubelet may have put the log's tail there instead.

    Returns:
        The report, or None when the text is not one.
    """
    try:
        return Report.model_validate_json(text)
    except ValueError:
        return None
