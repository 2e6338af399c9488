"""The blob that is written to: one SAS from a file, requests repeated until they are known to have worked."""

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobClient

from gallery_operator.contract import FailureCode
from gallery_operator.redact import redact
from gallery_operator.worker.backoff import Backoff, parse_retry_after
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.layout import Range, merge
from gallery_operator.worker.sas import SasFile
from gallery_operator.worker.tracking import Tracker
from gallery_operator.worker.wire import CopyFrom, PageClient

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")
MeansT = TypeVar("MeansT")

_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_CONNECTIONS = 64
_BUSY = frozenset({429, 503})
_DAMAGED_ON_THE_WAY = frozenset({"Md5Mismatch", "Crc64Mismatch"})
# In the words of Python's ssl, of OpenSSL, and of urllib3 where the names differ.
_BAD_CERTIFICATE = re.compile("CERTIFICATE_VERIFY_FAILED|certificate verify failed|doesn't match")
PERMISSION_CODES = frozenset(
    {"AuthorizationPermissionMismatch", "AuthorizationServiceMismatch", "AuthorizationResourceTypeMismatch"}
)


@dataclass(frozen=True, slots=True)
class TargetPolicy:
    """Patience with the storage service.

    Attributes:
        backoff: Between tries of one request.
        renewal_seconds: How long to wait for another SAS after the service refused the one at hand. The
            kubelet brings a changed Secret into the pod within about 90 s.
        poll_seconds: How often to look for it.
        renewals: How often in all.
        timeout: Seconds to wait for a connection or an answer.
        lease_seconds: How long to wait for somebody else's lease on the blob to run out.
        lease_poll_seconds: How often to try.
    """

    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.5, most=30.0, tries=10, patience=120.0))
    renewal_seconds: float = 150.0
    poll_seconds: float = 1.0
    renewals: int = 50
    timeout: float = 60.0
    lease_seconds: float = 90.0
    lease_poll_seconds: float = 5.0


def sas_file(path: Path, policy: TargetPolicy) -> SasFile:
    """Open a file with a SAS, with the policy's patience for the next one."""
    return SasFile(path, seconds=policy.renewal_seconds, poll_seconds=policy.poll_seconds, renewals=policy.renewals)


class Stopping(Exception):  # noqa: N818 - a request
    """The upload ends; threads give up quietly."""


