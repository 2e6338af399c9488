"""Workers as processes: exit codes, termination message, progress, kill and stop."""

from __future__ import annotations

import contextlib
import hashlib
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.worker import images
from tests.integration.worker.badserver import BadServer
from tests.integration.worker.blobproxy import Request
from tests.integration.worker.process import Worker
from tests.integration.worker.stages import Stage, big_disk

from gallery_operator.contract import ExitCode, FailureCode, PrepareConfig, PrerequisitesConfig, parse_log
from gallery_operator.prerequisites.catalogue import rows
from gallery_operator.worker.prepare import prepare
from gallery_operator.worker.tracking import Tracker

MIB = 1024 * 1024
Make = Callable[..., PrepareConfig]


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    started: list[Worker] = []
    yield started
    for each in started:
        each.kill()


def test_prepare_ends_with_a_report(server: BadServer, url_config: Make, tmp_path: Path) -> None:
    body = images.disk_bytes()
    server.serve("/disk", body)
    config = url_config(server.url("/disk"), "sha256:" + hashlib.sha256(body).hexdigest())
    status, report = Worker("prepare", config, tmp_path).end()
    assert status == ExitCode.DONE
    assert report is not None
    assert report.succeeded
    assert report.disk is not None
    assert report.prerequisites is not None
    strict = config.model_copy(update={"prerequisites": PrerequisitesConfig()})
    worker = Worker("prepare", strict, tmp_path)
    status, report = worker.end()
    assert status == ExitCode.FAILED
    assert report is not None
    assert report.code in (FailureCode.PREREQUISITES_NOT_MET, FailureCode.PREREQUISITES_UNKNOWN)
    text = worker.log.read_text()
    document = parse_log(text)
    assert document is not None
    assert [each.id for each in document.results] == [row.id for row in rows()]
    assert report.prerequisites is not None
    assert document.summary.errors == report.prerequisites.failures
    table = text[text.index("\ndisk: raw, ") :]
    assert "Errors (" in table, "people read the same log"
    assert len(server.seen) == 1


def test_configuration_that_is_none(url_config: Make, tmp_path: Path) -> None:
    worker = Worker("prepare", url_config("https://x/?sig=s3cret"), tmp_path, {"WORKER_CONFIG": '{"source": "s3cret"}'})
    status, report = worker.end()
    assert status == ExitCode.FAILED
    assert report is not None
    assert report.code == FailureCode.BAD_CONFIGURATION
    assert "s3cret" not in report.message + worker.log.read_text()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_download_goes_on_in_the_next_pod(
    how: signal.Signals, server: BadServer, url_config: Make, tmp_path: Path, workers: list[Worker]
) -> None:
    body = big_disk(160 * MIB, 150 * MIB)
    script = server.serve("/disk", body, chunk=MIB, pace=0.01)
    config = url_config(server.url("/disk"), "sha256:" + hashlib.sha256(body).hexdigest(), max_virtual_size=512 * MIB)
    worker = Worker("prepare", config, tmp_path)
    workers.append(worker)
    worker.wait_for(lambda now: now.phase == "Downloading" and now.bytes_done > 100 * MIB)
    started = time.monotonic()
    worker.process.send_signal(how)
    status, report = worker.end()
    if how == signal.SIGTERM:
        assert time.monotonic() - started < 10
        assert status == ExitCode.RETRY
        assert report is not None
        assert not report.succeeded
    script.pace = 0.0
    asked = len(server.seen)
    status, report = Worker("prepare", config, tmp_path).end()
    assert (status, report is not None and report.succeeded) == (ExitCode.DONE, True), report
    # Several connections ask at a time, each for the next piece.
    pod = [each for each in server.seen[asked:] if "range" in each.headers]
    first = min(int(each.headers["range"].removeprefix("bytes=").split("-")[0]) for each in pod)
    assert first >= (64 * MIB if how == signal.SIGKILL else 100 * MIB)
    assert report is not None
    assert report.disk is not None
    assert report.disk.sha256 == hashlib.sha256(images.fixed_vhd(body)).hexdigest()


