"""``gallery-operator upload`` into a page blob with a SAS, in a process of its own, against the storage emulator."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pty
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pysequoia import SignatureMode, Tsk, sign
from tests.integration.transfer.command import Command
from tests.integration.worker import images
from tests.integration.worker.badserver import BadServer
from tests.integration.worker.blobproxy import DROP, Answer, Request
from tests.integration.worker.stages import Stage, big_disk

MIB = 1024 * 1024


class Upload:
    """A disk in a file, a container, and the command with a SAS in a file."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.command = Command(folder, stage.azure)
        self.disk = folder / "disk.raw"
        self.sas_file = folder / "sas"
        self.sas()

    @property
    def url(self) -> str:
        return self.stage.sas().partition("?")[0]

    def sas(self, permission: str = "rcwd", **options: Any) -> None:
        self.sas_file.write_text("?" + urlsplit(self.stage.sas(permission, **options)).query + "\n")

    def write(self, data: bytes) -> None:
        self.stage.data = data
        self.disk.write_bytes(data)

    def arguments(self, *more: str) -> tuple[str, ...]:
        return (str(self.disk), self.url, "--sas-file", str(self.sas_file), *more)


@pytest.fixture
def upload(stage: Stage, tmp_path: Path) -> Upload:
    made = Upload(stage, tmp_path)
    made.write(images.disk_bytes())
    return made


def test_a_file_becomes_a_page_blob(upload: Upload) -> None:
    ended = upload.command.run(*upload.arguments("--policy", "Warn"))
    assert ended.code == 0, ended.err
    assert upload.stage.content() == upload.stage.vhd
    assert "Errors (" in ended.out, "findings as `check` prints them"
    assert f"{upload.url} holds the disk: " in ended.out
    assert "Verifying: 100%, 384kB of 384kB, 384kB sent\n" in ended.err, "lines where there is no terminal"
    assert "\r" not in ended.err
    assert not upload.command.left()
    again = upload.command.run(*upload.arguments("--no-check", "-o", "json"))
    assert (again.code, again.report["upload"]["sent_bytes"]) == (0, 0), "what is complete is not sent again"


def test_a_bar_on_a_terminal(upload: Upload) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = upload.command.start(*upload.arguments("--no-check"), stderr=theirs)
    os.close(theirs)
    shown = bytearray()
    with contextlib.suppress(OSError):  # the terminal is gone
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    assert upload.command.end(process).code == 0
    text = shown.decode()
    assert "Verifying  : 100%" in text
    assert "100%" in text
    assert "\r" in text
    assert "sig=" not in text


def test_converted_formats_and_json(upload: Upload, tmp_path: Path) -> None:
    made = images.convert(upload.disk, "qcow2", tmp_path / "disk.qcow2")
    upload.disk = made
    digest = images.digest(made)
    ended = upload.command.run(
        *upload.arguments("--policy", "Warn", "--checksum", digest, "-o", "json", "--verify", "Full")
    )
    assert ended.code == 0, ended.err
    assert upload.stage.content() == upload.stage.vhd
    report = ended.report
    assert report["facts"]["format"] == "qcow2"
    assert report["facts"]["sha256"] == hashlib.sha256(upload.stage.vhd).hexdigest()
    assert report["upload"]["sent_bytes"] + report["upload"]["skipped_bytes"] == len(upload.stage.vhd)
    assert report["checks"]["results"]
    assert report["upload"]["verification"]["read_back"] == "Full"
    assert report["upload"]["verification"]["read_back_bytes"] == report["upload"]["sent_bytes"]
    assert (report["exitCode"], report["error"], report["resumed"]) == (0, None, False)


def test_a_url_as_disk(upload: Upload, server: BadServer, tmp_path: Path) -> None:
    server.serve("/disk", upload.stage.data)
    digest = images.digest(upload.disk)
    arguments = (server.url("/disk"), upload.url, "--sas-file", str(upload.sas_file), "--no-check", "-q")
    refused = upload.command.run(*arguments)
    assert refused.code == 4
    assert "use https, or give the file's checksum" in refused.err
    ended = upload.command.run(*arguments, "--checksum", digest)
    assert (ended.code, ended.out, ended.err) == (0, "", ""), "quiet"
    assert upload.stage.content() == upload.stage.vhd


def test_a_signed_list_of_checksums(upload: Upload, server: BadServer, tmp_path: Path) -> None:
    secret = Tsk.generate(user_id="Publisher <p@example.org>")
    sums = f"{hashlib.sha512(upload.stage.data).hexdigest()} *debian.raw\n".encode()
    server.serve("/disk", upload.stage.data)
    server.serve("/SHA512SUMS", sums)
    server.serve("/SHA512SUMS.sign", sign(secret.signer(), sums, mode=SignatureMode.DETACHED))
    key = tmp_path / "key.asc"
    key.write_text(str(Tsk.generate(user_id="Somebody").extract_certificate()))
    arguments = (
        *(server.url("/disk"), upload.url, "--sas-file", str(upload.sas_file), "--no-check", "--output", "json"),
        *("--checksums", server.url("/SHA512SUMS"), "--checksums-file", "debian.raw"),
        *("--signature", server.url("/SHA512SUMS.sign"), "--signing-key", str(key)),
    )
    refused = upload.command.run(*arguments)
    assert (refused.code, refused.report["error"]["code"]) == (4, "SignatureInvalid")
    key.write_text(str(secret.extract_certificate()))
    ended = upload.command.run(*arguments)
    assert ended.code == 0, ended.err
    assert ended.report["facts"]["source_checksum"] == f"sha512:{hashlib.sha512(upload.stage.data).hexdigest()}"
    assert upload.stage.content() == upload.stage.vhd


