"""How far the work is: a thread-safe counter and the HTTP server that shows it."""

import collections
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gallery_operator.contract import Progress

log = logging.getLogger(__name__)

Job = Literal["prepare", "upload"]
Phase = Literal["Starting", "Downloading", "Reading", "Decompressing", "Checking", "Hashing", "Uploading", "Done"]

_RATE_SECONDS = 10.0
_SAMPLE_SECONDS = 0.5


class Tracker:
    """Counts the bytes of the phase under way.

    All methods may be called from any thread.
    """

    def __init__(self, job: Job, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._now = Progress(job=job, phase="Starting")
        self._samples: collections.deque[tuple[float, int]] = collections.deque()

    def start(self, phase: Phase, total: int | None = None, done: int = 0) -> None:
        """Begin a phase.

        Args:
            phase: What is done from now on.
            total: Bytes of work in this phase, None when unknown.
            done: Bytes that an earlier attempt did already; they do not count for the rate.
        """
        with self._lock:
            if phase != self._now.phase:
                log.info("phase %s", phase, extra={"phase": phase, "bytes_total": total})
            self._now = self._now.model_copy(
                update={"phase": phase, "bytes_total": total, "bytes_done": done, "bytes_per_second": 0.0}
            )
            self._samples.clear()
            self._samples.append((self._clock(), done))

    def advance(self, done: int = 0, *, sent: int = 0, skipped: int = 0) -> None:
        """Add bytes to the phase's count."""
        with self._lock:
            now = self._now
            self._now = now.model_copy(
                update={
                    "bytes_done": now.bytes_done + done,
                    "bytes_sent": now.bytes_sent + sent,
                    "bytes_skipped": now.bytes_skipped + skipped,
                }
            )
            self._sample()

    def set_done(self, done: int, total: int | None = None) -> None:
        """State the phase's count outright, for work that is measured and not counted."""
        with self._lock:
            update: dict[str, int] = {"bytes_done": done}
            if total is not None:
                update["bytes_total"] = total
            self._now = self._now.model_copy(update=update)
            self._sample()

    def retried(self) -> None:
        """Count one request that had to be repeated."""
        with self._lock:
            self._now = self._now.model_copy(update={"attempts": self._now.attempts + 1})

    def snapshot(self) -> Progress:
        """Return where the work is now, with the rate of the last seconds."""
        with self._lock:
            now = self._clock()
            rate = 0.0
            if self._samples:
                then, done = self._samples[0]
                if now > then:
                    rate = max(0.0, (self._now.bytes_done - done) / (now - then))
            return self._now.model_copy(update={"bytes_per_second": round(rate, 1)})

    def _sample(self) -> None:
        now = self._clock()
        if not self._samples or now - self._samples[-1][0] >= _SAMPLE_SECONDS:
            self._samples.append((now, self._now.bytes_done))
        while len(self._samples) > 2 and now - self._samples[0][0] > _RATE_SECONDS:
            self._samples.popleft()


class _ProgressCollector(Collector):
    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def collect(self) -> Iterator[Metric]:
        now = self._tracker.snapshot()
        prefix = "gallery_operator_worker"
        phase = GaugeMetricFamily(f"{prefix}_phase", "What the worker is doing (1).", labels=["job", "phase"])
        phase.add_metric([now.job, now.phase], 1)
        yield phase
        gauges = (
            ("bytes_done", "Bytes of this phase's work that are done.", now.bytes_done),
            ("bytes_expected", "Bytes of this phase's work, 0 while unknown.", now.bytes_total or 0),
            ("bytes_per_second", "Rate over the last seconds.", now.bytes_per_second),
        )
        for name, text, value in gauges:
            gauge = GaugeMetricFamily(f"{prefix}_{name}", text, labels=["job"])
            gauge.add_metric([now.job], value)
            yield gauge
        counters = (
            ("sent_bytes", "Bytes sent to Azure by this attempt.", now.bytes_sent),
            ("skipped_bytes", "Zero bytes that were not sent.", now.bytes_skipped),
            ("retried_requests", "Requests that had to be repeated.", now.attempts),
        )
        for name, text, value in counters:
            counter = CounterMetricFamily(f"{prefix}_{name}", text, labels=["job"])
            counter.add_metric([now.job], value)
            yield counter


class ProgressServer:
    """Serves ``/progress``, ``/metrics`` and ``/healthz`` from a thread of its own."""

    def __init__(self, tracker: Tracker, port: int, host: str = "") -> None:
        """Bind.

        Args:
            tracker: What to show.
            port: TCP port; 0 takes any free one.
            host: Address to listen on; empty means all of them (IPv4, as IPv6 may be switched off).

        Raises:
            OSError: The port is taken.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_ProgressCollector(tracker))

        class Handler(BaseHTTPRequestHandler):
            server_version = "gallery-operator-worker"
            sys_version = ""
            timeout = 10

            def do_GET(self) -> None:
                if self.path == "/progress":
                    self._answer("application/json", tracker.snapshot().model_dump_json().encode())
                elif self.path == "/metrics":
                    self._answer("text/plain; version=0.0.4; charset=utf-8", generate_latest(registry))
                elif self.path == "/healthz":
                    self._answer("text/plain", b"ok\n")
                else:
                    self.send_error(HTTPStatus.NOT_FOUND)

            def _answer(self, kind: str, body: bytes) -> None:
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
                pass  # One line a scrape would drown the log.

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="progress", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
