"""The checks on real disks: Debian installed from packages, prepared and unprepared."""

import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.prerequisites.filesystems import need
from tests.support.disks import ROOT, disk_image

from gallery_operator.contract import GuestProfile, PrerequisitesConfig
from gallery_operator.prerequisites.checker import check_disk
from gallery_operator.prerequisites.container import ContainerFacts
from gallery_operator.prerequisites.disk import FileDisk
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import CheckReport, Status
from gallery_operator.prerequisites.readers.base import Kind

pytestmark = [pytest.mark.images, pytest.mark.timeout(1500)]

ROOT_OFFSET = 65 << 20
MEBIBYTES = 150


def check(path: Path, **profile: str) -> CheckReport:
    with FileDisk(path) as disk:
        container = ContainerFacts("raw", disk.size, disk.size)
        return check_disk(disk, GuestProfile(**profile), PrerequisitesConfig(), container)  # type: ignore[arg-type]


def ids(report: CheckReport, status: Status) -> set[str]:
    return {each.id for each in report.results if each.status is status}


@pytest.fixture(scope="module")
def prepared() -> Path:
    return disk_image("debian-12-gen2")


@pytest.fixture(scope="module")
def unprepared() -> Path:
    return disk_image("debian-12-unprepared")


def test_the_prepared_disk_passes(prepared: Path) -> None:
    report = check(prepared)
    assert (report.verdict, report.distribution, report.architecture) == ("ok", "debian 12", "x64")
    assert ids(report, Status.FAIL) == ids(report, Status.UNKNOWN) == ids(report, Status.WARN) == set()
    assert report.notes == ()


def test_the_unprepared_disk_has_the_findings_that_were_put_there(unprepared: Path) -> None:
    report = check(unprepared)
    assert report.verdict == "failed"
    assert ids(report, Status.FAIL) >= {"FST001", "SSH006", "CLD004", "DPR003", "DPR005"}
    assert ids(report, Status.WARN) >= {"PRT011", "CMD001", "SSH004", "DPR006", "DPR009"}
    assert ids(report, Status.UNKNOWN) == set()
    messages = {each.id: each.message for each in report.results}
    assert "/etc/fstab:3 /dev/vdb" in messages["FST001"]
    assert "/home/alice/.ssh/authorized_keys" in messages["SSH006"]
    assert "alice" in messages["DPR005"]


def test_the_prepared_disk_is_no_generation_1(prepared: Path) -> None:
    report = check(prepared, hyper_v_generation="V1")
    assert {"PRT007", "PRT008"} <= ids(report, Status.FAIL)


def test_a_specialized_disk_may_keep_its_identity(unprepared: Path) -> None:
    report = check(unprepared, os_state="Specialized")
    assert ids(report, Status.FAIL) == {"FST001"}


def test_the_data_disk(tmp_path: Path) -> None:
    assert check(disk_image("data-disk"), disk_role="data").verdict == "ok"


@pytest.mark.parametrize(
    ("name", "code"),
    [("debian-12-gen2.vhd", 0), ("debian-12-gen2.qcow2.xz", 0), ("debian-12-unprepared.vhd", 1)],
)
def test_the_command_on_every_format(name: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gallery_operator", "check", "-o", "json", disk_image(name)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
    )
    assert done.returncode == code, done.stderr
    document = json.loads(done.stdout)
    assert document["distribution"] == "debian 12"
    assert document["container"]["virtualSize"] == 2 << 30


MEASURED = """
import sys
from gallery_operator.cli import main

code = main(sys.argv[1:])
# Of this program alone: ru_maxrss would count the test runner that it was forked from.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(int(peak) / 1024, file=sys.stderr)
sys.exit(code)
"""