def test_the_sas_by_environment_and_by_url(upload: Upload) -> None:
    sas = upload.sas_file.read_text().strip()
    ended = upload.command.run(str(upload.disk), upload.url, "--no-check", AZURE_STORAGE_SAS_TOKEN=sas)
    assert ended.code == 0, ended.err
    warned = upload.command.run(str(upload.disk), upload.url + sas, "--no-check")
    assert warned.code == 0
    assert "shell's history" in warned.err


def test_a_dry_run_sends_nothing(upload: Upload) -> None:
    ended = upload.command.run(*upload.arguments("--no-check", "--dry-run"))
    assert ended.code == 0, ended.err
    assert not upload.stage.blob.exists()
    assert not any(each.startswith("PUT") or each == "put-page" for each in upload.stage.proxy.operations)
    assert f"creates the page blob: {upload.url}" in ended.out
    data = int(ended.out.split("data         ")[1].split()[0])
    ended = upload.command.run(*upload.arguments("--no-check", "-o", "json"))
    assert ended.report["upload"]["sent_bytes"] == data


def test_findings_stop_it(upload: Upload) -> None:
    ended = upload.command.run(*upload.arguments())
    assert ended.code == 1
    assert "Errors (" in ended.out
    assert "--ignore" in ended.err
    assert "Nothing was sent" in ended.err
    assert not upload.stage.blob.exists()
    quiet = upload.command.run(*upload.arguments("--quiet", "--output", "json"))
    assert (quiet.code, quiet.report["exitCode"], quiet.report["error"]["code"]) == (1, 1, "PrerequisitesNotMet")


class Half:
    """Holds the pages back when half of the disk is sent; they are lost when it lets go."""

    def __init__(self, upload: Upload, data: int = 40 * MIB) -> None:
        upload.write(big_disk(2 * data, data) if data > 40 * MIB else big_disk())
        self._sent, self._go = threading.Event(), threading.Event()
        self._proxy = upload.stage.proxy
        self._proxy.on_page = lambda sent: self._sent.set() if sent > data // 2 else None
        self._proxy.faults.append(self._hold)

    def _hold(self, request: Request) -> object:
        if not request.is_put_page or not self._sent.is_set() or self._go.is_set():
            return None
        self._go.wait(60)
        return DROP

    def wait(self) -> None:
        assert self._sent.wait(60)

    def let_go(self) -> None:
        self._go.set()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_upload_goes_on(upload: Upload, how: signal.Signals) -> None:
    half = Half(upload, (160 if how == signal.SIGKILL else 40) * MIB)
    process = upload.command.start(*upload.arguments("--no-check", "--concurrency", "2"))
    half.wait()
    started = time.monotonic()
    process.send_signal(how)
    ended = upload.command.end(process)
    assert time.monotonic() - started < 10
    assert ended.code == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[how]
    if how != signal.SIGKILL:
        assert "Interrupted. Give the same command again" in ended.err
    assert len(upload.command.left()) == 1
    half.let_go()
    again = upload.command.run(*upload.arguments("--no-check", "--output", "json"))
    assert again.code == 0, again.err
    assert "going on where an earlier run stopped (some of it is sent)" in again.err
    assert again.report["resumed"]
    assert again.report["upload"]["resumed_bytes"] > 10 * MIB
    assert upload.stage.content() == upload.stage.vhd
    data = again.report["facts"]["data_bytes"] + 512
    # What was in flight, two pages of 4 MiB, may have to be sent again.
    assert upload.stage.proxy.page_bytes <= data * 1.05 if how == signal.SIGKILL else data + 8 * MIB
    assert not upload.command.left()


def test_abort_removes_what_is_left(upload: Upload) -> None:
    half = Half(upload)
    process = upload.command.start(*upload.arguments("--no-check"))
    half.wait()
    process.send_signal(signal.SIGINT)
    upload.command.end(process)
    half.let_go()
    assert upload.command.run(*upload.arguments("--abort")).code == 2, "asks first"
    upload.disk.unlink()
    ended = upload.command.run(*upload.arguments("--abort", "--yes"))
    assert ended.code == 0, ended.err
    assert not upload.stage.blob.exists()
    assert not upload.command.left()


def test_only_one_process_at_a_time(upload: Upload) -> None:
    half = Half(upload)
    process = upload.command.start(*upload.arguments("--no-check"))
    half.wait()
    second = upload.command.run(*upload.arguments("--no-check"))
    assert second.code == 2
    assert "another process is uploading this disk" in second.err
    process.kill()
    process.communicate()
    half.let_go()


