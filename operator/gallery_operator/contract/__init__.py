"""What the operator and its worker pods say to each other.

One schema, used by both sides: configuration goes in as an environment variable, a report comes back as
the pod's termination message, the whole report of the checks in its log, progress is read over HTTP while the pod runs.
"""

from gallery_operator.contract.checklog import MAX_LOG_BYTES, MAX_LOG_LINES, log_lines, parse_log
from gallery_operator.contract.checks import (
    CheckCounts,
    CheckedAgainst,
    CheckedContainer,
    CheckOutcome,
    ChecksDocument,
    CheckStatus,
    printable,
)
from gallery_operator.contract.config import (
    CONFIG_VARIABLE,
    BlobSource,
    ChecksumsFile,
    CopySource,
    GuestProfile,
    OciSource,
    PrepareConfig,
    PrerequisitesConfig,
    PvcSource,
    ReadBack,
    S3Source,
    SignatureFile,
    UploadConfig,
    UrlSource,
)
from gallery_operator.contract.exitcodes import ExitCode
from gallery_operator.contract.report import (
    MAX_REPORT_BYTES,
    DiskFacts,
    FailureCode,
    Finding,
    Phase,
    PrerequisitesReport,
    Progress,
    Report,
    UploadFacts,
    VerificationFacts,
    dump_report,
    parse_report,
)

__all__ = [
    "CONFIG_VARIABLE",
    "MAX_LOG_BYTES",
    "MAX_LOG_LINES",
    "MAX_REPORT_BYTES",
    "BlobSource",
    "CheckCounts",
    "CheckOutcome",
    "CheckStatus",
    "CheckedAgainst",
    "CheckedContainer",
    "ChecksDocument",
    "ChecksumsFile",
    "CopySource",
    "DiskFacts",
    "ExitCode",
    "FailureCode",
    "Finding",
    "GuestProfile",
    "OciSource",
    "Phase",
    "PrepareConfig",
    "PrerequisitesConfig",
    "PrerequisitesReport",
    "Progress",
    "PvcSource",
    "ReadBack",
    "Report",
    "S3Source",
    "SignatureFile",
    "UploadConfig",
    "UploadFacts",
    "UrlSource",
    "VerificationFacts",
    "dump_report",
    "log_lines",
    "parse_log",
    "parse_report",
    "printable",
]
