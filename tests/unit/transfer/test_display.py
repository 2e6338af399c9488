"""Progress and words of ``gallery-operator upload``."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import pytest

import gallery_operator
from gallery_operator.contract import FailureCode, Progress
from gallery_operator.transfer.ends import UploadExit, of_worker
from gallery_operator.transfer.progress import Display, LogHandler, Mode, describe
from gallery_operator.transfer.words import REPLACED, said_here
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.tracking import Tracker

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("now", "says"),
    [
        ({"phase": "Downloading", "bytes_done": 3 * MIB}, "Downloading: 3.00MB"),
        (
            {"phase": "Uploading", "bytes_done": 50 * MIB, "bytes_total": 100 * MIB, "bytes_sent": 10 * MIB,
             "bytes_per_second": 5.0 * MIB},
            "Uploading: 50%, 50.0MB of 100MB, 10.0MB sent, 5.00MB/s, 00:10 left",
        ),
        ({"phase": "Hashing", "bytes_done": MIB, "bytes_total": MIB}, "Hashing: 100%, 1.00MB of 1.00MB"),
    ],
)  # fmt: skip
def test_a_line(now: dict[str, object], says: str) -> None:
    assert describe(Progress.model_validate({"job": "upload", **now})) == says


@pytest.mark.parametrize("mode", ["bar", "lines", "none"])
def test_phases(mode: Mode) -> None:
    stream = io.StringIO()
    display = Display(stream, mode, line_seconds=0.0)
    tracker = Tracker("prepare")

    def look() -> None:
        if mode != "none":  # else nobody looks
            display._show(tracker.snapshot())

    with display.follow(tracker):
        tracker.start("Downloading", 100 * MIB)
        tracker.set_done(100 * MIB)
        look()
        tracker.start("Uploading", 200 * MIB)
        tracker.advance(100 * MIB, sent=MIB)
        look()
    text = stream.getvalue()
    if mode == "none":
        assert text == ""
        return
    assert text.index("Downloading") < text.index("Uploading")
    assert "100%" in text
    assert " 50%" in text
    assert ("\r" in text) == (mode == "bar")


def test_warnings_pass_the_bar_without_secrets() -> None:
    stream = io.StringIO()
    handler = LogHandler(Display(stream, "lines"))
    handler.emit(logging.makeLogRecord({"levelname": "WARNING", "msg": "https://a/b?sig=s3cret is refused"}))
    assert stream.getvalue() == "warning: https://a/b?*** is refused\n"


def test_the_words_that_are_replaced_are_still_said() -> None:
    root = Path(gallery_operator.__file__).parent
    # As they are written: over several lines, with placeholders.
    said = " ".join(
        path.read_text() for folder in ("worker", "azure") for path in sorted((root / folder).rglob("*.py"))
    )
    joined = re.sub(r'"\s*\n?\s*f?"', "", said)
    assert [theirs for theirs, _ in REPLACED if theirs not in joined] == []


def test_exit_codes() -> None:
    def exit_of(code: FailureCode, retry: bool | None = None) -> UploadExit:
        return of_worker(WorkerError(code, "m", retry=retry)).exit

    assert exit_of(FailureCode.PREREQUISITES_NOT_MET) == UploadExit.FINDINGS
    assert exit_of(FailureCode.PREREQUISITES_UNKNOWN) == UploadExit.UNDECIDED
    assert exit_of(FailureCode.NOT_A_DISK) == UploadExit.DISK
    assert exit_of(FailureCode.SCRATCH_FULL) == UploadExit.DISK
    assert exit_of(FailureCode.TARGET_FORBIDDEN) == UploadExit.DESTINATION
    assert exit_of(FailureCode.TARGET_CONFLICT) == UploadExit.DESTINATION
    assert exit_of(FailureCode.TARGET_UNREACHABLE) == UploadExit.AGAIN
    assert exit_of(FailureCode.SOURCE_UNREACHABLE) == UploadExit.AGAIN
    message = said_here("Correct the image, or name what you accept in spec.prerequisites.ignore.")
    assert message == "Correct the image, or name what you accept with --ignore."