@pytest.mark.parametrize("target", ["pageBlob", "managedDisk"])
def test_an_upload_killed_at_half_is_finished_by_the_next_pod(
    target: str,
    stage: Stage,
    workers: list[Worker],
) -> None:
    stage.prepare(big_disk(200 * MIB, 160 * MIB))
    if target == "managedDisk":
        stage.blob.create_page_blob(len(stage.vhd))
    half = threading.Event()
    stage.proxy.on_page = lambda sent: half.set() if sent > stage.sent_minimum // 2 else None
    config = stage.config(target=target, concurrency=4)
    worker = Worker("upload", config, stage.folder)
    workers.append(worker)
    assert half.wait(60), worker.log.read_text()
    worker.kill()
    status, report = Worker("upload", config, stage.folder).end()
    assert status == ExitCode.DONE, report
    assert report is not None
    assert report.upload is not None
    assert report.upload.resumed_bytes > stage.sent_minimum // 3
    assert stage.proxy.page_bytes < 1.2 * stage.sent_minimum
    assert stage.content() == stage.vhd


@pytest.mark.timeout(600)
def test_an_upload_killed_twenty_times_sends_next_to_nothing_twice(stage: Stage, workers: list[Worker]) -> None:
    chance = random.Random(20)
    disk = bytearray(320 * MIB)
    for at in range(0, len(disk), MIB // 2):
        disk[at : at + MIB // 4] = chance.randbytes(MIB // 4)
    disk[510:512] = b"\x55\xaa"
    stage.prepare(bytes(disk))
    config = stage.config(concurrency=4)
    for moment in sorted(chance.sample(range(1, 1000), 20)):
        reached = threading.Event()
        until = stage.sent_minimum * moment // 1000
        stage.proxy.on_page = lambda sent, until=until, reached=reached: reached.set() if sent >= until else None
        worker = Worker("upload", config, stage.folder)
        workers.append(worker)
        assert reached.wait(60), worker.log.read_text()
        worker.kill()
    status, report = Worker("upload", config, stage.folder).end()
    assert status == ExitCode.DONE, report
    assert stage.content() == stage.vhd
    assert stage.proxy.page_bytes <= 1.05 * stage.sent_minimum


def test_an_upload_shows_progress_and_stops_when_asked(stage: Stage, workers: list[Worker]) -> None:
    stage.prepare(big_disk())
    hold = threading.Event()

    def pause(request: Request) -> None:
        if request.is_put_page and stage.proxy.page_bytes > 8 * MIB:
            hold.wait(30)

    stage.proxy.faults.append(pause)
    worker = Worker("upload", stage.config(), stage.folder)
    workers.append(worker)
    progress = worker.wait_for(lambda now: now.phase == "Uploading" and now.bytes_sent >= 8 * MIB)
    # Zeros are no work: a disk that is nearly empty does not begin with 95 %.
    assert progress.bytes_total == stage.sent_minimum
    assert progress.bytes_skipped == len(stage.vhd) - stage.sent_minimum
    progress = worker.wait_for(lambda now: now.bytes_per_second > 0)
    assert progress.bytes_done == progress.bytes_sent
    lines = dict(line.rsplit(" ", 1) for line in worker.get("/metrics").splitlines() if not line.startswith("#"))
    assert float(lines['gallery_operator_worker_skipped_bytes_total{job="upload"}']) == progress.bytes_skipped
    assert worker.get("/healthz") == "ok\n"
    started = time.monotonic()
    worker.process.terminate()
    status, report = worker.end()
    assert time.monotonic() - started < 5
    hold.set()
    assert status == ExitCode.RETRY
    assert report is not None
    assert not report.succeeded
    assert "sig=" not in worker.log.read_text()


def test_memory_stays_small_whatever_the_size(stage: Stage, workers: list[Worker]) -> None:
    """2 GiB with 256 MiB of data and the highest concurrency; ``hack/bench`` does it with 64 GiB."""
    path = stage.folder / "source" / "disk"
    chunk = big_disk(64 * MIB, 64 * MIB - 1024)
    with path.open("wb") as file:
        for at in range(4):
            file.seek(at * 500 * MIB)
            file.write(chunk)
        file.truncate(2048 * MIB)
    config = stage.prepare_config.model_copy(update={"max_virtual_size": 4096 * MIB})
    peaks = []
    stage.report = prepare(config, Tracker("prepare"))
    (stage.folder / "scratch" / "manifest.json").unlink()
    for job, options in (("prepare", config), ("upload", stage.config(concurrency=64))):
        worker = Worker(job, options, stage.folder)
        workers.append(worker)
        peak = 0
        while worker.process.poll() is None:
            try:
                peak = max(peak, worker.peak_memory())
            except (OSError, StopIteration):
                break
            time.sleep(0.02)
        status, report = worker.end()
        assert status == ExitCode.DONE, report
        peaks.append(peak)
    assert max(peaks) < 256 * MIB, peaks


@pytest.mark.parametrize("kind", ["raw", "qcow2", "qcow2.xz"])
def test_killed_at_any_moment_the_same_disk_comes_out(
    kind: str, server: BadServer, url_config: Make, tmp_path: Path, workers: list[Worker]
) -> None:
    """Killed ever later, so that every step is hit: download, decompression, hashing, checks."""
    data = big_disk(96 * MIB, 24 * MIB)
    (tmp_path / "raw").write_bytes(data)
    file = tmp_path / "raw"
    if kind.startswith("qcow2"):
        file = images.convert(file, "qcow2", tmp_path / "qcow2")
    body = file.read_bytes()
    if kind.endswith("xz"):
        body = images.lzma.compress(body, preset=0)
    server.serve("/disk", body)
    config = url_config(server.url("/disk"), "sha256:" + hashlib.sha256(body).hexdigest(), max_virtual_size=512 * MIB)
    fetched = False
    for delay in (0.0, 0.1, 0.25, 0.5):
        worker = Worker("prepare", config, tmp_path)
        workers.append(worker)
        with contextlib.suppress(AssertionError):
            worker.wait_for(lambda now: now.phase != "Starting", 10)
        time.sleep(delay)
        worker.kill()
        if (tmp_path / "scratch" / "stage.json").exists():
            fetched = True
    requests = len(server.seen)
    status, report = Worker("prepare", config, tmp_path).end()
    assert status == ExitCode.DONE, report
    assert report is not None
    assert report.disk is not None
    assert report.disk.sha256 == hashlib.sha256(images.fixed_vhd(data)).hexdigest()
    if fetched:
        assert len(server.seen) == requests
    left = {each.name for each in (tmp_path / "scratch").iterdir()}
    assert left == {"disk", "manifest.json", "pieces", "stage.json"}


def test_a_scratch_volume_that_is_too_small(
    server: BadServer, url_config: Make, tmp_path: Path, workers: list[Worker]
) -> None:
    """A real small file system, where the kernel lets this process mount one."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(small)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        data = big_disk(64 * MIB, 12 * MIB)
        (tmp_path / "raw").write_bytes(data)
        bodies = {
            "raw": data,
            "qcow2": images.convert(tmp_path / "raw", "qcow2", tmp_path / "qcow2").read_bytes(),
            "zeros.xz": images.lzma.compress(images.convert(tmp_path / "raw", "vmdk", tmp_path / "v").read_bytes()),
            "holes": big_disk(100 * MIB, 2 * MIB),
        }
        # Small as it is, larger than the volume as a raw disk.
        (tmp_path / "ones").write_bytes(bytes(510) + b"\x55\xaa" + b"\x01" * 12 * MIB)
        command = ["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", tmp_path / "ones", tmp_path / "packed"]
        subprocess.run(command, check=True)
        bodies["packed"] = (tmp_path / "packed").read_bytes()
        for name, body in bodies.items():
            server.serve(f"/{name}", body)
            checksum = "sha256:" + hashlib.sha256(body).hexdigest()
            options = {"scratch_dir": str(small), "max_virtual_size": 512 * MIB}
            status, report = Worker("prepare", url_config(server.url(f"/{name}"), checksum, **options), tmp_path).end()
            assert report is not None
            if name in ("holes", "packed"):
                assert status == ExitCode.DONE, report
            else:
                assert (status, report.code) == (ExitCode.FAILED, FailureCode.SCRATCH_FULL), report
                assert "bytes are free" in report.message
            for each in small.iterdir():
                each.unlink()
    finally:
        subprocess.run(["umount", str(small)], check=True)
