"""HTTP GET that follows redirects only to addresses that were checked."""

import contextlib
import http.client
import logging
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import SplitResult, urljoin, urlsplit

from gallery_operator.contract import FailureCode
from gallery_operator.redact import redact
from gallery_operator.worker.address import AddressRule
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.proxy import Proxy, find_proxy

log = logging.getLogger(__name__)

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_UNAUTHORIZED = frozenset({401, 403})
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_OURS = frozenset(
    {
        "host",
        "range",
        "if-range",
        "content-length",
        "transfer-encoding",
        "connection",
        "accept-encoding",
        "te",
        "upgrade",
    }
)
_MAX_HEADER_BYTES = 16 * 1024
_PROXY_REFUSES = re.compile("Tunnel connection failed: (403|407)")

Resolver = Callable[[str, int], list[str]]
ProxyFinder = Callable[[str], Proxy | None]


class ConnectionLost(Exception):  # noqa: N818 - says what happened
    """The server could not be reached, or went away; worth another try."""


def resolve(host: str, port: int) -> list[str]:
    """Return all addresses of a host, each once.

    Raises:
        ConnectionLost: The name has none (now).
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectionLost(f"the name {host} cannot be resolved ({error})") from error
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def read_headers(folder: Path) -> dict[str, str]:
    """Read extra request headers, one file a header.

    Raises:
        WorkerError: ``BadConfiguration`` for a name or value that cannot be sent. The value is never shown.
    """
    headers: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        # The kubelet keeps the files in hidden folders and links them.
        if path.name.startswith(".") or not path.is_file():
            continue
        name = path.name
        if set(name) - _TOKEN or name.lower() in _OURS:
            message = f"The key {name!r} of the headers Secret is not a header that may be set; remove it."
            raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
        raw = path.read_bytes()[: _MAX_HEADER_BYTES + 1].strip(b"\r\n")
        value = raw.decode("latin-1")
        if len(raw) > _MAX_HEADER_BYTES or any(ord(c) < 32 and c != "\t" for c in value) or "\x7f" in value:
            message = f"The value of header {name} is not one line of at most {_MAX_HEADER_BYTES} bytes."
            raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
        headers[name] = value
    return headers


def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Make a context that verifies servers against the system's roots and, if given, a private CA.

    Raises:
        WorkerError: ``BadConfiguration``: the bundle holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_bundle is not None:
        try:
            context.load_verify_locations(cafile=str(ca_bundle))
        except (OSError, ssl.SSLError) as error:
            message = f"The CA bundle cannot be used: {error}. Its key ca.crt must hold PEM certificates."
            raise WorkerError(FailureCode.BAD_CONFIGURATION, message) from error
    return context


class Response:
    """An answer whose body has not been read yet.

    Attributes:
        status: The HTTP status.
        url: Where it came from, after redirects; it may hold a signature that a redirect added.
    """

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, url: str) -> None:
        self.url = url
        self._connection = connection
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str | None:
        """Return a header's value."""
        return self._response.getheader(name)

    def read(self, length: int) -> bytes:
        """Return what has arrived, at most ``length`` bytes; empty at the end of the body.

        Raises:
            ConnectionLost: The connection broke, stalled, or ended before the announced length.
        """
        try:
            data = self._response.read1(length)
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise ConnectionLost(f"the connection broke ({type(error).__name__}: {error})") from error
        return data

    def close(self) -> None:
        """Hang up."""
        self._response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Authorizer(Protocol):
    """Proves to one origin who asks, request by request."""

    def sign(self, target: SplitResult, headers: Mapping[str, str]) -> tuple[SplitResult, Mapping[str, str]]:
        """Return what is sent instead.

        Args:
            target: Where the request goes.
            headers: All its headers so far.

        Returns:
            The URL, perhaps with more in its query, which is sent and never shown; headers to send in addition.
        """
        ...

    def renew(self, response: "Response") -> bool:
        """After an answer of 401 or 403: get another proof, and say whether asking again is worth it."""
        ...


