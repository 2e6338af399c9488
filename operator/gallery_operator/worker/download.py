"""Fetches a URL into a file, going on where a broken connection or an ended pod left off."""

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from gallery_operator.contract import FailureCode
from gallery_operator.worker.answers import CONTENT_RANGE, OF_A_URL, UNSATISFIED_RANGE, Advice, Again, Changed, refuse
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.checksum import Checksum
from gallery_operator.worker.errors import Stopped, WorkerError
from gallery_operator.worker.http import ConnectionLost, HttpClient, Response
from gallery_operator.worker.manifest import write_atomically
from gallery_operator.worker.segments import (
    AddressEnded,
    Body,
    Parallel,
    ParallelBody,
    RangesRefused,
    Version,
    Written,
)
from gallery_operator.worker.sparse import SparseWriter
from gallery_operator.worker.tracking import Tracker

log = logging.getLogger(__name__)

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DownloadPolicy:
    """Patience and bounds of a download.

    Attributes:
        backoff: Between tries; progress starts it anew.
        most_tries: Failures in all before giving up, so that a drip of bytes does not go on for ever.
        checkpoint_bytes: How often what has come is made durable; at most this much is fetched twice.
        slow_seconds: Over so long a time ...
        slow_bytes: ... at least this many bytes must come, else the connection counts as broken.
        changes: How often the source may change before the attempt is given up.
        parallel: Over how many connections, and how much memory for that.
    """

    backoff: Backoff = field(default_factory=Backoff)
    most_tries: int = 100
    checkpoint_bytes: int = 64 * 1024 * 1024
    slow_seconds: float = 120.0
    slow_bytes: int = 64 * 1024
    changes: int = 1
    parallel: Parallel = field(default_factory=Parallel)


