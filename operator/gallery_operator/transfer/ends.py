"""How the command ends: exit codes, and the one exception with which any part of it says so."""

from __future__ import annotations

from enum import IntEnum

from gallery_operator.azure.errors import AzureError
from gallery_operator.contract import FailureCode
from gallery_operator.redact import redact
from gallery_operator.transfer.words import said_here
from gallery_operator.worker.errors import WorkerError


class UploadExit(IntEnum):
    """Exit codes of ``upload``; the first four are those of ``check``.

    Attributes:
        DONE: The disk is where it should be.
        FINDINGS: A prerequisite is not met; nothing was sent.
        USAGE: The command line is wrong.
        UNDECIDED: No error, but a check that could be one is undecided; nothing was sent.
        DISK: The disk cannot be fetched or read, or there is no room for it here.
        DESTINATION: The destination refuses, or holds something else.
        AGAIN: What time may mend; the same command goes on where this one stopped.
        INTERRUPTED: Ctrl-C (SIGINT).
        TERMINATED: SIGTERM or SIGHUP.
    """

    DONE = 0
    FINDINGS = 1
    USAGE = 2
    UNDECIDED = 3
    DISK = 4
    DESTINATION = 5
    AGAIN = 6
    INTERRUPTED = 130
    TERMINATED = 143


_FINDINGS = {
    FailureCode.PREREQUISITES_NOT_MET: UploadExit.FINDINGS,
    FailureCode.PREREQUISITES_UNKNOWN: UploadExit.UNDECIDED,
}
_OF_THE_TARGET = frozenset(
    {
        FailureCode.TARGET_FORBIDDEN,
        FailureCode.TARGET_CONFLICT,
        FailureCode.TARGET_UNREACHABLE,
        FailureCode.VERIFICATION_FAILED,
    }
)


class UploadError(Exception):
    """The command cannot go on.

    Attributes:
        exit: The exit code.
        message: What happened, and what to do next; without secrets.
        code: The worker's or Azure's own code.
    """

    def __init__(self, exit_code: UploadExit, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.exit = exit_code
        self.message = redact(message)
        self.code = code


def of_worker(error: WorkerError) -> UploadError:
    """Say what a worker's failure means for who gave the command."""
    exit_code = _FINDINGS.get(error.code)
    if exit_code is None:
        # A SAS that is refused stays refused, unless somebody gives another one.
        if error.retry and error.code is not FailureCode.TARGET_FORBIDDEN:
            exit_code = UploadExit.AGAIN
        else:
            exit_code = UploadExit.DESTINATION if error.code in _OF_THE_TARGET else UploadExit.DISK
    return UploadError(exit_code, said_here(error.message), error.code.value)


def of_azure(error: AzureError) -> UploadError:
    """Say what Azure's refusal means for who gave the command."""
    exit_code = UploadExit.DESTINATION if error.needs_person else UploadExit.AGAIN
    message = f"{error.message.rstrip('.')}. {said_here(error.next_step)}"
    return UploadError(exit_code, message, error.code)
