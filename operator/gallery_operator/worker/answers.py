"""What a web server's answer means for a download."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from gallery_operator.contract import FailureCode
from gallery_operator.worker.backoff import parse_retry_after
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import Response

_RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
UNSATISFIED_RANGE = re.compile(r"bytes \*/(\d+)")


class Again(Exception):  # noqa: N818 - says what to do
    """Try again."""

    def __init__(self, code: FailureCode, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class Changed(Exception):  # noqa: N818 - says what happened
    """The source is not what it was when the download began."""


def _by_status(_: Response) -> WorkerError | None:
    return None


@dataclass(frozen=True, slots=True)
class Advice:
    """What a person may do about an answer, in whole sentences.

    Attributes:
        not_found: When there is no such file.
        forbidden: When the server wants credentials or refuses them.
        mismatch: When all bytes came and are not the right ones.
        understand: Reads an answer in which the server gives its reason; None: its status must do.
    """

    not_found: str = "Correct spec.source.url.url."
    forbidden: str = "Check the Secret of headersSecretRef."
    mismatch: str = "Correct source.url.checksum or the file."
    understand: Callable[[Response], WorkerError | None] = _by_status


OF_A_URL = Advice()


def refuse(response: Response, advice: Advice) -> NoReturn:
    """Raise what an answer without the file means.

    Args:
        response: The answer.
        advice: What to do about it.

    Raises:
        Again: Worth another try.
        WorkerError: ``SourceNotFound``, ``SourceForbidden``, or ``SourceUnreachable`` for good; or what the server
            itself says.
    """
    status = response.status
    if status not in _RETRY_STATUS and (understood := advice.understand(response)) is not None:
        raise understood
    if status in (404, 410):
        raise WorkerError(
            FailureCode.SOURCE_NOT_FOUND,
            f"The server says {status}: there is nothing at the URL. {advice.not_found}",
        )
    if status in (401, 403, 407):
        message = f"The server says {status}: it wants credentials or refuses them. {advice.forbidden}"
        raise WorkerError(FailureCode.SOURCE_FORBIDDEN, message)
    if status in _RETRY_STATUS:
        retry_after = parse_retry_after(response.header("Retry-After"))
        raise Again(FailureCode.SOURCE_UNREACHABLE, f"the server says {status}", retry_after)
    message = f"The server answers {status}, which is no answer to a download. {advice.not_found}"
    raise WorkerError(FailureCode.SOURCE_UNREACHABLE, message, retry=False)
