"""Errors of the Kubernetes API, told apart by what the caller does next."""

from enum import StrEnum

from gallery_operator.redact import redact


class KubeReason(StrEnum):
    """Why a request failed.

    Attributes:
        NOT_FOUND: The object does not exist.
        ALREADY_EXISTS: An object of that name exists.
        CONFLICT: The object changed meanwhile, or a test of a JSON patch failed.
        INVALID: The server refused the content (422, 400).
        FORBIDDEN: The operator lacks a right.
        UNAVAILABLE: Anything that time mends: connection, timeout, 429, 5xx.
    """

    NOT_FOUND = "NotFound"
    ALREADY_EXISTS = "AlreadyExists"
    CONFLICT = "Conflict"
    INVALID = "Invalid"
    FORBIDDEN = "Forbidden"
    UNAVAILABLE = "Unavailable"


class KubeError(Exception):
    """A request to the Kubernetes API failed.

    Attributes:
        reason: What kind of failure it is.
        status: HTTP status, or None when there was no answer.
        retry_after: Seconds the server asked to wait, or None.
    """

    def __init__(
        self, reason: KubeReason, message: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(redact(message))
        self.reason = reason
        self.status = status
        self.retry_after = retry_after


def from_status(status: int, body: dict[str, object], what: str, retry_after: float | None = None) -> KubeError:
    """Translate an HTTP error answer.

    Args:
        status: HTTP status, 400 or more.
        body: The ``Status`` object of the answer, or an empty dict.
        what: What was asked, for the message.
        retry_after: Value of ``Retry-After`` in seconds.
    """
    told = str(body.get("reason", ""))
    message = f"{what}: {body.get('message') or f'HTTP {status}'}"
    if status == 404:
        reason = KubeReason.NOT_FOUND
    elif status == 409:
        reason = KubeReason.ALREADY_EXISTS if told == "AlreadyExists" else KubeReason.CONFLICT
    elif status == 422 and "the server rejected our request due to an error in our request" in message:
        # A failed `test` operation of a JSON patch is answered so, without a cause.
        reason = KubeReason.CONFLICT
    elif status in (400, 422, 405, 415, 413):
        reason = KubeReason.INVALID
    elif status in (401, 403):
        reason = KubeReason.FORBIDDEN
    else:
        reason = KubeReason.UNAVAILABLE
    return KubeError(reason, message, status, retry_after)
