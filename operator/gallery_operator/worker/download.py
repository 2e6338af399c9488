"""Fetches a URL into a file, going on where a broken connection or an ended pod left off."""

import contextlib
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError

from gallery_operator.contract import FailureCode
from gallery_operator.worker.backoff import Backoff, parse_retry_after
from gallery_operator.worker.checksum import Checksum
from gallery_operator.worker.errors import Stopped, WorkerError
from gallery_operator.worker.http import ConnectionLost, HttpClient, Response
from gallery_operator.worker.manifest import write_atomically
from gallery_operator.worker.sparse import SparseWriter
from gallery_operator.worker.tracking import Tracker

log = logging.getLogger(__name__)

_CHUNK = 1024 * 1024
_RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_UNSATISFIED_RANGE = re.compile(r"bytes \*/(\d+)")


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
    """

    backoff: Backoff = field(default_factory=Backoff)
    most_tries: int = 100
    checkpoint_bytes: int = 64 * 1024 * 1024
    slow_seconds: float = 120.0
    slow_bytes: int = 64 * 1024
    changes: int = 1


class _State(BaseModel):
    """What is known about the file on disk; written next to it at every checkpoint."""

    model_config = ConfigDict(frozen=True)

    fingerprint: str
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


class _Again(Exception):  # noqa: N818 - says what to do
    """Try again."""

    def __init__(self, code: FailureCode, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class _Changed(Exception):  # noqa: N818 - says what happened
    """The source is not what it was when the download began."""


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
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._url = url
        self._path = path
        self._state_path = path.with_name(path.name + ".json")
        self._checksum = checksum
        self._limit = limit
        self._tracker = tracker
        self._look = look
        self._looked = False
        self._policy = policy
        self._sleep = sleep
        self._state = _State(fingerprint=fingerprint)
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
            message = f"The file is not the one asked for: {problem}. Correct source.url.checksum or the file."
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
            except _Changed as change:
                changes += 1
                if changes > self._policy.changes:
                    self._restart()
                    message = (
                        f"The source changed while it was fetched ({change}); it is fetched anew in the next attempt."
                    )
                    raise WorkerError(FailureCode.SOURCE_CHANGED, message) from None
                log.warning("the source changed, it is fetched from the start: %s", change)
                self._restart()
            except (_Again, ConnectionLost) as problem:
                tries += 1
                failures = 1 if self._writer.position > before else failures + 1
                self._tracker.retried()
                self._checkpoint(self._writer)
                self._wait(problem, failures, tries)
            else:
                self._checkpoint(self._writer)
                return self._writer.position

    def _wait(self, problem: _Again | ConnectionLost, failures: int, tries: int) -> None:
        retry_after = problem.retry_after if isinstance(problem, _Again) else None
        code = problem.code if isinstance(problem, _Again) else FailureCode.SOURCE_UNREACHABLE
        backoff = self._policy.backoff
        if failures >= backoff.tries or tries >= self._policy.most_tries or (retry_after or 0) > backoff.patience:
            raise WorkerError(code, f"The source could not be fetched after {tries} tries: {problem}.")
        delay = backoff.delay(failures, retry_after)
        log.warning("fetching is tried again in %.1f s: %s", delay, problem)
        self._sleep(delay)

    def _attempt(self, writer: SparseWriter) -> None:
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
            else:
                _refuse(response)
            self._copy(response, writer)

    def _at_end(self, response: Response, position: int) -> bool:
        match = _UNSATISFIED_RANGE.fullmatch(response.header("Content-Range") or "")
        if match is not None and int(match[1]) == position == (self._state.total or position):
            self._state = self._state.model_copy(update={"total": position})
            return True
        raise _Changed("it is shorter than what was fetched already")

    def _accept_part(self, response: Response, position: int) -> None:
        match = _CONTENT_RANGE.fullmatch(response.header("Content-Range") or "")
        if match is None or int(match[1]) != position:
            # A server that answers with other bytes than asked for must not corrupt the file.
            raise _Changed("the server answered with another range than asked for")
        total = None if match[3] == "*" else int(match[3])
        if None not in (total, self._state.total) and total != self._state.total:
            raise _Changed(f"it had {self._state.total} bytes and now has {total}")
        etag = response.header("ETag")
        if None not in (etag, self._state.etag) and etag != self._state.etag:
            raise _Changed("its ETag is another one")
        self._state = self._state.model_copy(update={"total": total if total is not None else self._state.total})

    def _accept_whole(self, response: Response, writer: SparseWriter) -> None:
        length = response.header("Content-Length")
        total = int(length) if length is not None and length.isdigit() else None
        etag, modified = response.header("ETag"), response.header("Last-Modified")
        if writer.position:
            same = (etag, modified) == (self._state.etag, self._state.last_modified) and (etag or modified)
            if not same:
                raise _Changed("the server sends another version")
            log.warning("the server does not serve ranges, the download begins again")
            writer = self._start_over()
        self._state = self._state.model_copy(
            update={"etag": etag, "last_modified": modified, "total": total, "synced": 0, "complete": False}
        )

    def _copy(self, response: Response, writer: SparseWriter) -> None:
        writer = self._writer or writer
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
                data = response.read(_CHUNK)
            except ConnectionLost:
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
                    raise _Again(FailureCode.SOURCE_UNREACHABLE, "the server sends too slowly")
                window_start, window_bytes = now, 0
        if total is not None and writer.position < total:
            raise _Again(FailureCode.SOURCE_TRUNCATED, f"the body ended after {writer.position} of {total} bytes")
        self._state = self._state.model_copy(update={"total": writer.position})

    def _take(self, data: bytes, writer: SparseWriter, total: int | None) -> None:
        if not data:
            return
        if total is not None and writer.position + len(data) > total:
            raise _Changed("the server sends more than it announced")
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
        self._state = _State(fingerprint=self._state.fingerprint)
        self._save()

    def _close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
            self._writer = None


def _refuse(response: Response) -> NoReturn:
    status = response.status
    if status in (404, 410):
        raise WorkerError(
            FailureCode.SOURCE_NOT_FOUND,
            f"The server says {status}: there is nothing at the URL. Correct spec.source.url.url.",
        )
    if status in (401, 403, 407):
        message = (
            f"The server says {status}: it wants credentials or refuses them. Check the Secret of headersSecretRef."
        )
        raise WorkerError(FailureCode.SOURCE_FORBIDDEN, message)
    if status in _RETRY_STATUS:
        retry_after = parse_retry_after(response.header("Retry-After"))
        raise _Again(FailureCode.SOURCE_UNREACHABLE, f"the server says {status}", retry_after)
    message = f"The server answers {status}, which is no answer to a download. Check spec.source.url.url."
    raise WorkerError(FailureCode.SOURCE_UNREACHABLE, message, retry=False)
