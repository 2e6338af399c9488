"""Files that broke off or rotted: in every format it is told, and no wrong disk comes out as a right one."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.worker import images
from tests.integration.worker.badserver import BadServer

from gallery_operator.contract import FailureCode, PrepareConfig, Report
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.prepare import prepare
from gallery_operator.worker.tracking import Tracker

MIB = images.MIB
Make = Callable[..., PrepareConfig]

_CLUSTER = 65_536
_FORMATS = ["raw", *images.QEMU_OPTIONS]
# Their tables say what must be there; a raw disk and a fixed VHD without its footer say nothing of their length.
_SELF_DESCRIBING = [kind for kind in images.QEMU_OPTIONS if kind != "vhd"]
_REFUSALS = {
    FailureCode.CORRUPT_IMAGE,
    FailureCode.NOT_A_DISK,
    FailureCode.UNSUPPORTED_FORMAT,
    FailureCode.UNSAFE_IMAGE,
    FailureCode.TOO_LARGE,
}


def full_disk() -> bytes:
    """A disk with data to its very end, so that every cut takes something away."""
    disk = bytearray(images.disk_bytes())
    chance = random.Random(9)
    for start, length in ((4 * MIB, MIB), (8 * MIB, _CLUSTER), (9 * MIB - 2 * _CLUSTER, 2 * _CLUSTER)):
        disk[start : start + length] = chance.randbytes(length)
    return bytes(disk)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    raw = folder / "raw"
    data = images.write_disk(raw, full_disk())
    files = {kind: images.convert(raw, kind, folder / kind).read_bytes() for kind in images.QEMU_OPTIONS}
    return {"raw": data, **files}


def run(config: PrepareConfig, folder: Path) -> Report | WorkerError:
    """Prepare; what is refused leaves no disk that a later step could take for a good one."""
    try:
        return prepare(config, Tracker("prepare"))
    except WorkerError as error:
        assert not (folder / "scratch" / "manifest.json").exists()
        return error


def is_right(report: Report) -> bool:
    assert report.disk is not None
    return report.disk.sha256 == hashlib.sha256(images.fixed_vhd(full_disk())).hexdigest()


@pytest.mark.parametrize("kind", _SELF_DESCRIBING)
def test_a_copy_that_broke_off(kind: str, made: dict[str, bytes], pvc_config: Make, tmp_path: Path) -> None:
    """Without a checksum: qemu-img alone would read what is missing from a qcow2 or VMDK as zeros."""
    whole = made[kind]
    told = []
    for length in (len(whole) - _CLUSTER, len(whole) * 3 // 4, len(whole) // 2, len(whole) // 10, 1000, 100):
        (tmp_path / "source" / "disk").write_bytes(whole[:length])
        end = run(pvc_config("disk"), tmp_path)
        if isinstance(end, Report):
            # VHDX is padded to whole MiB: a cut may take nothing that matters.
            assert is_right(end), f"a wrong disk of {length} of {len(whole)} bytes"
            continue
        assert (end.code in _REFUSALS, end.retry) == (True, False), end.message
        told.append(end.code)
    assert told.count(FailureCode.CORRUPT_IMAGE) >= 3


@pytest.mark.parametrize("kind", _FORMATS)
def test_a_checksum_tells_every_damage(
    kind: str, made: dict[str, bytes], server: BadServer, url_config: Make, pvc_config: Make, tmp_path: Path
) -> None:
    whole = made[kind]
    checksum = "sha256:" + hashlib.sha256(whole).hexdigest()
    chance = random.Random(kind)
    damaged = [whole[:-512], whole[:-1], whole + b"\0"]
    for _ in range(3):
        at = chance.randrange(len(whole))
        damaged.append(whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :])
    for number, body in enumerate(damaged):
        (tmp_path / "source" / "disk").write_bytes(body)
        server.serve(f"/{number}", body)
        for config in (pvc_config("disk", checksum), url_config(server.url(f"/{number}"), checksum)):
            end = run(config, tmp_path)
            assert isinstance(end, WorkerError), f"damage {number} passed"
            assert end.code in {FailureCode.CHECKSUM_MISMATCH, *_REFUSALS}
            assert not end.retry


@pytest.mark.parametrize("kind", _FORMATS)
def test_rot_anywhere_ends_in_a_refusal_or_a_disk(
    kind: str, made: dict[str, bytes], pvc_config: Make, tmp_path: Path
) -> None:
    """Nothing but a checksum tells a flipped bit of data; but no damage makes the worker break down."""
    whole = made[kind]

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    def rot(data: st.DataObject) -> None:
        body = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 4))):
            # Tables are at the start of most formats.
            start = data.draw(st.one_of(st.integers(0, min(len(whole), 4096) - 1), st.integers(0, len(whole) - 1)))
            noise = data.draw(st.binary(min_size=1, max_size=16))
            body[start : start + len(noise)] = noise
        (tmp_path / "source" / "disk").write_bytes(bytes(body[: len(whole)]))
        end = run(pvc_config("disk"), tmp_path)
        if isinstance(end, WorkerError):
            assert (end.code in _REFUSALS, end.retry) == (True, False), (end.code, end.message)
        else:
            assert end.disk is not None
            assert end.disk.virtual_size <= 64 * MIB

    rot()


def test_a_raw_disk_that_broke_off_is_told_by_its_partitions(
    made: dict[str, bytes], pvc_config: Make, tmp_path: Path
) -> None:
    """Nothing else in a raw disk says how long it was."""
    (tmp_path / "source" / "disk").write_bytes(made["raw"][: 5 * MIB])
    end = run(pvc_config("disk"), tmp_path)
    assert isinstance(end, Report)
    assert end.prerequisites is not None
    errors = [each for each in end.prerequisites.findings if each.severity == "error"]
    assert [each for each in errors if each.id.startswith("PRT")], end.prerequisites.findings