@dataclass(frozen=True)
class HttpClient:
    """Sends GET requests under the address rule.

    Behind a proxy it is the proxy that finds the server's address. A name that resolves here, too, must lead to allowed
    addresses all the same; for the others the proxy's own rules must do.

    Attributes:
        rule: Which addresses may be reached.
        tls: How servers are verified.
        headers: Extra headers; they go to the URL's own origin only.
        authorizer: Signs requests to the URL's own origin; None: they go as they are.
        timeout: Seconds to wait for a connection or for more bytes.
        resolver: Finds a host's addresses.
        proxy_of: Finds the proxy for a URL.
    """

    rule: AddressRule
    tls: ssl.SSLContext
    headers: Mapping[str, str]
    authorizer: Authorizer | None = None
    timeout: float = 60.0
    resolver: Resolver = resolve
    proxy_of: ProxyFinder = find_proxy

    def anonymous(self) -> Self:
        """Return the same client without what proves to an origin who asks."""
        return replace(self, headers={}, authorizer=None)

    def get(self, url: str, headers: Mapping[str, str]) -> Response:
        """Send a GET and follow redirects.

        Args:
            url: Where to begin.
            headers: Headers of this request; sent on every hop.

        Returns:
            The first answer that is no redirect, whatever its status.

        Raises:
            ConnectionLost: Worth another try.
            WorkerError: ``SourceAddressForbidden``, ``TLSFailed`` or ``BadConfiguration``.
        """
        target = check_url(url)
        client = self
        for _ in range(MAX_REDIRECTS + 1):
            response = client._ask(target, headers)
            location = response.header("Location")
            if response.status not in _REDIRECTS or location is None:
                return response
            response.close()
            onward = _check_redirect(target, location)
            if _origin(onward) != _origin(target):
                # For good: a way back through a stranger must not bring them back.
                client = client.anonymous()
            target = onward
        raise WorkerError(FailureCode.SOURCE_ADDRESS_FORBIDDEN, f"The URL redirects more than {MAX_REDIRECTS} times.")

    def _ask(self, target: SplitResult, headers: Mapping[str, str]) -> Response:
        headers = {**self.headers, **headers}
        response = self._signed(target, headers)
        if self.authorizer is None or response.status not in _UNAUTHORIZED:
            return response
        try:
            renewed = self.authorizer.renew(response)
        except BaseException:
            response.close()
            raise
        if not renewed:
            return response
        response.close()
        return self._signed(target, headers)

    def _signed(self, target: SplitResult, headers: Mapping[str, str]) -> Response:
        if self.authorizer is None:
            return self._send(target, target, headers)
        signed, more = self.authorizer.sign(target, headers)
        return self._send(target, signed, {**headers, **more})

    def _send(self, shown: SplitResult, target: SplitResult, headers: Mapping[str, str]) -> Response:
        host, port = _origin(target)[1:]
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        headers = {"User-Agent": "gallery-operator", "Accept": "*/*", "Accept-Encoding": "identity", **headers}
        proxy = self.proxy_of(shown.geturl())
        if proxy is None:
            connection = self._connect(target.scheme, host, port, self._checked_addresses(host, port))
        else:
            self._refuse_forbidden(host, port)
            connection = self._connect_by(proxy, target.scheme, host, port)
            if target.scheme == "http":
                path = f"http://{target.netloc}{path}"
                headers.update(proxy.headers)
        try:
            connection.request("GET", path, headers=headers)
            return Response(connection, connection.getresponse(), shown.geturl())
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            raise ConnectionLost(f"{host} did not answer ({type(error).__name__}: {error})") from error
        except BaseException:
            connection.close()
            raise

    def _refuse_forbidden(self, host: str, port: int) -> None:
        # Where only the proxy can resolve the name, there is nothing to look at.
        with contextlib.suppress(ConnectionLost):
            self._checked_addresses(host, port)

    def _connect_by(self, proxy: Proxy, scheme: str, host: str, port: int) -> http.client.HTTPConnection:
        """Connect to a proxy, and for https through it to the server."""
        way = http.client.HTTPConnection(proxy.host, proxy.port, timeout=self.timeout)
        if scheme == "https":
            way.set_tunnel(f"[{host}]" if ":" in host else host, port, headers=proxy.headers)
        try:
            way.connect()
        except OSError as error:
            way.close()
            if _PROXY_REFUSES.match(str(error)):
                message = f"The proxy {proxy.host} does not let this pod reach {host} ({error}). Allow it there."
                raise WorkerError(FailureCode.SOURCE_UNREACHABLE, message, retry=False) from error
            raise ConnectionLost(f"{host} cannot be reached through the proxy {proxy.host} ({error})") from error
        return self._wrap(scheme, host, port, way.sock)

    def _checked_addresses(self, host: str, port: int) -> list[str]:
        addresses = self.resolver(host, port)
        for address in addresses:
            if not self.rule.allows(host, address):
                raise WorkerError(
                    FailureCode.SOURCE_ADDRESS_FORBIDDEN,
                    f"{host} has the address {address}, which is not public. If it is meant, an administrator allows "
                    "it with the chart's value worker.allowedSourceCidrs or worker.allowedSourceHosts.",
                )
        if not addresses:
            raise ConnectionLost(f"the name {host} has no address")
        return addresses

    def _connect(self, scheme: str, host: str, port: int, addresses: list[str]) -> http.client.HTTPConnection:
        failure: Exception | None = None
        for address in addresses:
            try:
                # The address that was checked, not the name: a second look-up could answer otherwise.
                plain = socket.create_connection((address, port), timeout=self.timeout)
            except OSError as error:
                failure = error
                continue
            return self._wrap(scheme, host, port, plain)
        raise ConnectionLost(f"{host}:{port} cannot be reached ({failure})") from failure

    def _wrap(self, scheme: str, host: str, port: int, plain: socket.socket) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(host, port, timeout=self.timeout)
        if scheme == "http":
            connection.sock = plain
            return connection
        # HTTPConnection leaves the default port out of the Host header, and 443 is not its default.
        connection.default_port = 443
        try:
            connection.sock = self.tls.wrap_socket(plain, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            plain.close()
            message = (
                f"The certificate of {host} is not accepted: {error.verify_message}. "
                "If it is signed by a private CA, name its bundle in the source's caBundleRef."
            )
            raise WorkerError(FailureCode.TLS_FAILED, message) from error
        except ssl.SSLError as error:
            plain.close()
            if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
                raise ConnectionLost(f"{host} hung up while TLS was negotiated") from error
            message = f"No TLS connection with {host}: {error.reason or error}."
            raise WorkerError(FailureCode.TLS_FAILED, message) from error
        except OSError as error:
            plain.close()
            raise ConnectionLost(f"{host} hung up while TLS was negotiated ({error})") from error
        return connection


def check_url(url: str) -> SplitResult:
    """Check a URL's form.

    Raises:
        WorkerError: ``BadConfiguration``: another scheme, user info, no host, or control characters.
    """
    problem = None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise WorkerError(FailureCode.BAD_CONFIGURATION, "The URL of the source is not a URL.") from None
    if parts.scheme not in ("http", "https"):
        problem = f"has the scheme {parts.scheme!r}; only https and http are fetched"
    elif parts.username is not None or parts.password is not None:
        problem = "has user info; put credentials into the Secret of headersSecretRef"
    elif not parts.hostname or port == 0:
        problem = "has no host"
    elif any(ord(c) <= 32 or ord(c) >= 127 for c in url):
        problem = "has characters that must be percent-encoded"
    if problem is not None:
        raise WorkerError(FailureCode.BAD_CONFIGURATION, f"The URL {redact(url)} {problem}.")
    return parts


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have scheme, host and port in common."""
    return _origin(urlsplit(one)) == _origin(urlsplit(other))


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def _check_redirect(here: SplitResult, location: str) -> SplitResult:
    try:
        onward = check_url(urljoin(here.geturl(), location))
    except WorkerError as error:
        message = f"{here.hostname} redirects to a place that is not fetched: {error.message}"
        raise WorkerError(FailureCode.SOURCE_ADDRESS_FORBIDDEN, message) from error
    if here.scheme == "https" and onward.scheme == "http":
        message = f"{here.hostname} redirects from https to http ({onward.hostname}); that is not followed."
        raise WorkerError(FailureCode.SOURCE_ADDRESS_FORBIDDEN, message)
    log.info("redirect", extra={"from_host": here.hostname, "to_host": onward.hostname})
    return onward
