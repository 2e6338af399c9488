"""An HTTP proxy as companies have: it resolves names that nobody else knows, and may refuse."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Asked:
    method: str
    target: str
    headers: dict[str, str]


class ForwardProxy:
    """Forwards to where ``routes`` (``host:port`` to an address on this machine) say; answers 502 for others.

    Attributes:
        asked: The requests, in order.
        refuse: Answer every request with this status.
    """

    def __init__(self, routes: dict[str, tuple[str, int]]) -> None:
        self.routes = routes
        self.asked: list[Asked] = []
        self.refuse: int | None = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_CONNECT(self) -> None:
                there = self._route(self.path)
                if there is None:
                    return
                with there:
                    self.send_response(200, "Connection established")
                    self.end_headers()
                    forth = threading.Thread(target=_pump, args=(self.connection, there), daemon=True)
                    forth.start()
                    _pump(there, self.connection)
                    forth.join()
                self.close_connection = True

            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = urlsplit(self.path)
                there = self._route(f"{parts.hostname}:{parts.port or 80}")
                if there is None:
                    return
                onward = http.client.HTTPConnection(parts.hostname or "", parts.port)
                onward.sock = there
                own = {k: v for k, v in self.headers.items() if not k.lower().startswith("proxy-")}
                onward.request(self.command, parts._replace(scheme="", netloc="").geturl(), body=body, headers=own)
                answer = onward.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                self.wfile.write(content)
                onward.close()

            do_GET = do_HEAD = do_PUT = _forward  # noqa: N815 - the names are http.server's

            def _route(self, name: str) -> socket.socket | None:
                outer.asked.append(Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
                if outer.refuse is not None:
                    self._say(outer.refuse)
                    return None
                if name not in outer.routes:
                    self._say(502)
                    return None
                return socket.create_connection(outer.routes[name], timeout=10)

            def _say(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
