"""How far it is, for people: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Never, TextIO

from tqdm import tqdm

from gallery_operator.contract import Progress
from gallery_operator.redact import redact
from gallery_operator.worker.tracking import Tracker

Mode = Literal["bar", "lines", "none"]

_LOOK_SECONDS = 0.2
_LINE_SECONDS = 30.0


def mode_for(stream: TextIO, *, quiet: bool) -> Mode:
    """Return what fits a stream: a bar where there is a terminal that has a width."""
    if quiet:
        return "none"
    try:
        return "bar" if stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0 else "lines"
    except OSError:
        return "lines"


class Display:
    """Shows what trackers count.

    Args:
        stream: Where to.
        mode: How.
        line_seconds: Time between two lines of one phase.
    """

    def __init__(self, stream: TextIO, mode: Mode, *, line_seconds: float = _LINE_SECONDS) -> None:
        self._stream = stream
        self._mode = mode
        self._line_seconds = line_seconds
        self._bar: tqdm[Never] | None = None
        self._phase = ""
        self._last = Progress(job="prepare", phase="Starting")
        self._next_line = 0.0
        self._last_line = ""
        tqdm.monitor_interval = 0  # a thread that it would start for slow loops

    @contextmanager
    def follow(self, tracker: Tracker) -> Iterator[None]:
        """Show a tracker's count until the block ends."""
        if self._mode == "none":
            yield
            return
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(_LOOK_SECONDS):
                self._show(tracker.snapshot())

        thread = threading.Thread(target=look, name="display", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._show(tracker.snapshot())
            self._end_phase()

    def write(self, text: str) -> None:
        """Write a line without harm to the bar."""
        with tqdm.external_write_mode(file=self._stream):
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def _show(self, now: Progress) -> None:
        if now.phase in ("Starting", "Done"):
            return
        if now.phase != self._phase:
            if self._last.bytes_total is not None:
                # It came to its end between two looks.
                self._last = self._last.model_copy(update={"bytes_done": self._last.bytes_total})
            self._end_phase()
            self._begin_phase(now)
        if self._bar is not None:
            self._bar.total = now.bytes_total
            self._bar.update(now.bytes_done - self._bar.n)
            self._bar.refresh()
        elif time.monotonic() >= self._next_line:
            self._line(now)
        self._last = now

    def _begin_phase(self, now: Progress) -> None:
        self._phase = now.phase
        if self._mode == "bar":
            self._bar = tqdm(
                total=now.bytes_total, initial=now.bytes_done, desc=f"{now.phase:<11}", unit="B", unit_scale=True,
                unit_divisor=1024, file=self._stream, dynamic_ncols=True, mininterval=0.0, miniters=0,
            )  # fmt: skip

    def _end_phase(self) -> None:
        if self._bar is not None:
            self._bar.update(self._last.bytes_done - self._bar.n)
            self._bar.close()
        elif self._phase and self._mode == "lines":
            self._line(self._last)
        self._bar, self._phase, self._next_line = None, "", 0.0

    def _line(self, now: Progress) -> None:
        self._next_line = time.monotonic() + self._line_seconds
        line = describe(now)
        if line != self._last_line:
            self.write(line)
        self._last_line = line


def describe(now: Progress) -> str:
    """Return one line about a phase: percent, bytes, rate, time left."""
    words = [f"{_size(now.bytes_done)}" + (f" of {_size(now.bytes_total)}" if now.bytes_total else "")]
    if now.bytes_total:
        words.insert(0, f"{now.bytes_done * 100 // now.bytes_total}%")
    if now.bytes_sent:
        words.append(f"{_size(now.bytes_sent)} sent")
    if now.bytes_per_second:
        words.append(f"{_size(now.bytes_per_second)}/s")
        if now.bytes_total and now.bytes_total > now.bytes_done:
            left = (now.bytes_total - now.bytes_done) / now.bytes_per_second
            words.append(f"{tqdm.format_interval(left)} left")
    return f"{now.phase}: {', '.join(words)}"


def _size(count: float) -> str:
    return f"{tqdm.format_sizeof(count, divisor=1024)}B"


class LogHandler(logging.Handler):
    """Sends the log's warnings past the bar."""

    def __init__(self, display: Display) -> None:
        super().__init__(logging.WARNING)
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self._display.write(f"{record.levelname.lower()}: {redact(record.getMessage())}")
