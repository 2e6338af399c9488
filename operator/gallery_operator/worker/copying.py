"""Has the service copy pieces of a disk from the blob that the disk came from, so that they need not leave the pod.

What the service answers was looked up in its documentation and in recordings of it (azure-sdk-for-python,
``test_page_blob``, ``test_upload_pages_from_url_*``): a source whose ETag is another one gives 412
``CannotVerifyCopySource``, bytes with another checksum 400 ``Md5Mismatch``. A source that the service may not read (an
ended SAS, a firewall, a private endpoint) gives 401, 403 or 404 ``CannotVerifyCopySource``, and where the target is a
page blob also 403 ``AuthorizationFailure`` (Azure/azure-storage-azcopy#3057, #1003).
"""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from azure.core.exceptions import HttpResponseError

from gallery_operator.contract import FailureCode
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.sas import SasFile
from gallery_operator.worker.target import Target, describe, error_code
from gallery_operator.worker.wire import CopyFrom

log = logging.getLogger(__name__)

_UNVERIFIED = "CannotVerifyCopySource"
_CHANGED = frozenset({_UNVERIFIED, "SourceConditionNotMet"})
_OTHER_BYTES = frozenset({"Md5Mismatch", "Crc64Mismatch"})
_THROTTLED = frozenset({429, 503})
_SERVER_ERRORS = frozenset({408, 500, 502, 503, 504})
_PATIENCE = 3
"""So often a piece is tried again after a server error: the service may not have read the source in time, or not know
the request at all (Azurite answers 500)."""


class _Refused(Exception):  # noqa: N818 - says what happened
    """The service does not copy from this source."""


class _Denied(_Refused):
    """It was not let in at the source; another SAS may help."""


class Copier:
    """Copies pieces until the service refuses; from then on the caller sends them, once and for all.

    Args:
        target: The blob that is written to.
        source: Where the source's URL is.
        etag: The source's version that was checked.
        size: Bytes of the source that are the disk's.

    Attributes:
        problem: Why the service does not copy any more; None while it does.
    """

    def __init__(self, target: Target, source: SasFile, etag: str, size: int) -> None:
        self._target = target
        self._source = source
        self._etag = etag
        self._size = size
        self._lock = threading.Lock()
        self.problem: str | None = None
        if not source.current()[1]:
            self._give_up(f"there is no URL in {source.path}")

    def covers(self, offset: int, length: int) -> bool:
        """Whether bytes of the disk are the source's as well: neither padding nor a footer of our own."""
        return self.problem is None and offset + length <= self._size

    def copy(self, what: str, offset: int, data: memoryview, lease: Callable[[], str | None]) -> bool:
        """Have a piece copied.

        Args:
            what: For messages.
            offset: In source and target.
            data: What the bytes must be.
            lease: Tells the lease that is held, before each try.

        Returns:
            Whether it was; if not, it must be sent.

        Raises:
            HttpResponseError: The target refuses, whoever brings the bytes.
            WorkerError: ``SourceChanged``; or the target cannot be reached.
            Stopping: The upload ends.
        """
        while self.problem is None:
            generation, url = self._source.current()
            judge = _Judge()
            try:
                self._target.copy_page(what, offset, data, lease, CopyFrom(url, self._etag), judge)
            except _Denied as denied:
                # Where the SAS has not ended, another one would be refused as well, unless it is there already.
                renewed = self._source.current()[0] != generation
                if renewed or (_ended(url) and self._source.renewed(generation, str(denied), self._target.stopping)):
                    continue
                self._give_up(str(denied))
            except _Refused as refused:
                self._give_up(str(refused))
            else:
                return True
        return False

    def _give_up(self, why: str) -> None:
        with self._lock:
            if self.problem is None:
                self.problem = why
                log.warning("the service does not copy from the source, so the bytes are sent: %s", why)


class _Judge:
    """Says what the answers to the tries of one request mean."""

    def __init__(self) -> None:
        self._failures = self._mismatches = 0

    def __call__(self, error: HttpResponseError) -> Exception:
        status, code = error.status_code, error_code(error)
        if status == 412 and code in _CHANGED:
            return _changed("it has another ETag")
        if status == 400 and code in _OTHER_BYTES:
            self._mismatches += 1  # one may be damage on the way
            return error if self._mismatches == 1 else _changed("it has other bytes")
        if status in (401, 403) and code == _UNVERIFIED:
            return _Denied(_told(error))
        if status in _THROTTLED and code != _UNVERIFIED:
            return error
        if status in _SERVER_ERRORS:
            self._failures += 1
            return error if self._failures <= _PATIENCE else _Refused(_told(error))
        if status in (401, 412) or (status == 403 and code != "AuthorizationFailure"):
            return error  # About the target: its SAS, its lease.
        # What it is about, Put Page will show.
        return _Refused(_told(error))


def _told(error: HttpResponseError) -> str:
    """Describe an answer, with what the source has answered to the service."""
    headers = getattr(error.response, "headers", {})
    inner = " ".join(
        str(value)
        for name in ("x-ms-copy-source-status-code", "x-ms-copy-source-error-code")
        if (value := headers.get(name))
    )
    return f"{describe(error)}{f', at the source {inner}' if inner else ''}"


def _changed(how: str) -> WorkerError:
    message = (
        f"The source blob is not the one that was checked: {how}. Import it anew; nothing may write to it meanwhile."
    )
    return WorkerError(FailureCode.SOURCE_CHANGED, message, retry=False)


def _ended(url: str) -> bool:
    """Whether the time of a SAS is over."""
    found = parse_qs(urlsplit(url).query).get("se")
    try:
        return found is not None and datetime.fromisoformat(found[0]) <= datetime.now(UTC)
    except (ValueError, TypeError):
        return False
