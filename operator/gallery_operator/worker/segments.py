"""A body fetched over several connections at once, given out in order."""

import collections
import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from gallery_operator.worker.answers import CONTENT_RANGE, Changed
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import ConnectionLost, HttpClient, Response, same_origin
from gallery_operator.worker.layout import Range

log = logging.getLogger(__name__)

_CHUNK = 256 * 1024
_NO_MORE = frozenset({400, 401, 403, 404, 410})
_ZEROS = bytes(1024 * 1024)


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


@dataclass(frozen=True, slots=True)
class Written:
    """Which bytes of a file have been written; all others are zero.

    Attributes:
        etag: Strong ETag of the version that this is true of.
        total: Bytes of the whole file.
        ranges: In order, neither touching nor overlapping.
    """

    etag: str
    total: int
    ranges: tuple[Range, ...]


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
    over mirrors does not mix them; each must be of the version of the first answer. What is known to have never been
    written is not asked for.

    Args:
        client: Sends the requests.
        url: What was asked for at first; extra headers go to its origin only.
        first: The first answer, whose body begins at ``position``. It serves the first segment; closed here. None:
            nothing has been asked for yet.
        position: Where to begin.
        version: Which version of the file.
        bounds: How much at once.
        connections: How many connections now; fewer than the bounds say after some broke.
        written: The bytes to ask for, in order; the others are zero. None: all.
    """

    def __init__(
        self,
        client: HttpClient,
        url: str,
        first: Response | None,
        position: int,
        version: Version,
        bounds: Parallel,
        connections: int,
        written: Iterable[Range] | None = None,
    ) -> None:
        self._url = first.url if first is not None else url
        self._redirected = url != self._url
        self._client = client if same_origin(url, self._url) else client.anonymous()
        self._version = version
        self._bounds = bounds
        self._ready = threading.Condition()
        self._window: collections.deque[_Segment] = collections.deque()
        self._at = position
        everything = (Range(0, version.total),)
        self._plan = _segments(everything if written is None else written, position, bounds.segment_bytes)
        self._next = next(self._plan, None)
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, args=(first if n == 0 else None,), name=f"range {n}", daemon=True)
            for n in range(connections)
        ]
        # The first answer's thread must get the first segment.
        self._first = self._claim() if first is not None else None
        log.info("fetching over %d connections", connections, extra={"bytes_missing": version.total - position})
        for thread in self._threads:
            thread.start()

    def read(self, length: int) -> bytes:
        """Return the next bytes, at most ``length``; waits for them. Empty at the end of the file.

        Raises:
            ConnectionLost: A connection broke; what was given out so far is right.
            RangesRefused: The server does not keep to ranges, or has another version now.
            Changed: The server has another version now, and says so.
            WorkerError: As ``HttpClient.get``.
        """
        with self._ready:
            while True:
                head = self._window[0] if self._window else None
                if head is None and self._next is not None:
                    self._ready.wait()
                elif head is None or self._at < head.start:
                    hole = (head.start if head is not None else self._version.total) - self._at
                    data = _ZEROS[: min(length, hole)]
                    self._at += len(data)
                    return data
                elif head.chunks:
                    return self._take(head, length)
                elif head.received == head.end - head.start:
                    self._window.popleft()
                    self._ready.notify_all()
                elif head.problem is not None:
                    raise head.problem
                else:
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
        self._at += len(data)
        return data

    def _claim(self) -> _Segment | None:
        """Take the next segment; None when there is none left."""
        with self._ready:
            if self._next is None:
                return None
            segment = _Segment(*self._next)
            self._next = next(self._plan, None)
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
            except (ConnectionLost, RangesRefused, Changed, WorkerError, OSError) as problem:
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
        if response.status == 412:
            response.close()
            raise Changed("the server has another version")
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


def _segments(written: Iterable[Range], position: int, most: int) -> Iterator[Range]:
    """Cut what has been written from a position on into requests of at most so many bytes."""
    for each in written:
        for start in range(max(each.start, position), each.end, most):
            yield Range(start, min(start + most, each.end))
