"""The small parts: checksums, backoff, journal, counters, budget, sparse files, decompression, verdicts, log."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import io
import json
import logging
import lzma
import os
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.contract import (
    DiskFacts,
    FailureCode,
    GuestProfile,
    PrepareConfig,
    PrerequisitesConfig,
    PvcSource,
)
from gallery_operator.prerequisites.model import CheckReport, CheckResult, Severity, Status
from gallery_operator.worker.backoff import Backoff, parse_retry_after
from gallery_operator.worker.checksum import Checksum
from gallery_operator.worker.claim import open_beneath, open_device
from gallery_operator.worker.decompress import decompress, first_bytes
from gallery_operator.worker.disk import RawDisk
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import check_url
from gallery_operator.worker.image import BLOB_BYTES, open_image, require_size
from gallery_operator.worker.journal import Journal
from gallery_operator.worker.manifest import Manifest
from gallery_operator.worker.prepare import judge
from gallery_operator.worker.runtime import JsonFormatter, as_worker_error
from gallery_operator.worker.sparse import SparseWriter, data_extents
from gallery_operator.worker.tracking import Tracker

MIB = 1024 * 1024


# Checksums.


def test_checksum_of_either_kind() -> None:
    for name in ("sha256", "sha512"):
        checksum = Checksum(f"{name}:{hashlib.new(name, b'disk').hexdigest().upper()}")
        checksum.update(b"wrong")
        assert checksum.mismatch() is not None
        checksum.restart().update(b"disk")
        assert checksum.mismatch() is None
    assert Checksum(None).mismatch() is None


@pytest.mark.parametrize("text", ["", "md5:00", "sha256:00", "sha256:" + "g" * 64, "sha512:" + "0" * 64, "0" * 64])
def test_checksums_of_another_form(text: str) -> None:
    with pytest.raises(WorkerError) as caught:
        Checksum(text)
    assert caught.value.code == FailureCode.BAD_CONFIGURATION


# Waiting.


@given(failures=st.integers(1, 1000), retry_after=st.none() | st.floats(0, 1000))
def test_delays_are_bounded_and_heed_the_server(failures: int, retry_after: float | None) -> None:
    delay = Backoff(first=1, most=60).delay(failures, retry_after)
    assert max(retry_after or 0, 0.5) <= delay <= max(retry_after or 0, 60)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("-7", 0.0),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=10.0) == seconds


# Journal.


def test_journal_remembers_for_one_disk_and_one_target(tmp_path: Path) -> None:
    path = tmp_path / "journal"

    def opened(url: str = "https://a/c/b?sig=1", table: str = "t") -> Journal:
        return Journal(path, url, table, 100)

    journal = opened()
    for index in (0, 7, 99):
        journal.add(index)
    journal.close()
    with contextlib.closing(opened("https://a/c/b?sig=2")) as again:
        assert [n for n in range(100) if n in again.acknowledged] == [0, 7, 99]
        again.add(8)
    # A torn record, and one that rotted.
    with path.open("ab") as file:
        file.write(b"\0\0\0")
    with contextlib.closing(opened()) as again:
        assert len(again.acknowledged) == 4
        again.add(9)
    data = bytearray(path.read_bytes())
    data[32 + 8 + 3] ^= 1  # the second record now names piece 6
    path.write_bytes(data)
    with contextlib.closing(opened()) as again:
        assert [n for n in range(100) if n in again.acknowledged] == [0, 8, 9, 99]
    for url, table in (("https://a/c/other?sig=1", "t"), ("https://a/c/b", "u")):
        with contextlib.closing(opened(url, table)) as other:
            assert len(other.acknowledged) == 0
    assert b"sig" not in path.read_bytes()


def test_what_was_damaged_once_is_remembered(tmp_path: Path) -> None:
    def opened() -> Journal:
        return Journal(tmp_path / "journal", "https://a/c/b", "t", 100)

    with contextlib.closing(opened()) as journal:
        for index in (0, 64, 99):
            journal.add(index)
        journal.doubt(64)
        assert (list(journal.acknowledged), list(journal.doubted)) == ([0, 99], [64])
    with contextlib.closing(opened()) as journal:
        assert (list(journal.acknowledged), list(journal.doubted)) == ([0, 99], [64])
        journal.add(64)
    with contextlib.closing(opened()) as journal:
        # Sent again, and acknowledged again: that is the word of one who was wrong before.
        assert (list(journal.acknowledged), list(journal.doubted)) == ([0, 64, 99], [64])
        journal.forget()
        assert (len(journal.acknowledged), len(journal.doubted)) == (0, 0)
    with contextlib.closing(opened()) as journal:
        assert (len(journal.acknowledged), len(journal.doubted)) == (0, 0)


# Counters.


def test_tracker_counts_and_measures() -> None:
    now = [0.0]
    tracker = Tracker("upload", clock=lambda: now[0])
    assert tracker.snapshot().phase == "Starting"
    tracker.start("Uploading", 1000, done=400)
    now[0] += 0.5
    tracker.advance(100)
    assert tracker.snapshot().bytes_per_second == 0, "what half a second says is noise"
    tracker.start("Uploading", 1000, done=400)
    for _ in range(10):
        now[0] += 1
        tracker.advance(10, sent=10)
    tracker.advance(0, skipped=400)
    tracker.retried()
    shown = tracker.snapshot()
    assert (shown.bytes_done, shown.bytes_sent, shown.bytes_skipped, shown.attempts) == (500, 100, 400, 1)
    assert shown.bytes_per_second == 10.0
    now[0] += 1000
    tracker.advance(0)
    assert tracker.snapshot().bytes_per_second < 1
    assert tracker.snapshot().bytes_read == 0
    tracker.start("Verifying", 100)
    tracker.advance(60)
    tracker.start("Verifying", 200)
    tracker.advance(30)
    assert (tracker.snapshot().bytes_done, tracker.snapshot().bytes_read) == (30, 90)


# Sparse files.


@given(pieces=st.lists(st.tuples(st.booleans(), st.integers(1, 200_000)), max_size=8))
def test_sparse_files_read_as_written(tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[bool, int]]) -> None:
    path = tmp_path_factory.mktemp("sparse") / "file"
    data = b"".join((b"\0" if zero else b"\7") * length for zero, length in pieces)
    writer = SparseWriter(path)
    at = 0
    for _, length in pieces:
        writer.write(data[at : at + length])
        at += length
    writer.sync()
    writer.close()
    assert path.read_bytes() == data
    fd = os.open(path, os.O_RDONLY)
    try:
        covered = bytearray(data)
        for start, end in data_extents(fd, len(data)):
            covered[start:end] = bytes(end - start)
    finally:
        os.close(fd)
    assert not any(covered)


def test_zeros_take_no_room(tmp_path: Path) -> None:
    writer = SparseWriter(tmp_path / "file")
    for _ in range(64):
        writer.write(bytes(MIB))
    writer.close()
    state = (tmp_path / "file").stat()
    assert state.st_size == 64 * MIB
    assert state.st_blocks == 0


def test_a_full_volume_is_told_with_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SparseWriter(tmp_path / "file")

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(WorkerError) as caught:
        writer.write(b"x")
    assert (caught.value.code, caught.value.retry) == (FailureCode.SCRATCH_FULL, False)
    assert "bytes are free" in caught.value.message
    monkeypatch.undo()
    writer.close()
    assert as_worker_error(OSError(errno.ENOSPC, "full")).code == FailureCode.SCRATCH_FULL
    assert as_worker_error(OSError(errno.EIO, "broken")).code == FailureCode.INTERNAL
    assert as_worker_error(OSError(errno.EIO, "broken")).retry


def test_a_block_device_or_file_system_without_holes_is_all_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*arguments: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "lseek", cannot)
    assert list(data_extents(3, 1000)) == [(0, 1000)]


# Decompression.


def streams(*parts: bytes) -> bytes:
    return b"".join(lzma.compress(part) for part in parts)


def test_xz_streams_with_padding_between() -> None:
    body = lzma.compress(b"one") + bytes(8) + lzma.compress(b"two") + bytes(4)
    assert b"".join(decompress("xz", io.BytesIO(body))) == b"onetwo"


def test_xz_that_wants_too_much_memory() -> None:
    body = lzma.compress(b"x" * 1000, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}])
    with pytest.raises(WorkerError) as caught:
        list(decompress("xz", io.BytesIO(body)))
    assert caught.value.code == FailureCode.UNSUPPORTED_FORMAT


def test_zstd_that_wants_too_large_a_window(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    path = tmp_path / "z"
    path.write_bytes(compressor.compress(random.Random(1).randbytes(1000)) + compressor.flush())
    with path.open("rb") as file, pytest.raises(WorkerError) as caught:
        list(decompress("zstd", file))
    assert caught.value.code == FailureCode.UNSUPPORTED_FORMAT


def test_zstd_frames_that_are_skipped_and_joined(tmp_path: Path) -> None:
    compress = zstandard.ZstdCompressor().compress
    path = tmp_path / "z"
    path.write_bytes(compress(b"one") + b"\x50\x2a\x4d\x18\x03\0\0\0abc" + compress(b"two" * 100_000))
    with path.open("rb") as file:
        assert b"".join(decompress("zstd", file)) == b"one" + b"two" * 100_000


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
def test_a_bomb_is_met_piece_by_piece(kind: str, tmp_path: Path) -> None:
    import bz2
    import gzip

    zeros = bytes(200 * MIB)
    body = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstandard.compress}[kind](zeros)
    del zeros
    path = tmp_path / "bomb"
    path.write_bytes(body)
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            pieces: Iterator[bytes] = decompress(kind, file)  # type: ignore[arg-type]
            total = 0
            for piece in pieces:
                assert len(piece) <= MIB
                total += len(piece)
        assert total == 200 * MIB
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()
    head = first_bytes(kind, body[:4096], 1000)  # type: ignore[arg-type]
    assert head == bytes(len(head))
    assert len(head) <= 1000


# Limits, URLs, verdicts.


@pytest.mark.parametrize(
    ("size", "most", "generation_1", "refused"),
    [
        (MIB, MIB, False, False),
        (MIB + 1, MIB, False, True),
        (2 << 40, BLOB_BYTES, True, False),
        ((2 << 40) + 512, BLOB_BYTES, True, True),
        ((2 << 40) + 512, BLOB_BYTES, False, False),
    ],
)
def test_limits(size: int, most: int, generation_1: bool, refused: bool) -> None:
    if not refused:
        require_size(size, most, generation_1_os=generation_1)
        return
    with pytest.raises(WorkerError) as caught:
        require_size(size, most, generation_1_os=generation_1)
    assert caught.value.code == FailureCode.TOO_LARGE


@pytest.mark.parametrize(
    "url",
    ["ftp://h/x", "https://", "https://u:p@h/x", "https://h/a b", "https://h:99999/", "https://[::1/", "https://h/ä"],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(WorkerError) as caught:
        check_url(url)
    assert caught.value.code == FailureCode.BAD_CONFIGURATION
    assert ":p@" not in caught.value.message


def report_of(*results: tuple[Status, Severity]) -> CheckReport:
    return CheckReport(
        tuple(
            CheckResult(id=f"AAA00{n}", title="t", status=status, severity=severity, message="m", remedy="", source="s")
            for n, (status, severity) in enumerate(results)
        ),
        distribution="debian 12",
        architecture="x64",
    )


PASS = (Status.PASS, Severity.ERROR)
WARN = (Status.WARN, Severity.WARNING)
FAIL = (Status.FAIL, Severity.ERROR)
DOUBT = (Status.UNKNOWN, Severity.ERROR)
SMALL_DOUBT = (Status.UNKNOWN, Severity.WARNING)


@pytest.mark.parametrize(
    ("policy", "on_unknown", "results", "code"),
    [
        ("Enforce", "Block", (PASS, WARN), None),
        ("Enforce", "Block", (PASS, FAIL), FailureCode.PREREQUISITES_NOT_MET),
        ("Enforce", "Allow", (FAIL, DOUBT), FailureCode.PREREQUISITES_NOT_MET),
        ("Enforce", "Block", (DOUBT,), FailureCode.PREREQUISITES_UNKNOWN),
        ("Enforce", "Block", (SMALL_DOUBT,), None),
        ("Enforce", "Allow", (DOUBT,), None),
        ("Warn", "Block", (FAIL, DOUBT), None),
    ],
)
def test_verdicts(
    policy: str, on_unknown: str, results: tuple[tuple[Status, Severity], ...], code: FailureCode | None
) -> None:
    facts = DiskFacts(format="raw", virtual_size=MIB, sha256="0" * 64)
    manifest = Manifest(
        fingerprint="f", location="scratch", data_size=MIB, virtual_size=MIB, size=MIB, mtime_ns=1, footer="",
        table_sha256="", facts=facts, container_format="raw", container_size=MIB,
    )  # fmt: skip
    config = PrepareConfig(
        source=PvcSource(path="x"),
        max_virtual_size=MIB,
        guest=GuestProfile(),
        prerequisites=PrerequisitesConfig.model_validate({"policy": policy, "on_unknown": on_unknown}),
    )
    report = judge(config, manifest, report_of(*results))
    assert report.code == code
    assert report.succeeded == (code is None)
    assert report.disk is not None
    assert report.disk.distribution == "debian 12"
    if code is not None:
        assert "AAA00" in report.message


def test_the_log_is_json_without_secrets() -> None:
    record = logging.makeLogRecord(
        {
            "msg": "GET %s",
            "args": ("https://h/x?sig=s3cret",),
            "levelname": "INFO",
            "levelno": 20,
            "header": "Authorization: Bearer s3cret",
            "bytes_total": 5,
        }
    )
    line = JsonFormatter().format(record)
    assert "s3cret" not in line
    assert json.loads(line)["bytes_total"] == 5


def test_open_image_uses_plain_files_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(510) + b"\x55\xaa" + bytes(MIB))
    work = tmp_path / "work"
    work.mkdir()
    with contextlib.closing(open_image(path, work).disk) as disk:
        assert isinstance(disk, RawDisk)
        assert (disk.data_size, disk.pread(512, 0)) == (MIB + 512, path.read_bytes()[:512])
        assert os.path.samestat(os.fstat(disk.fd), path.stat())
    assert list(work.iterdir()) == []
    packed = tmp_path / "disk.xz"
    packed.write_bytes(lzma.compress(path.read_bytes()))
    opened = open_image(packed, work)
    with contextlib.closing(opened.disk) as disk:
        assert isinstance(disk, RawDisk)
        assert os.path.samestat(os.fstat(disk.fd), (work / "image").stat())
    assert opened.image.container("disk.xz").compression == "xz"


# Opening without openat2.


def test_links_are_not_followed_where_the_kernel_cannot_watch_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "disk").write_bytes(b"disk")
    (tmp_path / "link").symlink_to("deep/disk")
    (tmp_path / "way").symlink_to("deep")

    class NoOpenat2:
        def __init__(self, *arguments: object, **options: object) -> None:
            pass

        def syscall(self, *arguments: object) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", NoOpenat2)
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.ENOSYS)
    fd = open_beneath(tmp_path, "deep/disk")
    assert os.read(fd, 10) == b"disk"
    os.close(fd)
    for path, code in (("link", FailureCode.SOURCE_FORBIDDEN), ("way/disk", FailureCode.SOURCE_NOT_FOUND)):
        with pytest.raises(WorkerError) as caught:
            open_beneath(tmp_path, path)
        assert caught.value.code == code


def test_a_claim_that_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for name, code in (("file", FailureCode.NOT_A_DISK), ("missing", FailureCode.SOURCE_NOT_FOUND)):
        with pytest.raises(WorkerError) as caught:
            open_device(tmp_path / name)
        assert caught.value.code == code
