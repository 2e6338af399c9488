"""From a file of checksums at a URL to the checksum that a source must meet."""

import logging
import posixpath
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gallery_operator.contract import ChecksumsFile, FailureCode, PrepareConfig, UrlSource
from gallery_operator.worker import signature
from gallery_operator.worker.answers import Advice
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.checksums import NotListedError, parse, pick
from gallery_operator.worker.document import fetch_document
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import HttpClient, check_url, same_origin
from gallery_operator.worker.origins import client_of

log = logging.getLogger(__name__)

SIGNING_KEY = "signing-key/key"
"""The public key, below where a source's secrets are mounted."""
MOST_BYTES = 4 * 1024 * 1024
"""Largest file of checksums, or signature: Debian's longest have about 1 MiB."""
_TRIES = Backoff(first=1.0, most=20.0, tries=5, patience=120.0)
_OF_CHECKSUMS = Advice(not_found="Correct source.url.checksums.url.", forbidden="Check the Secret of headersSecretRef.")
_OF_A_SIGNATURE = Advice(
    not_found="Correct source.url.checksums.signature.url.", forbidden="Check the Secret of headersSecretRef."
)


def settled(config: PrepareConfig) -> PrepareConfig:
    """Return the configuration with the checksum of its source in the place of the file that lists it.

    What is made of the source then depends on the checksum itself: another list means another disk.

    Raises:
        WorkerError: As ``proven``.
    """
    if not isinstance(config.source, UrlSource):
        return config
    return config.model_copy(update={"source": proven(config.source, Path(config.secrets_dir))})


def proven(source: UrlSource, secrets: Path, backoff: Backoff = _TRIES) -> UrlSource:
    """Return a source with the checksum that its file of checksums lists.

    Args:
        source: The source; one without such a file is returned as it is.
        secrets: Where its headers, CA bundle and signing key are mounted.
        backoff: Patience with the server.

    Raises:
        WorkerError: ``ChecksumNotFound``, ``SignatureInvalid``, ``BadConfiguration``, or what a download says.
    """
    wanted = source.checksums
    if wanted is None:
        return source
    client = client_of(source, secrets)
    _require_proof(wanted, client)
    data = _fetch(client, source, wanted.url, _OF_CHECKSUMS, backoff)
    if wanted.signature is not None:
        data = _signed(wanted, client, source, data, secrets / SIGNING_KEY, backoff)
    file = wanted.file or unquote(posixpath.basename(urlsplit(source.url).path))
    try:
        checksum = pick(parse(data.decode("utf-8", "replace")), file)
    except NotListedError as error:
        message = f"The file of checksums at {_shown(wanted.url)} is of no use: {error}. Correct checksums.file or url."
        raise WorkerError(FailureCode.CHECKSUM_NOT_FOUND, message) from None
    log.info("the file of checksums lists the source", extra={"file": file, "checksum": checksum})
    return source.model_copy(update={"checksum": checksum, "checksums": None})


def _require_proof(wanted: ChecksumsFile, client: HttpClient) -> None:
    parts = check_url(wanted.url)
    if parts.scheme == "http" and wanted.signature is None and not client.rule.names(parts.hostname or ""):
        message = "An http URL proves nothing about what it serves: use https for checksums.url, or give its signature."
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message)


def _signed(
    wanted: ChecksumsFile, client: HttpClient, source: UrlSource, data: bytes, key_file: Path, backoff: Backoff
) -> bytes:
    """Return what is signed of the file."""
    if wanted.signature is None:
        raise AssertionError("there is a signature")
    try:
        keys = signature.read_keys(key_file.read_bytes())
    except (OSError, signature.SignatureError) as error:
        message = f"The signing key of checksums.signature cannot be used: {error}. Give the publisher's public key."
        raise WorkerError(FailureCode.SIGNATURE_INVALID, message) from None
    detached = wanted.signature.url
    try:
        if detached is None:
            text, who = signature.verify_clear(data, keys)
        else:
            text = data
            who = signature.verify_detached(data, _fetch(client, source, detached, _OF_A_SIGNATURE, backoff), keys)
    except signature.SignatureError as error:
        message = f"The signature of {_shown(wanted.url)} does not hold: {error}."
        raise WorkerError(FailureCode.SIGNATURE_INVALID, message) from None
    log.info("the signature of the file of checksums holds", extra={"key": who})
    return text


def _fetch(client: HttpClient, source: UrlSource, url: str, advice: Advice, backoff: Backoff) -> bytes:
    """Fetch a small file; headers go to the origin of the source only.

    Raises:
        WorkerError: It cannot be had, or is not small.
    """
    asked = client if same_origin(url, source.url) else client.anonymous()
    try:
        return fetch_document(asked, url, {}, limit=MOST_BYTES, advice=advice, what=_shown(url), backoff=backoff)
    except WorkerError as error:
        if error.code != FailureCode.TOO_LARGE:
            raise
        message = f"{_shown(url)} has more than {MOST_BYTES} bytes: it is no file of checksums or signature."
        raise WorkerError(FailureCode.CHECKSUM_NOT_FOUND, message) from None


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}{parts.path}"
