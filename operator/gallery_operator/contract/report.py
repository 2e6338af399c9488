"""Report (termination message) and progress of a worker."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gallery_operator.contract.config import ReadBack

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
    CHECKSUM_NOT_FOUND = "ChecksumNotFound"
    SIGNATURE_INVALID = "SignatureInvalid"
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
    READ_BACK_REFUSED = "ReadBackRefused"
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
        source_checksum: ``sha256:<hex>`` or ``sha512:<hex>`` that the source's file has met, given or listed.
        source_etag: ETag of the blob whose bytes are the disk's, at the same offsets; None: it came another way.
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
    source_checksum: str | None = None
    source_etag: str | None = None


class VerificationFacts(_Model):
    """How what the service holds was compared with the disk.

    Attributes:
        read_back: How much was read back in the end: less than asked for where the service does not let it be read,
            more where something was found to be damaged.
        refused: Why nothing could be read back though it was asked for.
        listed: The service's list of written pages was compared, too; else only its acknowledgements are known.
        read_back_bytes: Bytes read back.
        repaired_pieces: Ranges of at most 4 MiB that were lost or damaged, and were sent again.
        repaired_bytes: Their bytes.
        cleared_bytes: Bytes written where the disk is zero, and cleared.
    """

    read_back: ReadBack = "None"
    refused: str | None = None
    listed: bool = False
    read_back_bytes: int = 0
    repaired_pieces: int = 0
    repaired_bytes: int = 0
    cleared_bytes: int = 0


class UploadFacts(_Model):
    """What an upload did. All numbers are bytes of this attempt except ``total_bytes``.

    Attributes:
        total_bytes: Size of the VHD.
        sent_bytes: Sent with Put Page by this attempt.
        skipped_bytes: Zero ranges that were not sent.
        resumed_bytes: Found in the target already, from an earlier attempt.
        copied_bytes: Copied by the service from the source blob; they never left the pod.
        copy_problem: Why the service did not copy (all of) it.
        etag: ETag of the finished page blob.
        verification: How it was compared afterwards.
    """

    total_bytes: int
    sent_bytes: int
    skipped_bytes: int
    resumed_bytes: int = 0
    copied_bytes: int = 0
    copy_problem: str | None = None
    etag: str | None = None
    verification: VerificationFacts | None = None


class Report(_Model):
    """The last word of a worker.

    Attributes:
        job: Which Job speaks.
        succeeded: How it ended.
        code: Why it ended without success.
        message: The same for people.
        disk: What ``prepare`` learned about the disk.
        prerequisites: What its checks found.
        upload: What ``upload`` did.
        retried_requests: Requests of this attempt that had to be repeated.
    """

    job: Literal["prepare", "upload"]
    succeeded: bool
    code: FailureCode | None = None
    message: str = ""
    disk: DiskFacts | None = None
    prerequisites: PrerequisitesReport | None = None
    upload: UploadFacts | None = None
    retried_requests: int = 0


Phase = Literal[
    "Starting", "Downloading", "Reading", "Decompressing", "Checking", "Hashing", "Uploading", "Verifying", "Done"
]


class Progress(_Model):
    """What a worker is doing now, as served at ``/progress``.

    Attributes:
        job: Which Job speaks.
        phase: What it is doing.
        bytes_done: Bytes of this phase's work done. Zeros that need not be sent are no work of an upload.
        bytes_total: All of them, or None while unknown.
        bytes_read: Bytes read so far by this attempt, from the source or (after an upload) from Azure.
        bytes_sent: Bytes sent to Azure so far by this attempt.
        bytes_copied: Bytes that the service has copied by itself so far.
        bytes_skipped: Zero bytes that need not be sent.
        bytes_per_second: Rate over the last seconds; 0 while it is not known.
        attempts: Retried requests so far.
    """

    job: Literal["prepare", "upload"]
    phase: Phase
    bytes_done: int = Field(default=0, ge=0)
    bytes_total: int | None = None
    bytes_read: int = 0
    bytes_sent: int = 0
    bytes_copied: int = 0
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
