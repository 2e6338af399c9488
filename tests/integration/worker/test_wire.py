"""Pages on their way over TLS: who is trusted, and what becomes of connections that break."""

from __future__ import annotations

import base64
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from awscrt.checksums import crc64nvme
from azure.core.exceptions import AzureError
from cryptography import x509
from tests.integration.worker.certificates import make_certificate

from gallery_operator.worker.tls import BulkContext
from gallery_operator.worker.wire import PageClient, PageError

MIB = 1024 * 1024
TIMEOUT = 2.0
SAS = "sig=c2VjcmV0"

Conversation = Callable[[ssl.SSLSocket], None]


class Server:
    """Holds one prepared conversation after another, each on a connection of its own."""

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        self.conversations: list[Conversation] = []
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}/vhds/disk.vhd?{SAS}"

    def close(self) -> None:
        self._listener.close()

    def take(self, connection: ssl.SSLSocket, piece: int = MIB) -> None:
        """Read one request."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().splitlines()
        pairs = (line.split(": ", 1) for line in lines[1:])
        headers = {name.lower(): value for name, value in pairs}
        headers["request"] = lines[0]
        parts = [body]
        left = int(headers["content-length"]) - len(body)
        while left > 0:
            parts.append(connection.recv(min(left, piece)))
            left -= len(parts[-1])
        self.received.append((headers, b"".join(parts)))

    def accept(self, connection: ssl.SSLSocket) -> None:
        """Read a request and say that all is well, until the client goes."""
        while True:
            self.take(connection)
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    (self.conversations.pop(0) if self.conversations else self.accept)(connection)
            except (OSError, IndexError, ValueError):
                plain.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), names=(LOOPBACK,))


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.fixture
def server(certificate: tuple[Path, Path]) -> Iterator[Server]:
    made = Server(certificate)
    yield made
    made.close()


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def writer_to(server: Server, authorities: Path | None) -> PageClient:
    bundle = None if authorities is None else str(authorities)
    return PageClient(server.url, api_version="2026-01-01", ca_bundle=bundle, timeout=TIMEOUT, connections=4)


@pytest.fixture
def writer(server: Server, certificate: tuple[Path, Path], direct: None) -> Iterator[PageClient]:
    made = writer_to(server, certificate[0])
    yield made
    made.close()


def put(writer: PageClient, server: Server, data: bytes, offset: int = 0) -> None:
    writer.put(server.url, offset, memoryview(data), "lease-1")


@pytest.mark.parametrize("length", [512, 16 * 1024, 16 * 1024 + 512, MIB, 4 * MIB])
def test_a_page_arrives_whole_with_its_checksum(writer: PageClient, server: Server, length: int) -> None:
    data = os.urandom(length)
    for offset in (0, 4 * MIB):
        put(writer, server, data, offset)
    assert server.connections == 1
    checksum = base64.b64encode(crc64nvme(data).to_bytes(8, "little")).decode()
    for (headers, body), offset in zip(server.received, (0, 4 * MIB), strict=True):
        assert body == data
        assert headers["request"] == f"PUT /vhds/disk.vhd?{SAS}&comp=page HTTP/1.1"
        assert headers["x-ms-range"] == f"bytes={offset}-{offset + length - 1}"
        assert headers["x-ms-content-crc64"] == checksum
        assert headers["x-ms-lease-id"] == "lease-1"


def test_a_server_that_reads_slowly_gets_all_of_it(writer: PageClient, server: Server) -> None:
    def slowly(connection: ssl.SSLSocket) -> None:
        # More than the buffers of both sockets hold must wait in the client.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        server.take(connection, piece=3000)
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    server.conversations.append(slowly)
    data = os.urandom(4 * MIB)
    put(writer, server, data)
    assert server.received[0][1] == data


def _hang_up(connection: ssl.SSLSocket) -> None:
    connection.recv(1000)
    connection.unwrap()


def _reset(connection: ssl.SSLSocket) -> None:
    connection.recv(1000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    socket.close(connection.detach())


def _garbage(connection: ssl.SSLSocket) -> None:
    connection.recv(1000)
    os.write(connection.fileno(), b"this is no TLS record" * 10)
    connection.recv(8 * MIB)


def _silence(connection: ssl.SSLSocket) -> None:
    threading.Event().wait(TIMEOUT + 1)


@pytest.mark.parametrize("breaks", [_hang_up, _reset, _garbage, _silence])
def test_a_connection_that_breaks_is_worth_another_try(
    writer: PageClient, server: Server, breaks: Conversation
) -> None:
    server.conversations.append(breaks)
    data = os.urandom(4 * MIB)
    with pytest.raises(AzureError) as problem:
        put(writer, server, data)
    assert not isinstance(problem.value, PageError)
    assert SAS not in str(problem.value)
    put(writer, server, data)
    assert server.received[-1][1] == data


def test_a_broken_answer_is_worth_another_try(writer: PageClient, server: Server) -> None:
    def answer(connection: ssl.SSLSocket) -> None:
        server.take(connection)
        connection.sendall(b"HTTP/1.1 2")
        connection.unwrap()

    server.conversations.append(answer)
    data = os.urandom(MIB)
    with pytest.raises(AzureError):
        put(writer, server, data)
    put(writer, server, data)
    assert server.received[-1][1] == data


def test_sending_on_a_connection_that_is_over_is_an_error_of_the_system(
    server: Server, certificate: tuple[Path, Path]
) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port)) as plain:
        connection = BulkContext(certificate[0]).wrap_socket(plain, server_hostname="127.0.0.1")
        connection.shutdown(socket.SHUT_WR)
        with pytest.raises(OSError, match="write error"):
            connection.sendall(b"more")


@pytest.mark.parametrize(
    ("days", "names", "trusted", "words"),
    [
        (1, (LOOPBACK,), False, "certificate verify failed"),
        (-1, (LOOPBACK,), True, "certificate verify failed"),
        (1, (x509.DNSName("elsewhere.example"),), True, "doesn't match"),
        (1, (x509.IPAddress(ipaddress.ip_address("127.0.0.2")),), True, "doesn't match"),
    ],
    ids=["unknown authority", "expired", "another name", "another address"],
)
def test_nothing_is_sent_to_a_server_that_is_not_trusted(
    tmp_path: Path, direct: None, days: int, names: tuple[x509.GeneralName, ...], trusted: bool, words: str
) -> None:
    certificate = make_certificate(tmp_path, days=days, names=names)
    server = Server(certificate)
    try:
        writer = writer_to(server, certificate[0] if trusted else None)
        with pytest.raises(AzureError, match=words):
            put(writer, server, os.urandom(4096))
        assert server.received == []
    finally:
        server.close()


def test_authorities_may_be_a_folder(certificate: tuple[Path, Path], tmp_path: Path, direct: None) -> None:
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(certificate[0])]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy(certificate[0], tmp_path / f"{name}.0")
    server = Server(certificate)
    try:
        put(writer_to(server, tmp_path), server, bytes(512))
        assert len(server.received) == 1
    finally:
        server.close()
