"""A body fetched over several connections at once, given out in order."""

import collections
import logging
import threading
from dataclasses import dataclass, field
from typing import Protocol

from gallery_operator.worker.answers import CONTENT_RANGE
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import ConnectionLost, HttpClient, Response, same_origin

log = logging.getLogger(__name__)

_CHUNK = 256 * 1024
_NO_MORE = frozenset({400, 401, 403, 404, 410})


@dataclass(frozen=True, slots=True)
class Parallel:
    """Bounds of a parallel download; memory is at most ``segment_bytes`` x ``segments``.

    Attributes:
        connections: Connections at once; 1 switches it off.
        segment_bytes: Bytes asked for in one request.
        segments: Segments in memory at most: those on their way and those that wait for an earlier one.
        least_bytes: A body of which less is missing is fetched over one connection.
    """

    connections: int = 4
    segment_bytes: int = 8 * 1024 * 1024
    segments: int = 6
    least_bytes: int = 64 * 1024 * 1024


class Body(Protocol):
    """What a download reads from."""

    def read(self, length: int) -> bytes:
        """Return what has arrived, at most ``length`` bytes; empty at the end."""


class RangesRefused(Exception):  # noqa: N818 - says what happened
    """A range was answered with something else than the range; one connection must do."""


class AddressEnded(RangesRefused):
    """The address that a redirect had led to is not valid any more; where it was at first there is another one."""


@dataclass(frozen=True, slots=True)
class Version:
    """What every range must belong to.

    Attributes:
        validator: For If-Range: a strong ETag or a date.
        etag: The ETag, if there is one.
        total: Bytes of the whole file.
    """

    validator: str
    etag: str | None
    total: int


@dataclass(slots=True)
class _Segment:
    start: int
    end: int
    chunks: collections.deque[bytes] = field(default_factory=collections.deque)
    received: int = 0
    problem: BaseException | None = None


class ParallelBody:
    """Reads a file from ``position`` to its end through several range requests.

    The ranges come from the address that the first answer came from, so that a redirector that spreads its clients
    over mirrors does not mix them; each must be of the version of the first answer.

    Args:
        client: Sends the requests.
        url: What was asked for at first; extra headers go to its origin only.
        first: The first answer, whose body begins at ``position``. It serves the first segment; closed here.
        position: Where to begin.
        version: Which version of the file.
        bounds: How much at once.
        connections: How many connections now; fewer than the bounds say after some broke.
    """

    def __init__(
        self,
        client: HttpClient,
        url: str,
        first: Response,
        position: int,
        version: Version,
        bounds: Parallel,
        connections: int,
    ) -> None:
        same = same_origin(url, first.url)
        self._redirected = url != first.url
        self._client = client if same else client.anonymous()
        self._url = first.url
        self._version = version
        self._bounds = bounds
        self._ready = threading.Condition()
        self._window: collections.deque[_Segment] = collections.deque()
        self._next = position
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, args=(first if n == 0 else None,), name=f"range {n}", daemon=True)
            for n in range(connections)
        ]
        # The first answer's thread must get the first segment.
        self._first = self._claim()
        log.info("fetching over %d connections", connections, extra={"bytes_missing": version.total - position})
        for thread in self._threads:
            thread.start()

    def read(self, length: int) -> bytes:
        """Return the next bytes, at most ``length``; waits for them. Empty at the end of the file.

        Raises:
            ConnectionLost: A connection broke; what was given out so far is right.
            RangesRefused: The server does not keep to ranges, or has another version now.
            WorkerError: As ``HttpClient.get``.
        """
        with self._ready:
            while True:
                if not self._window:
                    return b""
                head = self._window[0]
                if head.chunks:
                    return self._take(head, length)
                if head.received == head.end - head.start:
                    self._window.popleft()
                    self._ready.notify_all()
                    if not self._window and self._next < self._version.total:
                        self._ready.wait_for(lambda: self._window)
                    continue
                if head.problem is not None:
                    raise head.problem
                self._ready.wait()

    def close(self) -> None:
        """Give up what is still on its way; a thread that waits for its server ends with it."""
        with self._ready:
            self._stopped = True
            self._window.clear()
            self._ready.notify_all()

    def _take(self, head: _Segment, length: int) -> bytes:
        data = head.chunks.popleft()
        if len(data) > length:
            head.chunks.appendleft(data[length:])
            data = data[:length]
        return data

    def _claim(self) -> _Segment | None:
        """Take the next segment; None when there is none left."""
        with self._ready:
            if self._next >= self._version.total:
                return None
            end = min(self._next + self._bounds.segment_bytes, self._version.total)
            segment = _Segment(self._next, end)
            self._next = end
            self._window.append(segment)
            self._ready.notify_all()
            return segment

    def _work(self, first: Response | None) -> None:
        segment = self._first if first is not None else self._wait_for_room()
        while segment is not None:
            try:
                response = first if first is not None else self._ask(segment)
                first = None
                with response:
                    self._fill(segment, response)
            except (ConnectionLost, RangesRefused, WorkerError, OSError) as problem:
                with self._ready:
                    segment.problem = problem
                    self._ready.notify_all()
                return
            segment = self._wait_for_room()

    def _wait_for_room(self) -> _Segment | None:
        with self._ready:
            self._ready.wait_for(lambda: self._stopped or len(self._window) < self._bounds.segments)
            return None if self._stopped else self._claim()

    def _ask(self, segment: _Segment) -> Response:
        wanted = {"Range": f"bytes={segment.start}-{segment.end - 1}", "If-Range": self._version.validator}
        response = self._client.get(self._url, wanted)
        match = CONTENT_RANGE.fullmatch(response.header("Content-Range") or "")
        found = match.groups() if match is not None else None
        asked = (str(segment.start), str(segment.end - 1), str(self._version.total))
        etag = response.header("ETag")
        if (
            response.status != 206
            or found != asked
            or (None not in (etag, self._version.etag) and etag != self._version.etag)
        ):
            status = response.status
            response.close()
            if self._redirected and status in _NO_MORE:
                raise AddressEnded(f"the address that the file was redirected to has ended (status {status})")
            raise RangesRefused(f"a range of the file was answered with status {status} and not with the range")
        return response

    def _fill(self, segment: _Segment, response: Response) -> None:
        wanted = segment.end - segment.start
        while segment.received < wanted:
            data = response.read(min(_CHUNK, wanted - segment.received))
            with self._ready:
                if self._stopped:
                    return
                if not data:
                    raise ConnectionLost(f"a range ended after {segment.received} of {wanted} bytes")
                segment.chunks.append(data)
                segment.received += len(data)
                self._ready.notify_all()
