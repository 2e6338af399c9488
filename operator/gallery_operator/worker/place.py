"""A place of origins: where a file can be fetched from, and with what it is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gallery_operator.contract import FailureCode, OciSource, S3Source, UrlSource
from gallery_operator.worker.address import AddressRule
from gallery_operator.worker.answers import OF_A_URL, Advice
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import Authorizer, HttpClient, check_url, tls_context
from gallery_operator.worker.segments import Written

Ruled = UrlSource | S3Source | OciSource
"""What users name the host of, so that the administrator's rules hold."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A server that has the file.

    Attributes:
        url: Of the file; never with a secret in it, as it tells one download from another.
        client: Asks for it.
        written: Tells which bytes of the file have ever been written; None, or an answer of None: perhaps all.
    """

    url: str
    client: HttpClient
    written: Callable[[], Written | None] | None = None


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


def base_client(source: Ruled, secrets: Path, authorizer: Authorizer | None = None) -> HttpClient:
    """Return a client that keeps to the source's rules, and sends no headers of its own.

    Args:
        source: The source.
        secrets: Where its CA bundle is mounted.
        authorizer: Signs the requests to its own origin.

    Raises:
        WorkerError: ``BadConfiguration``.
    """
    tls = tls_context(secrets / "ca" / "ca.crt" if source.has_ca_bundle else None)
    return HttpClient(rule=address_rule(source), tls=tls, headers={}, authorizer=authorizer)


def address_rule(source: Ruled) -> AddressRule:
    """Return which addresses a source may name.

    Raises:
        WorkerError: ``BadConfiguration``: a network that is none.
    """
    try:
        return AddressRule.of(source.allowed_cidrs, source.allowed_hosts)
    except ValueError as error:
        raise WorkerError(FailureCode.BAD_CONFIGURATION, f"An allowed network is not one: {error}.") from None


def require_proof(url: str, checksum: str | None, rule: AddressRule) -> None:
    """Refuse a URL that proves nothing about what it serves.

    Raises:
        WorkerError: ``BadConfiguration``: http, no checksum, and a host that is not allowed by name.
    """
    parts = check_url(url)
    # A host that the administrator has allowed by name is on a network that is trusted to be what it says.
    if parts.scheme == "http" and checksum is None and not rule.names(parts.hostname or ""):
        message = "An http URL proves nothing about what it serves: use https, or give the file's checksum."
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