class Target:
    """Sends requests to one blob, from many threads.

    Args:
        url_file: File with the blob's URL and SAS.
        tracker: Counts repeated requests.
        api_version: ``x-ms-version`` to speak.
        ca_bundle: PEM file that verifies the service, None for the system's roots.
        policy: Patience.

    Raises:
        WorkerError: ``BadConfiguration``: there is no such file, or no URL in it.
    """

    def __init__(
        self,
        url_file: Path,
        tracker: Tracker,
        *,
        api_version: str | None = None,
        ca_bundle: str | None = None,
        policy: TargetPolicy | None = None,
    ) -> None:
        self._tracker = tracker
        self._api_version = api_version
        self._ca_bundle = ca_bundle
        self.policy = policy or TargetPolicy()
        self._sas = sas_file(url_file, self.policy)
        self._local = threading.local()
        self._pages: PageClient | None = None
        self._pages_lock = threading.Lock()
        self.on_throttled: Callable[[], None] = lambda: None
        self.stopping = threading.Event()
        if urlsplit(self.url).scheme not in ("http", "https"):
            message = f"The file {url_file} holds no URL of a blob. The operator writes it from the upload's Secret."
            raise WorkerError(FailureCode.BAD_CONFIGURATION, message)

    @property
    def url(self) -> str:
        """The blob's URL with its SAS; never to be shown."""
        return self._sas.current()[1]

    @property
    def name(self) -> str:
        """Host and path of the blob, fit to be shown."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}{parts.path}"

    def call(self, what: str, request: Callable[[BlobClient], ResultT]) -> ResultT:
        """Send a request until it works.

        Throttling, server errors, lost connections and bytes damaged on the way are tried again; a refused SAS
        is read again from its file. What the caller may want to tell apart comes out as it is.

        Args:
            what: For messages: "writing 4096 bytes at 0".
            request: Sends it with the client it is given; it may be called more than once.

        Returns:
            What ``request`` returned.

        Raises:
            HttpResponseError: An answer that no repetition will change (404, 409, 412 and so on).
            WorkerError: ``TargetForbidden``, ``TargetUnreachable``, ``TLSFailed``.
            Stopping: The upload ends.
        """
        return self._until_it_works(what, self._client, request)

    def put_page(self, what: str, offset: int, data: memoryview, lease: Callable[[], str | None]) -> None:
        """Write pages until it works, like ``call``.

        Args:
            what: For messages.
            offset: In the blob.
            data: The bytes.
            lease: Tells the lease that is held, before each try.

        Raises:
            HttpResponseError: An answer that no repetition will change.
            WorkerError: ``TargetForbidden``, ``TargetUnreachable``, ``TLSFailed``.
            Stopping: The upload ends.
        """
        pages = self._page_client()
        self._until_it_works(what, self._address, lambda url: pages.put(url, offset, data, lease()))

    def get_page(self, what: str, offset: int, buffer: memoryview, ready: Callable[[], None] = lambda: None) -> None:
        """Read pages until it works, like ``call``.

        Args:
            what: For messages.
            offset: In the blob.
            buffer: Is filled; at most 4 MiB.
            ready: Called before each try; it may wait.

        Raises:
            HttpResponseError: An answer that no repetition will change; among others 403 when the SAS does not allow
                to read.
            WorkerError: ``TargetForbidden``, ``TargetUnreachable``, ``TLSFailed``.
            Stopping: The upload ends.
        """
        pages = self._page_client()

        def read(url: str) -> None:
            ready()
            pages.get(url, offset, buffer)

        self._until_it_works(what, self._address, read)

    def copy_page(
        self,
        what: str,
        offset: int,
        data: memoryview,
        lease: Callable[[], str | None],
        source: CopyFrom,
        judge: Callable[[HttpResponseError], Exception],
    ) -> None:
        """Have the service copy pages from another blob until it works, like ``put_page``.

        Args:
            what: For messages.
            offset: In both blobs.
            data: What the bytes must be; not sent.
            lease: Tells the lease that is held, before each try.
            source: Where the bytes are.
            judge: Says what an answer means that may be about the source; what it returns is raised.

        Raises:
            HttpResponseError: An answer that no repetition will change.
            WorkerError: As ``put_page``.
            Stopping: The upload ends.
        """
        pages = self._page_client()

        def request(url: str) -> None:
            try:
                pages.copy(url, offset, data, lease(), source)
            except HttpResponseError as error:
                raise judge(error) from None

        self._until_it_works(what, self._address, request)

    def _until_it_works(
        self, what: str, means: Callable[[], tuple[int, MeansT]], request: Callable[[MeansT], ResultT]
    ) -> ResultT:
        failures = 0
        while True:
            generation, client = means()
            try:
                return request(client)
            except HttpResponseError as error:
                if error.status_code in (401, 403) and error_code(error) not in PERMISSION_CODES:
                    self._renew(generation, error)
                    continue
                if error.status_code not in _TRANSIENT and error_code(error) not in _DAMAGED_ON_THE_WAY:
                    raise
                if error.status_code in _BUSY:
                    self.on_throttled()
                problem: AzureError = error
                retry_after = parse_retry_after(_header(error, "Retry-After"))
            except AzureError as error:
                _refuse_bad_certificate(error, self.name)
                problem, retry_after = error, None
            failures += 1
            self._tracker.retried()
            backoff = self.policy.backoff
            if failures >= backoff.tries or (retry_after or 0) > backoff.patience:
                message = f"{self.name} could not be reached ({what}, {failures} tries): {describe(problem)}"
                raise WorkerError(FailureCode.TARGET_UNREACHABLE, message)
            delay = backoff.delay(failures, retry_after)
            log.warning("%s is tried again in %.1f s: %s", what, delay, describe(problem))
            if self.stopping.wait(delay):
                raise Stopping

    def page_ranges(self, start: int, length: int) -> list[Range]:
        """Return which bytes of a window have been written, in order.

        Raises:
            HttpResponseError: Among others 403 when the SAS does not allow to read.
        """

        def request(client: BlobClient) -> list[Range]:
            pages = client.list_page_ranges(offset=start, length=length)
            return [Range(each.start or 0, (each.end or 0) + 1) for each in pages if not each.cleared]

        return merge(self.call(f"listing pages at {start}", request))

    def _address(self) -> tuple[int, str]:
        if self.stopping.is_set():
            raise Stopping
        return self._sas.current()

    def _page_client(self) -> PageClient:
        with self._pages_lock:
            if self._pages is None:
                self._pages = PageClient(
                    self.url, api_version=self._client()[1].api_version, ca_bundle=self._ca_bundle,
                    timeout=self.policy.timeout, connections=_CONNECTIONS,
                )  # fmt: skip
            return self._pages

    def _client(self) -> tuple[int, BlobClient]:
        """Return this thread's client; made anew when the SAS is another one."""
        if self.stopping.is_set():
            raise Stopping
        generation, url = self._sas.current()
        if getattr(self._local, "generation", None) != generation:
            options: dict[str, Any] = {} if self._ca_bundle is None else {"connection_verify": self._ca_bundle}
            if self._api_version is not None:
                options["api_version"] = self._api_version
            try:
                client = BlobClient.from_blob_url(
                    url, retry_total=0, permit_redirects=False, connection_timeout=self.policy.timeout,
                    read_timeout=self.policy.timeout, **options,
                )  # fmt: skip
            except ValueError as error:
                message = f"The target cannot be used: {redact(error)}"
                raise WorkerError(FailureCode.BAD_CONFIGURATION, message) from None
            self._local.client, self._local.generation = client, generation
        return self._local.generation, self._local.client

    def _renew(self, generation: int, error: HttpResponseError) -> None:
        """Wait until the file holds another SAS than the refused one."""
        if self._sas.renewed(generation, describe(error), self.stopping):
            return
        if self.stopping.is_set():
            raise Stopping
        message = f"{self.name} refuses the SAS: {describe(error)}. The operator issues another for the next attempt."
        raise WorkerError(FailureCode.TARGET_FORBIDDEN, message)


def error_code(error: HttpResponseError) -> str:
    """Return the storage service's own code of an error, empty when it gave none."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def describe(error: AzureError) -> str:
    """Return one line about an error, without secrets."""
    if isinstance(error, HttpResponseError):
        request = _header(error, "x-ms-request-id")
        return f"{error.status_code} {error_code(error)}" + (f" (request {request})" if request else "")
    return redact(f"{type(error).__name__}: {error}".splitlines()[0])[:300]


def _header(error: HttpResponseError, name: str) -> str | None:
    headers = getattr(error.response, "headers", None)
    value = headers.get(name) if headers is not None else None
    return str(value) if value is not None else None


def _refuse_bad_certificate(error: AzureError, name: str) -> None:
    if _BAD_CERTIFICATE.search(str(error)):
        message = f"The certificate of {name} is not accepted. If it is signed by a private CA, set azure.caBundle."
        raise WorkerError(FailureCode.TLS_FAILED, message) from None
