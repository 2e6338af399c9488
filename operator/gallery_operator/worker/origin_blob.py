"""A blob in an Azure storage account: asked with a SAS that is renewed meanwhile; a page blob without its zeros.

Where it is says the operator, who has it from Resource Manager by the account's id: no user names the host. So it may
have a private address, as an account with a private endpoint has.
"""

import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlencode, urlsplit

from gallery_operator.contract import BlobSource, FailureCode
from gallery_operator.worker.address import AddressRule
from gallery_operator.worker.answers import Advice, Again, Changed, refuse
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import ConnectionLost, HttpClient, Response, check_url, tls_context
from gallery_operator.worker.layout import MERGE_GAP_BYTES, Range, merge
from gallery_operator.worker.place import Origin, Place
from gallery_operator.worker.sas import SasFile
from gallery_operator.worker.segments import Written

FOLDER = "blob"
"""Below the mounted secrets: ``url`` (the blob's URL with its SAS) and, where there is one, ``ca.crt``."""

_OF_A_BLOB = Advice(
    not_found="Put the blob there, or make a new import of another one.",
    forbidden="The operator may read it: perhaps the account's network rules do not let the pod in, or forbid SAS.",
)
_NO_PAGE_BLOB = frozenset({"InvalidBlobType", "BlobTypeNotSupported"})
_NO_RIGHTS = frozenset(
    {"AuthorizationPermissionMismatch", "AuthorizationServiceMismatch", "AuthorizationResourceTypeMismatch",
     "AuthorizationFailure"}
)  # fmt: skip
_MOST_LIST_BYTES = 16 * 1024 * 1024
_MOST_RANGES = 1_000_000


def locate_blob(source: BlobSource, secrets: Path) -> Place:
    """Find where a blob is.

    Args:
        source: The source.
        secrets: Where its SAS is mounted, in ``FOLDER``.

    Raises:
        WorkerError: ``BadConfiguration``: there is no file with a URL.
    """
    folder = secrets / FOLDER
    sas = SasFile(folder / "url")
    parts = urlsplit(sas.current()[1])
    if parts.scheme not in ("http", "https"):
        message = f"The file {sas.path} holds no URL of a blob. The operator writes it from the import's Secret."
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
    check_url(sas.current()[1])
    authority = folder / "ca.crt"
    client = HttpClient(
        rule=AddressRule.of((), (parts.hostname or "",)),
        tls=tls_context(authority if authority.exists() else None),
        headers={},
        authorizer=SasAuthorizer(sas),
    )
    url = parts._replace(query="").geturl()
    origin = Origin(url, client, PageBlob(client, url).written)
    return Place((origin,), source.checksum, _OF_A_BLOB)


def is_superseded(place: Place, etag: str) -> bool:
    """Whether a blob is known to be another version now; where that cannot be learned, it is not.

    Args:
        place: Where the blob is.
        etag: Of the version that is meant.

    Raises:
        WorkerError: The service refuses the SAS, or its certificate is not accepted.
    """
    origin = place.origins[0]
    try:
        with origin.client.get(origin.url, {"Range": "bytes=0-0", "If-Range": etag}) as response:
            return response.status == 412
    except ConnectionLost:
        return False


class SasAuthorizer:
    """Puts the SAS of the moment into the query of each request.

    Args:
        sas: Where it is.
    """

    def __init__(self, sas: SasFile) -> None:
        self._sas = sas
        self._used = threading.local()

    def sign(self, target: SplitResult, headers: Mapping[str, str]) -> tuple[SplitResult, Mapping[str, str]]:
        """Add the SAS, and what pins the version: the service does not know ``If-Range``.

        https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations
        """
        self._used.generation, url = self._sas.current()
        signature = urlsplit(url).query
        query = f"{target.query}&{signature}" if target.query else signature
        version = headers.get("If-Range")
        return target._replace(query=query), {} if version is None else {"If-Match": version}

    def renew(self, response: Response) -> bool:
        """Wait for the next SAS, unless the answer is about rights that no SAS changes."""
        code = response.header("x-ms-error-code") or ""
        if code in _NO_RIGHTS:
            return False
        if self._sas.renewed(self._used.generation, f"{response.status} {code}"):
            return True
        response.close()
        message = f"The blob's SAS is refused ({response.status} {code}). The operator issues another one."
        raise WorkerError(FailureCode.SOURCE_FORBIDDEN, message, retry=True)


@dataclass(frozen=True, slots=True)
class PageBlob:
    """Asks which pages of a blob have been written.

    Attributes:
        client: Asks.
        url: Of the blob, without its SAS.
    """

    client: HttpClient
    url: str

    def written(self) -> Written | None:
        """List all pages: https://learn.microsoft.com/rest/api/storageservices/get-page-ranges.

        Returns:
            What has been written; small holes, which cost less than a request, count as written. None: it is no page
            blob, or its list is too long to be of use.

        Raises:
            Again: Worth another try.
            ConnectionLost: As well.
            Changed: The blob was written to between two parts of the list.
            WorkerError: The service refuses.
        """
        parts: list[_Part] = []
        while not parts or parts[-1].marker:
            part = self._ask(parts[-1].marker if parts else "")
            if part is None or sum(len(each.ranges) for each in parts) > _MOST_RANGES:
                return None
            if parts and part.etag != parts[0].etag:
                raise Changed("it was written to while its pages were listed")
            parts.append(part)
        ranges = merge(each for part in parts for each in part.ranges)
        return Written(parts[0].etag, parts[0].total, tuple(_bridged(ranges, parts[0].total)))

    def _ask(self, marker: str) -> "_Part | None":
        query = urlencode({"comp": "pagelist", **({"marker": marker} if marker else {})})
        with self.client.get(f"{self.url}?{query}", {}) as response:
            if response.status != 200 and response.header("x-ms-error-code") in _NO_PAGE_BLOB:
                return None
            if response.status != 200:
                refuse(response, _OF_A_BLOB)
            return _read_part(response)


@dataclass(frozen=True, slots=True)
class _Part:
    """One answer, of at most 10,000 ranges; those of an API before 2020-10-02 hold all."""

    etag: str
    total: int
    ranges: tuple[Range, ...]
    marker: str


def _read_part(response: Response) -> _Part | None:
    etag, total = response.header("ETag"), response.header("x-ms-blob-content-length") or ""
    if etag is None or not total.isdigit():
        raise Again(FailureCode.SOURCE_UNREACHABLE, "the list of pages names neither version nor length")
    body = bytearray()
    while data := response.read(256 * 1024):
        body += data
        if len(body) > _MOST_LIST_BYTES:
            return None
    try:
        document = ET.fromstring(bytes(body))  # noqa: S314 - expat bounds the growth of entities by itself
        ranges = tuple(
            Range(int(each.findtext("Start", "")), int(each.findtext("End", "")) + 1)
            for each in document.iter("PageRange")
        )
    except (ET.ParseError, ValueError) as error:
        raise ConnectionLost("the list of pages cannot be read") from error
    if document.tag != "PageList":
        # What is missing in a list would be taken for zeros.
        raise ConnectionLost("the answer is no list of pages")
    return _Part(etag, int(total), ranges, document.findtext("NextMarker") or "")


def _bridged(ranges: Iterable[Range], total: int) -> Iterator[Range]:
    """Join ranges that are apart by less than a request costs."""
    last: Range | None = None
    for start, end in ranges:
        if last is not None and start - last.end < MERGE_GAP_BYTES:
            last = Range(last.start, min(end, total))
            continue
        if last is not None:
            yield last
        last = Range(start, min(end, total))
    if last is not None:
        yield last