class _State(BaseModel):
    """What is known about the file on disk; written next to it at every checkpoint."""

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    url_sha256: str
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None
    synced: int = 0
    complete: bool = False

    def validator(self) -> str | None:
        """The value for If-Range: a strong ETag, else the date."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified


def version_of(path: Path) -> str | None:
    """Return the strong ETag of the version that a finished download has brought; None when there was none.

    Args:
        path: The file.
    """
    try:
        state = _State.model_validate_json(_state_path(path).read_bytes())
    except (OSError, ValidationError):
        return None
    return state.etag if state.complete and state.etag == state.validator() else None


def _state_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


class Download:
    """One URL on its way into one file.

    Args:
        client: Sends the requests.
        url: What to fetch.
        path: The file; its state is kept in ``<path>.json``.
        fingerprint: Of the configuration; a file of another one is thrown away.
        checksum: What the bytes must meet.
        limit: Most bytes to accept.
        tracker: Shows how far it is.
        look: Called once with the first bytes (up to 1 MiB), to refuse early.
        policy: Patience.
        advice: What a person may do when the server does not give it.
        written: Tells which bytes of the file have ever been written, if the server knows.
        sleep: Waits; for tests.
    """

    def __init__(
        self,
        *,
        client: HttpClient,
        url: str,
        path: Path,
        fingerprint: str,
        checksum: Checksum,
        limit: int,
        tracker: Tracker,
        look: Callable[[bytes, int | None], None] | None = None,
        policy: DownloadPolicy = DownloadPolicy(),
        advice: Advice = OF_A_URL,
        written: Callable[[], Written | None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._url = url
        self._path = path
        self._state_path = _state_path(path)
        self._checksum = checksum
        self._limit = limit
        self._tracker = tracker
        self._look = look
        self._looked = False
        self._policy = policy
        self._advice = advice
        self._written = written
        self._sleep = sleep
        # Not the URL itself: the file may lie on the volume for long, and a query may be meant for few.
        url_sha256 = hashlib.sha256(url.encode()).hexdigest()
        self._state = _State(fingerprint=fingerprint, url_sha256=url_sha256)
        self._connections = policy.parallel.connections
        self._writer: SparseWriter | None = None
        self._resumed = False

    def run(self) -> int:
        """Fetch what is missing and verify the whole.

        Returns:
            Bytes of the file.

        Raises:
            WorkerError: By the table of failures in the module's helpers; ``ChecksumMismatch`` when all bytes
                came and are not the right ones (what was fetched is thrown away then).
        """
        self._restore()
        try:
            total = self._fetch()
            problem = self._checksum.mismatch()
            if problem is not None and self._resumed:
                # Perhaps only what an earlier attempt left is bad; fetch it in one piece before judging.
                log.warning("the resumed download does not match its checksum, it is fetched anew")
                self._restart()
                total = self._fetch()
                problem = self._checksum.mismatch()
        except Stopped:
            if self._writer is not None:
                self._checkpoint(self._writer)
            raise
        finally:
            self._close()
        if problem is not None:
            self.discard()
            message = f"The file is not the one asked for: {problem}. {self._advice.mismatch}"
            raise WorkerError(FailureCode.CHECKSUM_MISMATCH, message)
        self._save(complete=True)
        return total

    def discard(self) -> None:
        """Throw away the file and its state."""
        self._path.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)

    def _restore(self) -> None:
        try:
            state = _State.model_validate_json(self._state_path.read_bytes())
            size = self._path.stat().st_size
        except (OSError, ValidationError):
            return
        if state.fingerprint != self._state.fingerprint:
            self.discard()
            return
        position = min(size, state.synced)
        if position <= 0:
            return
        if state.url_sha256 != self._state.url_sha256:
            # Another server's: the checksum alone can tell whether both halves belong together.
            if not self._checksum.expected:
                self.discard()
                return
            known = {"url_sha256": self._state.url_sha256, "etag": None, "last_modified": None, "complete": False}
            state = state.model_copy(update=known)
        self._state = state
        self._resumed = True
        self._tracker.start("Reading", position)
        self._checksum.update_from_file(self._path, position)
        log.info("going on with an earlier download", extra={"bytes_present": position})
        self._writer = self._open_writer(position)

    def _open_writer(self, position: int) -> SparseWriter:
        message = f"The source has more than {self._limit} bytes, which is the most that is accepted."
        return SparseWriter(self._path, position, limit=self._limit, too_large=message)

    def _fetch(self) -> int:
        if self._writer is None:
            self._writer = self._open_writer(0)
        self._tracker.start("Downloading", self._state.total, self._writer.position)
        failures = tries = changes = 0
        while True:
            before = self._writer.position
            try:
                if self._state.complete and before == self._state.total:
                    return before
                self._attempt(self._writer)
            except Changed as change:
                changes += 1
                if changes > self._policy.changes:
                    self._restart()
                    message = (
                        f"The source changed while it was fetched ({change}); it is fetched anew in the next attempt."
                    )
                    raise WorkerError(FailureCode.SOURCE_CHANGED, message) from None
                log.warning("the source changed, it is fetched from the start: %s", change)
                self._restart()
            except (Again, ConnectionLost) as problem:
                tries += 1
                failures = 1 if self._writer.position > before else failures + 1
                self._tracker.retried()
                self._checkpoint(self._writer)
                self._wait(problem, failures, tries)
            else:
                self._checkpoint(self._writer)
                return self._writer.position

    def _wait(self, problem: Again | ConnectionLost, failures: int, tries: int) -> None:
        retry_after = problem.retry_after if isinstance(problem, Again) else None
        code = problem.code if isinstance(problem, Again) else FailureCode.SOURCE_UNREACHABLE
        backoff = self._policy.backoff
        if failures >= backoff.tries or tries >= self._policy.most_tries or (retry_after or 0) > backoff.patience:
            raise WorkerError(code, f"The source could not be fetched after {tries} tries: {problem}.")
        delay = backoff.delay(failures, retry_after)
        log.warning("fetching is tried again in %.1f s: %s", delay, problem)
        self._sleep(delay)

    def _attempt(self, writer: SparseWriter) -> None:
        written = self._written() if self._written is not None else None
        if written is not None:
            self._receive_written(written, writer)
            return
        position = writer.position
        headers: dict[str, str] = {}
        if position:
            validator = self._state.validator()
            if validator is None and not self._checksum.expected:
                # Nothing would tell whether the rest belongs to what is here.
                log.warning("the server names no version (ETag, Last-Modified), the download begins again")
                writer, position = self._start_over(), 0
            else:
                headers["Range"] = f"bytes={position}-"
                if validator is not None:
                    headers["If-Range"] = validator
        with self._client.get(self._url, headers) as response:
            if response.status == 416 and position and self._at_end(response, position):
                return
            if response.status == 206 and position:
                self._accept_part(response, position)
            elif response.status == 200:
                self._accept_whole(response, writer)
            elif response.status == 412:
                raise Changed("the server has another version")
            else:
                refuse(response, self._advice)
            self._receive(response)

    def _receive(self, response: Response) -> None:
        """Write the body, over several connections where the server has ranges and there is much to come."""
        writer = self._writer
        if writer is None:
            raise ValueError("no file to write to")
        parallel = self._parallel_body(response, writer.position)
        if parallel is None:
            self._copy(response, writer)
        else:
            self._copy_parallel(parallel, writer)

    def _receive_written(self, written: Written, writer: SparseWriter) -> None:
        """Write the file without asking for what is zero."""
        if writer.position and self._state.etag != written.etag:
            raise Changed("its ETag is another one")
        known = {"etag": written.etag, "last_modified": None, "total": written.total}
        if not writer.position:
            known |= {"synced": 0, "complete": False}
        self._state = self._state.model_copy(update=known)
        version = Version(written.etag, written.etag, written.total)
        body = ParallelBody(
            self._client, self._url, None, writer.position, version, self._policy.parallel, self._connections,
            written.ranges,
        )  # fmt: skip
        self._copy_parallel(body, writer)

    def _copy_parallel(self, parallel: ParallelBody, writer: SparseWriter) -> None:
        try:
            self._copy(parallel, writer)
        except AddressEnded as problem:
            # Redirects to other hosts (registries', object storage's) are signed for minutes.
            raise Again(FailureCode.SOURCE_UNREACHABLE, str(problem)) from problem
        except RangesRefused as problem:
            self._connections = 1
            raise Again(FailureCode.SOURCE_UNREACHABLE, str(problem)) from problem
        except ConnectionLost:
            # A server or a proxy may not like so many connections.
            self._connections = max(1, self._connections // 2)
            raise
        finally:
            parallel.close()

    def _parallel_body(self, response: Response, position: int) -> ParallelBody | None:
        total, validator, bounds = self._state.total, self._state.validator(), self._policy.parallel
        ranges = response.status == 206 or (response.header("Accept-Ranges") or "").strip().lower() == "bytes"
        if not ranges or validator is None or total is None or self._connections < 2:
            return None
        if not bounds.least_bytes <= total - position <= self._limit:
            return None
        version = Version(validator, self._state.etag, total)
        return ParallelBody(self._client, self._url, response, position, version, bounds, self._connections)

    def _at_end(self, response: Response, position: int) -> bool:
        match = UNSATISFIED_RANGE.fullmatch(response.header("Content-Range") or "")
        if match is not None and int(match[1]) == position == (self._state.total or position):
            self._state = self._state.model_copy(update={"total": position})
            return True
        raise Changed("it is shorter than what was fetched already")

    def _accept_part(self, response: Response, position: int) -> None:
        match = CONTENT_RANGE.fullmatch(response.header("Content-Range") or "")
        if match is None or int(match[1]) != position:
            # A server that answers with other bytes than asked for must not corrupt the file.
            raise Changed("the server answered with another range than asked for")
        total = None if match[3] == "*" else int(match[3])
        if None not in (total, self._state.total) and total != self._state.total:
            raise Changed(f"it had {self._state.total} bytes and now has {total}")
        etag = response.header("ETag")
        if None not in (etag, self._state.etag) and etag != self._state.etag:
            raise Changed("its ETag is another one")
        self._state = self._state.model_copy(update={"total": total if total is not None else self._state.total})

    def _accept_whole(self, response: Response, writer: SparseWriter) -> None:
        length = response.header("Content-Length")
        total = int(length) if length is not None and length.isdigit() else None
        etag, modified = response.header("ETag"), response.header("Last-Modified")
        if writer.position:
            same = (etag, modified) == (self._state.etag, self._state.last_modified) and (etag or modified)
            # What another mirror began has no version to compare, and a checksum.
            begun_elsewhere = self._state.validator() is None and self._checksum.expected
            if not same and not begun_elsewhere:
                raise Changed("the server sends another version")
            log.warning("the server does not serve ranges, the download begins again")
            writer = self._start_over()
        self._state = self._state.model_copy(
            update={"etag": etag, "last_modified": modified, "total": total, "synced": 0, "complete": False}
        )

    def _copy(self, body: Body, writer: SparseWriter) -> None:
        total = self._state.total
        if total is not None and total > self._limit:
            message = f"The source has {total} bytes; at most {self._limit} are accepted (spec's maximum disk size)."
            raise WorkerError(FailureCode.TOO_LARGE, message)
        self._tracker.set_done(writer.position, total)
        self._save()
        pending = bytearray()
        window_start, window_bytes, synced = time.monotonic(), 0, writer.position
        while True:
            try:
                data = body.read(_CHUNK)
            except (ConnectionLost, RangesRefused):
                self._take(bytes(pending), writer, total)
                raise
            if data:
                pending += data
                window_bytes += len(data)
            ended = not data or (total is not None and writer.position + len(pending) >= total)
            if len(pending) >= _CHUNK or (ended and pending):
                self._take(bytes(pending), writer, total)
                pending.clear()
            if ended:
                break
            if writer.position - synced >= self._policy.checkpoint_bytes:
                self._checkpoint(writer)
                synced = writer.position
            now = time.monotonic()
            if now - window_start >= self._policy.slow_seconds:
                if window_bytes < self._policy.slow_bytes:
                    self._take(bytes(pending), writer, total)
                    raise Again(FailureCode.SOURCE_UNREACHABLE, "the server sends too slowly")
                window_start, window_bytes = now, 0
        if total is not None and writer.position < total:
            raise Again(FailureCode.SOURCE_TRUNCATED, f"the body ended after {writer.position} of {total} bytes")
        self._state = self._state.model_copy(update={"total": writer.position})

    def _take(self, data: bytes, writer: SparseWriter, total: int | None) -> None:
        if not data:
            return
        if total is not None and writer.position + len(data) > total:
            raise Changed("the server sends more than it announced")
        if not self._looked and writer.position == 0 and self._look is not None:
            self._look(data, total)
        self._looked = True
        writer.write(data)
        self._checksum.update(data)
        self._tracker.advance(len(data))

    def _checkpoint(self, writer: SparseWriter) -> None:
        writer.sync()
        self._state = self._state.model_copy(update={"synced": writer.position})
        self._save()

    def _save(self, *, complete: bool = False) -> None:
        if complete:
            self._state = self._state.model_copy(update={"complete": True})
        write_atomically(self._state_path, self._state.model_dump_json().encode())

    def _start_over(self) -> SparseWriter:
        self._close()
        self._checksum.restart()
        self._writer = self._open_writer(0)
        self._resumed = False
        self._looked = False
        self._tracker.set_done(0)
        return self._writer

    def _restart(self) -> None:
        self._start_over()
        self._state = _State(fingerprint=self._state.fingerprint, url_sha256=self._state.url_sha256)
        self._save()

    def _close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
            self._writer = None
