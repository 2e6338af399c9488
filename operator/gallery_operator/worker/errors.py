"""The one exception with which a worker says why it ends without success."""

from gallery_operator.contract import FailureCode

_RETRYABLE = frozenset(
    {
        FailureCode.SOURCE_UNREACHABLE,
        FailureCode.SOURCE_CHANGED,
        FailureCode.SOURCE_TRUNCATED,
        FailureCode.TARGET_FORBIDDEN,
        FailureCode.TARGET_UNREACHABLE,
        FailureCode.VERIFICATION_FAILED,
        FailureCode.INTERNAL,
    }
)


class WorkerError(Exception):
    """The work cannot go on.

    Attributes:
        code: The reason, on which the operator decides.
        message: What happened, to which object, what to do next; never with a secret.
        retry: Whether another attempt of the same Job may succeed (exit code 11 instead of 10).
    """

    def __init__(self, code: FailureCode, message: str, *, retry: bool | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = code in _RETRYABLE if retry is None else retry


class Stopped(BaseException):
    """The pod was asked to end (SIGTERM); what is done so far is kept for the next one."""