def test_it_is_small(prepared: Path) -> None:
    """A process of its own: Python's start and all imports count. How long it takes is for `make bench-check`."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "check", "-o", "json", prepared],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
        check=True,
    )
    assert float(done.stderr.split()[-1]) < MEBIBYTES


# A second witness that needs no mount: e2fsprogs' debugfs reads the same file system with other code.


def test_debugfs_reads_the_same(unprepared: Path, tmp_path: Path) -> None:
    """The whole tree: names, bytes, modes, links; owners where the dump may keep them."""
    need("debugfs")
    command = ["debugfs", "-R", f"rdump / {tmp_path}", f"{unprepared}?offset={ROOT_OFFSET}"]
    subprocess.run(command, check=True, capture_output=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    with Guest(FileDisk(unprepared), GuestProfile()) as guest:
        assert assert_same_tree(guest, tmp_path, Path("/"), bits=0o777, devices=False) > 10_000


def assert_same_tree(guest: Guest, top: Path, root: Path, *, bits: int = 0o7777, devices: bool = True) -> int:
    """Everything below ``top`` is the guest's below ``root``, and nothing else is there; returns how much that is.

    Not everything that a program writes into a folder has what it read: ``bits`` are those of the mode that it keeps
    (none: nor does it keep owners), ``devices`` says whether it makes device nodes.
    """
    seen = 0
    # What is mounted at run time hides what the file system has there.
    hidden = {each.mount_point for each in guest.fstab.entries if each.mount_point != str(root)}
    for path, folders, files in os.walk(top):
        inside = root / Path(path).relative_to(top)
        names = guest.tree.names(str(inside))
        if not devices:
            names = [each for each in names if guest.tree.stat(f"{inside}/{each}", follow=False).kind is not Kind.OTHER]
        assert names == sorted([*folders, *files]), inside
        folders[:] = [each for each in folders if str(inside / each) not in hidden]
        for each in (*folders, *files):
            seen += 1
            assert_same_node(guest, str(inside / each), Path(path) / each, bits)
    return seen


def assert_same_node(guest: Guest, entry: str, real: Path, bits: int) -> None:
    expected, facts = real.lstat(), guest.tree.stat(entry, follow=False)
    assert facts.kind is Kind.of_mode(expected.st_mode), entry
    if os.geteuid() == 0 and bits:
        assert (facts.uid, facts.gid) == (expected.st_uid, expected.st_gid), entry
    if facts.kind is Kind.LINK:
        assert guest.tree.readlink(entry) == str(real.readlink()), entry
        return
    assert facts.mode is not None
    assert facts.mode & bits == stat.S_IMODE(expected.st_mode) & bits, entry
    if facts.kind is Kind.FILE:
        assert guest.tree.read(entry, 64 << 20) == real.read_bytes(), entry


# Damage: whatever happens to the bytes, the checks end, in time, without a crash.

FUZZ = """
import random, resource, sys, time
from gallery_operator.contract import GuestProfile, PrerequisitesConfig
from gallery_operator.prerequisites.checker import check_disk
from gallery_operator.prerequisites.disk import FileDisk
from gallery_operator.prerequisites.readers.partitions import read_table

class Damaged(FileDisk):
    spots = ()
    def pread(self, length, offset):
        data = super().pread(length, offset)
        hit = [(at, noise) for at, noise in self.spots if offset <= at < offset + len(data)]
        if hit:
            data = bytearray(data)
            for at, noise in hit:
                data[at - offset : at - offset + len(noise)] = noise[: len(data) - (at - offset)]
            data = bytes(data)
        return data

path, seed, until = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
rng = random.Random(seed)
MIB = 1 << 20
interesting = [(0, MIB), (2048 * MIB - 17408, 2048 * MIB)]
with FileDisk(path) as disk:
    for each in read_table(disk).partitions:
        interesting += [(each.start, each.start + MIB), (each.start, each.start + min(each.size, 25 * MIB))]
rounds = 0
while time.monotonic() < until:
    with Damaged(path) as disk:
        spots = []
        for _ in range(rng.choice((1, 3, 20, 200))):
            low, high = rng.choice(interesting) if rng.random() < 0.8 else (0, disk.size)
            spots.append((rng.randrange(low, high), rng.randbytes(rng.choice((1, 2, 4, 16, 512)))))
        disk.spots = tuple(spots)
        # Processor time: a busy machine does not count.
        started = time.process_time()
        report = check_disk(disk, GuestProfile(), PrerequisitesConfig())
        took = time.process_time() - started
        assert took < 20, (seed, rounds, took)
        assert len(report.results) > 50
        rounds += 1
# Of this program alone: ru_maxrss would count the test runner that it was forked from.
peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024
print(rounds, peak)
"""


@pytest.mark.parametrize(
    ("seed", "name"),
    [(1, "debian-12-gen2"), (2, "debian-12-gen1-xfs"), (3, "debian-12-btrfs"), (4, "debian-12-lvm")],
)
def test_damaged_disks_end_in_a_report(seed: int, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, disk_image(name), str(seed), "4"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rounds, memory = map(int, done.stdout.split())
    assert rounds > 2
    assert memory < 1024


def test_the_operator_has_no_capability_to_need(prepared: Path) -> None:
    """As nobody, without a capability and without new privileges, as in the Job's pod."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become nobody")
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 64:
        pytest.skip("too few file descriptors")
    need("setpriv")
    with prepared.open("rb") as file:
        program = (
            "import sys; from gallery_operator.prerequisites.checker import check_disk;"
            "from gallery_operator.prerequisites.disk import FileDisk; from gallery_operator.contract import *;"
            "print(check_disk(FileDisk('/dev/stdin'), GuestProfile(), PrerequisitesConfig()).verdict)"
        )
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs",
             sys.executable, "-c", program],
            stdin=file, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
        )  # fmt: skip
    if "Permission denied" in done.stderr:
        pytest.skip("this checkout is not readable for nobody")
    assert done.stdout.strip() == "ok", done.stderr
