"""TLS for what is sent in bulk, by the OpenSSL that ``cryptography`` brings.

Python's ``ssl`` uses the system's OpenSSL, which encrypts without AVX-512 before its version 3.1 (Debian 12 has 3.0).
Measured over loopback, AES-256-GCM: 0.55 s of processor time a GiB with that, 0.39 with this.
"""

import ssl
from pathlib import Path
from socket import socket
from typing import Any

from OpenSSL import SSL
from urllib3.contrib.pyopenssl import PyOpenSSLContext, WrappedSocket

_PARTIAL_WRITE = 1
"""``SSL_MODE_ENABLE_PARTIAL_WRITE`` (openssl/ssl.h): while it is set, a call sends 16 KiB."""


class _Socket(WrappedSocket):
    def sendall(self, data: Any) -> None:
        """Send a whole buffer with as few calls as may be; what fails is an ``OSError``, as by Python's own."""
        rest = memoryview(data).cast("B")
        try:
            while rest:
                rest = rest[self._send_until_done(rest) :]  # type: ignore[arg-type]  # any buffer will do
        except SSL.Error as error:
            raise ssl.SSLError(f"write error: {error!r}") from error


class BulkContext(PyOpenSSLContext):
    """Stands in for an ``ssl.SSLContext`` in urllib3; always verifies the server.

    urllib3 itself compares the names in the certificate with the host's: ``check_hostname`` is False here.

    Args:
        authorities: PEM file, or folder, of the certificate authorities that are trusted.

    Raises:
        ssl.SSLError: They cannot be read.
    """

    verify_mode = ssl.CERT_REQUIRED
    """Fixed: urllib3 sets it for every connection, and pyOpenSSL lets nobody change a context that is in use."""

    def __init__(self, authorities: Path) -> None:
        super().__init__(ssl.PROTOCOL_TLS_CLIENT)
        self._ctx.clear_mode(_PARTIAL_WRITE)
        self._ctx.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        self.minimum_version = ssl.TLSVersion.TLSv1_2
        self.set_alpn_protocols(["http/1.1"])
        folder = authorities.is_dir()
        self.load_verify_locations(None if folder else str(authorities), str(authorities) if folder else None)
        self._ready = True

    def set_alpn_protocols(self, protocols: list[bytes | str]) -> None:
        """Set them once; urllib3 sets the same for every connection."""
        if not hasattr(self, "_ready"):
            super().set_alpn_protocols(protocols)

    def wrap_socket(self, sock: socket, *args: Any, **options: Any) -> WrappedSocket:
        """Do the handshake."""
        wrapped = super().wrap_socket(sock, *args, **options)
        return _Socket(wrapped.connection, wrapped.socket)
