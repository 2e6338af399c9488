"""The proxy on the way to a server, as the environment names it."""

import base64
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from requests.utils import get_environ_proxies, select_proxy

from gallery_operator.contract import FailureCode
from gallery_operator.worker.errors import WorkerError


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        host: Its name or address.
        port: Its TCP port.
        authorization: Value of ``Proxy-Authorization``, or None.
    """

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its URL, without what proves who asks."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """Headers for the proxy alone."""
        return {} if self.authorization is None else {"Proxy-Authorization": self.authorization}


def find_proxy(url: str) -> Proxy | None:
    """Return the proxy for a URL: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, but for hosts in ``NO_PROXY``.

    As ``requests`` has it, and so the storage SDK: lower case counts too, and ``NO_PROXY`` may name networks (CIDR).

    Returns:
        The proxy; None when the server is asked itself.

    Raises:
        WorkerError: ``BadConfiguration``: the environment names something else than an HTTP proxy.
    """
    found = select_proxy(url, get_environ_proxies(url, no_proxy=None))
    if not found:
        return None
    try:
        parts = urlsplit(found if "://" in found else f"http://{found}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme != "http":
        # Not the value: it may hold a password.
        message = "The proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY must be http://HOST:PORT."
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
    if parts.username is None:
        return Proxy(host, port)
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(host, port, f"Basic {base64.b64encode(user.encode()).decode()}")