def test_a_wrong_sas(upload: Upload) -> None:
    good = upload.sas_file.read_text()
    upload.sas_file.write_text(good.replace("sig=", "sig=AAAA"))
    ended = upload.command.run(*upload.arguments("--no-check"))
    assert ended.code == 5
    assert "Get a fresh one and give the command again" in ended.err
    upload.sas("cw")
    ended = upload.command.run(*upload.arguments("--no-check"))
    assert ended.code == 5
    assert "must allow to read, create and write" in ended.err
    upload.sas(lifetime=timedelta(seconds=-60))
    assert upload.command.run(*upload.arguments("--no-check")).code == 5
    assert not upload.stage.blob.exists()
    assert not upload.command.left(), "nothing was read before the SAS was found to be wrong"


def test_a_container_that_is_missing(upload: Upload) -> None:
    real = upload.stage.container_name
    upload.stage.container_name = "not-there"
    upload.sas()
    ended = upload.command.run(*upload.arguments("--no-check"))
    upload.stage.container_name = real
    assert ended.code == 5
    assert "Create it first" in ended.err


def test_a_blob_of_somebody_else(upload: Upload) -> None:
    upload.stage.blob.create_page_blob(MIB)
    ended = upload.command.run(*upload.arguments("--no-check"))
    assert ended.code == 5
    assert "was not made by gallery-operator. It is left alone" in ended.err
    assert upload.stage.blob.get_blob_properties().size == MIB
    assert "left alone" in upload.command.run(*upload.arguments("--abort", "--yes")).err
    assert upload.stage.blob.exists()


def test_another_disk_than_before(upload: Upload) -> None:
    assert upload.command.run(*upload.arguments("--no-check")).code == 0
    upload.write(images.disk_bytes(seed=4))
    ended = upload.command.run(*upload.arguments("--no-check"))
    assert ended.code == 5
    assert "holds another disk" in ended.err


def test_a_disk_that_changes_while_it_is_sent(upload: Upload) -> None:
    half = Half(upload)
    process = upload.command.start(*upload.arguments("--no-check", "--concurrency", "1"))
    half.wait()
    with upload.disk.open("r+b") as file:
        file.seek(38 * MIB)
        file.write(b"changed")
    half.let_go()
    ended = upload.command.end(process)
    assert ended.code == 4, ended.err
    assert "Remove what was sent by --abort" in ended.err


def test_throttling_is_waited_for(upload: Upload) -> None:
    left = [3]

    def busy(request: Request) -> Answer | None:
        if request.is_put_page and left[0]:
            left[0] -= 1
            return Answer(503, "ServerBusy")
        return None

    upload.stage.proxy.faults.append(busy)
    ended = upload.command.run(*upload.arguments("--no-check"))
    assert ended.code == 0, ended.err
    assert "warning: writing " in ended.err
    assert upload.stage.content() == upload.stage.vhd


def wrong(change: Callable[[Path], str | None], says: str, code: int) -> Any:
    return pytest.param(change, says, code, id=says)


def _not_a_disk(disk: Path) -> None:
    disk.write_bytes(b"<html>Not found</html>" * 100_000)


def _cut(disk: Path) -> None:
    images.convert(disk, "qcow2", disk.with_suffix(".qcow2"))
    disk.write_bytes(disk.with_suffix(".qcow2").read_bytes()[: 300 * 1024])


@pytest.mark.parametrize(
    ("change", "says", "code"),
    [
        wrong(_not_a_disk, "not a disk", 4),
        wrong(_cut, "cut off", 4),
        wrong(lambda disk: disk.unlink(), "there is no file", 2),
        wrong(lambda disk: str(disk.parent), "is a folder", 2),
    ],
)
def test_what_is_no_disk(upload: Upload, change: Callable[[Path], str | None], says: str, code: int) -> None:
    other = change(upload.disk)
    if other is not None:
        upload.disk = Path(other)
    ended = upload.command.run(*upload.arguments())
    assert ended.code == code, ended.err
    assert says in ended.err
    assert "spec." not in ended.err
    assert "claim" not in ended.err


def test_a_wrong_checksum_and_wrong_usage(upload: Upload, tmp_path: Path) -> None:
    ended = upload.command.run(*upload.arguments("--checksum", f"sha256:{'0' * 64}"))
    assert ended.code == 4
    assert "Correct --checksum or the file" in ended.err
    for arguments, says in (
        (("--bandwidth-limit", "fast"), "50Mi"),
        (("--ignore", "XYZ1"), "there is no check XYZ1"),
        (("--sku", "Premium_LRS"), "--sku is for managed disks"),
        (("--yes",), "--yes belongs to --abort"),
    ):
        ended = upload.command.run(*upload.arguments(*arguments))
        assert (ended.code, says in ended.err) == (2, True), ended.err
    assert json.loads(upload.command.run(*upload.arguments("--yes", "-o", "json")).out)["exitCode"] == 2
