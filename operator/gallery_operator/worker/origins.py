"""Where a source that is not on a claim can be fetched from, and with what it is asked."""

from pathlib import Path

from gallery_operator.contract import BlobSource, FailureCode, UrlSource
from gallery_operator.worker.address import AddressRule
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import HttpClient, check_url, read_headers, same_origin, tls_context
from gallery_operator.worker.origin_blob import locate_blob
from gallery_operator.worker.place import Origin, Place


def locate(source: UrlSource | BlobSource, secrets: Path) -> Place:
    """Find where a source's file is.

    Args:
        source: The source.
        secrets: Where its headers, its CA bundle and its SAS are mounted.

    Raises:
        WorkerError: As for each kind of source.
    """
    return locate_blob(source, secrets) if isinstance(source, BlobSource) else locate_url(source, secrets)


def locate_url(source: UrlSource, secrets: Path) -> Place:
    """Find where the file of a URL is.

    Extra request headers go to the origin of ``url`` only.

    Args:
        source: The source.
        secrets: Where its headers and its CA bundle are mounted.

    Raises:
        WorkerError: ``BadConfiguration``: a URL is none, or proves nothing about what it serves; there are mirrors
            and no checksum.
    """
    urls = tuple(dict.fromkeys((source.url, *source.mirrors)))
    if len(urls) > 1 and source.checksum is None:
        message = "With mirrors a checksum is needed: it alone says that they have the same file."
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
    client = _client(source, secrets)
    for url in urls:
        _require_proof(url, source, client.rule)
    origins = (Origin(url, client if same_origin(url, source.url) else client.anonymous()) for url in urls)
    return Place(tuple(origins), source.checksum)


def _client(source: UrlSource, secrets: Path) -> HttpClient:
    check_url(source.url)
    return HttpClient(
        rule=address_rule(source),
        tls=tls_context(secrets / "ca" / "ca.crt" if source.has_ca_bundle else None),
        headers=read_headers(secrets / "headers") if source.has_headers else {},
    )


def address_rule(source: UrlSource) -> AddressRule:
    """Return which addresses a source may name.

    Raises:
        WorkerError: ``BadConfiguration``: a network that is none.
    """
    try:
        return AddressRule.of(source.allowed_cidrs, source.allowed_hosts)
    except ValueError as error:
        raise WorkerError(FailureCode.BAD_CONFIGURATION, f"An allowed network is not one: {error}.") from None


def _require_proof(url: str, source: UrlSource, rule: AddressRule) -> None:
    parts = check_url(url)
    # A host that the administrator has allowed by name is on a network that is trusted to be what it says.
    if parts.scheme == "http" and source.checksum is None and not rule.names(parts.hostname or ""):
        message = "An http URL proves nothing about what it serves: use https, or give the file's checksum."
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
