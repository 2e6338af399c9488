"""Where a source that is not on a claim can be fetched from, and with what it is asked."""

from dataclasses import dataclass
from pathlib import Path

from gallery_operator.contract import FailureCode, UrlSource
from gallery_operator.worker.address import AddressRule
from gallery_operator.worker.answers import OF_A_URL, Advice
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import HttpClient, check_url, read_headers, same_origin, tls_context


@dataclass(frozen=True, slots=True)
class Origin:
    """A server that has the file.

    Attributes:
        url: Of the file; never with a secret in it, as it tells one download from another.
        client: Asks for it.
    """

    url: str
    client: HttpClient


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is.

    Attributes:
        origins: Servers that have it, in the order in which they are asked; at least one.
        checksum: ``sha256:<hex>`` or ``sha512:<hex>`` of the file; None when nobody has said.
        advice: What a person may do when they do not give it.
    """

    origins: tuple[Origin, ...]
    checksum: str | None
    advice: Advice = OF_A_URL


def locate(source: UrlSource, secrets: Path) -> Place:
    """Find where a source's file is.

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
    client = client_of(source, secrets)
    for url in urls:
        _require_proof(url, source, client.rule)
    origins = (Origin(url, client if same_origin(url, source.url) else client.anonymous()) for url in urls)
    return Place(tuple(origins), source.checksum)


def client_of(source: UrlSource, secrets: Path) -> HttpClient:
    """Return what asks the origin of a source's ``url``; another origin is asked by its ``anonymous()``.

    Raises:
        WorkerError: ``BadConfiguration``: the URL, a header or the CA bundle cannot be used.
    """
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
