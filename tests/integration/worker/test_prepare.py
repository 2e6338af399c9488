"""From every kind of source to the same disk."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.worker import images
from tests.integration.worker.badserver import BadServer

from gallery_operator.contract import FailureCode, GuestProfile, PrepareConfig, PrerequisitesConfig, Report
from gallery_operator.worker.errors import Stopped, WorkerError
from gallery_operator.worker.manifest import read_manifest
from gallery_operator.worker.prepare import prepare
from gallery_operator.worker.tracking import Tracker

MIB = images.MIB
Make = Callable[..., PrepareConfig]


def run(config: PrepareConfig) -> Report:
    return prepare(config, Tracker("prepare"))


def refused(config: PrepareConfig) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        run(config)
    return caught.value


@pytest.mark.parametrize("kind", ["raw", *images.QEMU_OPTIONS])
@pytest.mark.parametrize("compression", [None, "xz"])
def test_every_format_by_url_gives_the_same_vhd(
    kind: str, compression: str | None, server: BadServer, url_config: Make, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    data = images.write_disk(raw)
    file = raw if kind == "raw" else images.convert(raw, kind, tmp_path / "image")
    body = file.read_bytes()
    if compression:
        body = images.COMPRESSORS[compression][1](body)
    server.serve("/disk", body)
    report = run(url_config(server.url("/disk"), "sha256:" + hashlib.sha256(body).hexdigest()))
    assert report.succeeded, report.message
    assert report.disk is not None
    assert report.disk.sha256 == hashlib.sha256(images.fixed_vhd(data)).hexdigest()
    assert report.disk.virtual_size == 9 * MIB
    assert report.disk.format == kind.split("-")[0]
    assert report.disk.compression == compression
    assert not report.disk.in_place
    scratch = tmp_path / "scratch"
    # The image itself is the prepared disk: nothing is converted, and nothing that is not needed any more stays.
    assert (scratch / "disk").read_bytes() == file.read_bytes()
    assert {each.name for each in scratch.iterdir()} == {"disk", "manifest.json", "pieces", "stage.json"}


@pytest.mark.parametrize("compression", sorted(images.COMPRESSORS))
def test_every_compression_from_a_claim(compression: str, pvc_config: Make, tmp_path: Path) -> None:
    data = images.disk_bytes()
    suffix, compress = images.COMPRESSORS[compression]
    # Two streams one after another are one file, as for the tools.
    body = compress(data[: 3 * MIB]) + compress(data[3 * MIB :])
    (tmp_path / "source" / f"disk{suffix}").write_bytes(body)
    report = run(pvc_config(f"disk{suffix}", "sha256:" + hashlib.sha256(body).hexdigest()))
    assert report.disk is not None
    assert report.disk.sha256 == hashlib.sha256(images.fixed_vhd(data)).hexdigest()
    assert report.disk.compression == compression


@pytest.mark.parametrize("compression", sorted(images.COMPRESSORS))
@pytest.mark.parametrize("kind", ["raw", "odd raw", "fixed VHD"])
def test_a_compressed_disk_is_read_once(
    kind: str, compression: str, pvc_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_again(*_: object) -> None:
        raise AssertionError("the disk was read again after it had been written")

    monkeypatch.setattr("gallery_operator.worker.preparation.survey", read_again)
    data = images.disk_bytes(8 * MIB + (512 * 3 if kind == "odd raw" else 0))
    vhd = images.fixed_vhd(data)
    suffix, compress = images.COMPRESSORS[compression]
    (tmp_path / "source" / f"disk{suffix}").write_bytes(compress(vhd if kind == "fixed VHD" else data))
    report = run(pvc_config(f"disk{suffix}"))
    assert report.disk is not None
    assert report.disk.format == ("vhd" if kind == "fixed VHD" else "raw")
    assert report.disk.sha256 == hashlib.sha256(vhd).hexdigest()


def test_who_is_ended_after_the_decompression_leaves_only_the_reading_to_do(
    server: BadServer, url_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = images.disk_bytes()
    body = images.COMPRESSORS["xz"][1](data)
    server.serve("/disk", body)
    config = url_config(server.url("/disk"), "sha256:" + hashlib.sha256(body).hexdigest())
    with monkeypatch.context() as patched:

        def ended(*_: object) -> None:
            raise Stopped

        patched.setattr("gallery_operator.worker.preparation.write_manifest", ended)
        with pytest.raises(Stopped):
            run(config)
    monkeypatch.setattr("gallery_operator.worker.preparation.decompress_file", ended)
    monkeypatch.setattr("gallery_operator.worker.preparation.fetch", ended)
    report = run(config)
    assert report.disk is not None
    assert report.disk.sha256 == hashlib.sha256(images.fixed_vhd(data)).hexdigest()
    assert report.disk.compression == "xz"


@pytest.mark.parametrize("kind", ["raw", *images.QEMU_OPTIONS])
@pytest.mark.parametrize("checksum", [True, False])
def test_every_format_on_a_claim_is_read_in_place(kind: str, checksum: bool, pvc_config: Make, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    # Not whole MiB: it must be padded without being copied.
    data = images.write_disk(raw, images.disk_bytes(5 * MIB + 512 * 3))
    source = tmp_path / "source" / "deep" / "disk"
    source.parent.mkdir()
    source.write_bytes(data) if kind == "raw" else images.convert(raw, kind, source)
    before = source.read_bytes()
    report = run(pvc_config("deep/disk", images.digest(source) if checksum else None))
    assert report.disk is not None
    assert report.disk.in_place
    assert report.disk.virtual_size == 6 * MIB
    assert report.disk.sha256 == hashlib.sha256(images.fixed_vhd(data)).hexdigest()
    assert {each.name for each in (tmp_path / "scratch").iterdir()} == {"manifest.json", "pieces"}
    assert source.read_bytes() == before


def test_a_vhd_of_ours_is_a_vhd_for_qemu(pvc_config: Make, tmp_path: Path) -> None:
    data = images.write_disk(tmp_path / "source" / "disk")
    run(pvc_config("disk"))
    manifest = read_manifest(tmp_path / "scratch")
    assert manifest is not None
    vhd = tmp_path / "out.vhd"
    vhd.write_bytes(data + bytes.fromhex(manifest.footer))
    assert hashlib.sha256(vhd.read_bytes()).hexdigest() == manifest.facts.sha256
    command = ["qemu-img", "info", "-f", "vpc", "--output=json", str(vhd)]
    shown = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert shown["virtual-size"] == len(data)
    subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "vpc", tmp_path / "source" / "disk", vhd], check=True)


def test_http_without_a_checksum_only_from_hosts_that_are_trusted_by_name(server: BadServer, url_config: Make) -> None:
    server.serve("/disk", images.disk_bytes())
    error = refused(url_config(server.url("/disk")))
    assert error.code == FailureCode.BAD_CONFIGURATION
    assert "checksum" in error.message
    assert not server.seen
    assert run(url_config(server.url("/disk"), allowed_hosts=("127.0.0.1",))).succeeded


def test_a_second_run_does_not_fetch_again(server: BadServer, url_config: Make, tmp_path: Path) -> None:
    body = images.disk_bytes()
    server.serve("/disk", body)
    config = url_config(server.url("/disk"), "sha256:" + hashlib.sha256(body).hexdigest())
    first = run(config)
    requests = len(server.seen)
    second = run(config)
    assert second.disk == first.disk
    assert len(server.seen) == requests
    # Another disk in its place is noticed.
    (tmp_path / "scratch" / "disk").write_bytes(bytes(9 * MIB))
    assert run(config).disk == first.disk
    assert len(server.seen) > requests


def test_a_changed_claim_is_prepared_anew(pvc_config: Make, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    source = tmp_path / "source" / "disk.qcow2"
    images.write_disk(raw)
    images.convert(raw, "qcow2", source)
    first = run(pvc_config("disk.qcow2"))
    data = images.write_disk(raw, images.disk_bytes(seed=7))
    images.convert(raw, "qcow2", source)
    second = run(pvc_config("disk.qcow2"))
    assert first.disk is not None
    assert second.disk is not None
    assert first.disk.sha256 != second.disk.sha256 == hashlib.sha256(images.fixed_vhd(data)).hexdigest()


def test_wrong_checksum_on_a_claim(pvc_config: Make, tmp_path: Path) -> None:
    raw = tmp_path / "source" / "disk"
    images.write_disk(raw)
    for name, kind in (("disk", None), ("disk.qcow2", "qcow2")):
        if kind:
            images.convert(raw, kind, tmp_path / "source" / name)
        error = refused(pvc_config(name, "sha512:" + "0" * 128))
        assert (error.code, error.retry) == (FailureCode.CHECKSUM_MISMATCH, False)
        assert not (tmp_path / "scratch" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("missing", FailureCode.SOURCE_NOT_FOUND),
        ("../secret", FailureCode.BAD_CONFIGURATION),
        ("out", FailureCode.SOURCE_FORBIDDEN),
        ("absolute", FailureCode.SOURCE_FORBIDDEN),
        ("proc", FailureCode.SOURCE_FORBIDDEN),
        ("loop", FailureCode.SOURCE_FORBIDDEN),
        ("folder", FailureCode.NOT_A_DISK),
        ("pipe", FailureCode.NOT_A_DISK),
    ],
)
def test_paths_that_leave_the_claim(path: str, code: FailureCode, pvc_config: Make, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (tmp_path / "secret").write_bytes(images.disk_bytes())
    (source / "out").symlink_to("../secret")
    (source / "absolute").symlink_to(tmp_path / "secret")
    (source / "proc").symlink_to("/proc/self/environ")
    (source / "loop").symlink_to("loop")
    (source / "folder").mkdir()
    os.mkfifo(source / "pipe")
    assert refused(pvc_config(path)).code == code


def test_a_link_within_the_claim_is_followed(pvc_config: Make, tmp_path: Path) -> None:
    images.write_disk(tmp_path / "source" / "disk-1")
    (tmp_path / "source" / "latest").symlink_to("disk-1")
    assert run(pvc_config("/latest")).succeeded


def test_the_limit_holds_for_every_format(pvc_config: Make, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    images.write_disk(raw)
    for kind in images.QEMU_OPTIONS:
        images.convert(raw, kind, tmp_path / "source" / kind)
        error = refused(pvc_config(kind, max_virtual_size=8 * MIB))
        assert (error.code, error.retry) == (FailureCode.TOO_LARGE, False), kind
        assert not (tmp_path / "scratch" / "disk").exists()


@pytest.mark.parametrize("compression", sorted(images.COMPRESSORS))
def test_a_bomb_is_stopped_at_the_limit(compression: str, pvc_config: Make, tmp_path: Path) -> None:
    suffix, compress = images.COMPRESSORS[compression]
    (tmp_path / "source" / f"bomb{suffix}").write_bytes(compress(bytes(300 * MIB)))
    error = refused(pvc_config(f"bomb{suffix}", max_virtual_size=16 * MIB))
    assert error.code == FailureCode.TOO_LARGE
    written = sum(each.stat().st_blocks * 512 for each in (tmp_path / "scratch").iterdir())
    assert written < MIB


def test_an_image_that_is_a_bomb_takes_no_room(pvc_config: Make, tmp_path: Path) -> None:
    """Every cluster of it is the same compressed one: 256 MiB in a file of some KiB."""
    raw, image = tmp_path / "raw", tmp_path / "source" / "bomb"
    cluster = (bytes(510) + b"\x55\xaa" + b"boom" * 16_256)[:65_536]
    raw.write_bytes(cluster + bytes(256 * MIB - len(cluster)))
    images.convert(raw, "qcow2-compressed", image)
    body = bytearray(image.read_bytes())
    (l1,) = struct.unpack_from(">Q", body, 40)
    (l2,) = struct.unpack_from(">Q", body, l1)
    table = l2 & 0x00FF_FFFF_FFFF_FE00
    body[table : table + 4096 * 8] = body[table : table + 8] * 4096
    image.write_bytes(body)
    assert len(body) < MIB
    assert refused(pvc_config("bomb", max_virtual_size=64 * MIB)).code == FailureCode.TOO_LARGE
    report = run(pvc_config("bomb", max_virtual_size=256 * MIB, guest=GuestProfile(disk_role="data")))
    assert report.disk is not None
    assert report.disk.sha256 == hashlib.sha256(images.fixed_vhd(cluster * 4096)).hexdigest()
    assert sum(each.stat().st_blocks * 512 for each in (tmp_path / "scratch").iterdir()) < MIB


@pytest.mark.parametrize("compression", sorted(images.COMPRESSORS))
@pytest.mark.parametrize("damage", ["cut", "flipped", "trailing"])
def test_damaged_compression(compression: str, damage: str, pvc_config: Make, tmp_path: Path) -> None:
    _, compress = images.COMPRESSORS[compression]
    body = bytearray(compress(images.disk_bytes()))
    if damage == "cut":
        del body[-20:]
    elif damage == "flipped":
        body[len(body) // 2] ^= 0x40
    else:
        body += b"something else, of another kind"
    (tmp_path / "source" / "disk").write_bytes(body)
    assert refused(pvc_config("disk")).code == FailureCode.CORRUPT_IMAGE
    assert not (tmp_path / "scratch" / "manifest.json").exists()


def test_an_os_disk_needs_a_partition_table_and_a_data_disk_does_not(pvc_config: Make, tmp_path: Path) -> None:
    (tmp_path / "source" / "bare").write_bytes(b"\x01" * MIB)
    assert refused(pvc_config("bare")).code == FailureCode.NOT_A_DISK
    assert run(pvc_config("bare", guest=GuestProfile(disk_role="data"))).succeeded


def test_declared_format_must_agree(pvc_config: Make, tmp_path: Path) -> None:
    raw = tmp_path / "source" / "raw"
    images.write_disk(raw)
    images.convert(raw, "qcow2", tmp_path / "source" / "qcow2")
    assert refused(pvc_config("raw", format="qcow2")).code == FailureCode.UNSUPPORTED_FORMAT
    # A qcow2 that calls itself raw stays raw, and that is no disk.
    assert refused(pvc_config("qcow2", format="raw")).code == FailureCode.NOT_A_DISK
    assert run(pvc_config("qcow2", format="qcow2")).succeeded


def test_findings_refuse_only_under_enforce(pvc_config: Make, tmp_path: Path) -> None:
    images.write_disk(tmp_path / "source" / "disk")
    enforced = run(pvc_config("disk", prerequisites=PrerequisitesConfig()))
    assert not enforced.succeeded
    assert enforced.code in (FailureCode.PREREQUISITES_NOT_MET, FailureCode.PREREQUISITES_UNKNOWN)
    assert enforced.disk is not None
    assert enforced.prerequisites is not None
    assert enforced.prerequisites.findings
    assert run(pvc_config("disk")).succeeded
