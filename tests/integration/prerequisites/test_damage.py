"""Random damage to every file system that is read: it ends, in bounded time and memory, without a crash."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.prerequisites.filesystems import MIB, disk_with, lvm_with, make_file_system
from tests.support.disks import ROOT

SIZES = {"ext4": 24 * MIB, "ext2": 24 * MIB, "xfs": 320 * MIB, "btrfs": 128 * MIB, "vfat": 64 * MIB, "lvm": 24 * MIB}
SECONDS = 4.0

# A process of its own: a library that crashes must not take the tests with it, and its memory can be bounded.
FUZZ = """
import random, resource, sys, time
from gallery_operator.contract import GuestProfile
from gallery_operator.prerequisites.disk import FileDisk
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.readers.base import Kind, ReadError
from gallery_operator.prerequisites.tree import Tree

path, seed, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
rng = random.Random(seed)
# Only what is in use is worth damaging: pieces of 512 bytes that are not all zeros.
used = []
with open(path, "rb") as file:
    at = 0
    while piece := file.read(1 << 20):
        if at and piece.strip(bytes(1)):
            used += [at + each for each in range(0, len(piece), 512) if any(piece[each : each + 512])]
        at += len(piece)
used = used[:4000]
until = time.monotonic() + seconds

class Damaged(FileDisk):
    spots = {}
    def pread(self, length, offset):
        out = bytearray(super().pread(length, offset))
        for at, noise in self.spots.items():
            if offset <= at < offset + len(out):
                out[at - offset : at - offset + len(noise)] = noise[: len(out) - (at - offset)]
        return bytes(out)

rounds = read = refused = 0
while rounds < 2 or time.monotonic() < until:
    # Processor time: a busy machine does not count.
    started = time.process_time()
    with Damaged(path) as disk:
        disk.spots = {
            rng.choice(used) + rng.randrange(512): rng.choice(
                (rng.randbytes(rng.choice((1, 2, 8, 64))), b"\\xff" * 8, bytes(8))
            )
            for _ in range(rng.choice((1, 3, 10, 60)))
        }
        with Guest(disk, GuestProfile()) as guest:
            for volume in guest.layout.volumes:
                try:
                    tree = Tree(guest.open_volume(volume))
                    for entry, facts in tree.walk("/", 5000):
                        try:
                            if facts.kind is Kind.FILE:
                                tree.read(entry, 8 << 20)
                                read += 1
                            elif facts.kind is Kind.LINK:
                                tree.exists(entry)
                        except ReadError:
                            refused += 1
                except ReadError:
                    refused += 1
            try:
                guest.tree.names("/etc")
            except ReadError:
                refused += 1
    assert time.process_time() - started < 20, (seed, rounds, time.process_time() - started)
    rounds += 1
# Of this program alone: ru_maxrss would count the test runner that it was forked from.
peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024
print(rounds, read, refused, peak)
"""


@pytest.mark.parametrize("kind", SIZES)
def test_damage_is_refused_or_read(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "source"
    for name in ("etc", "usr/lib", "names"):
        (folder / name).mkdir(parents=True)
    (folder / "etc/fstab").write_text("LABEL=x / ext4 defaults 0 1\n")
    (folder / "usr/lib/large").write_bytes(random.Random(3).randbytes(200_000))
    for number in range(150):
        (folder / f"names/a-name-of-some-length-{number}").write_text(str(number))
    if kind != "vfat":
        (folder / "etc/link").symlink_to("../usr/lib/large")
        (folder / "loop").symlink_to("loop/loop")
    make_file_system("ext4" if kind == "lvm" else kind, folder, tmp_path / "fs", SIZES[kind])
    image = tmp_path / "fs"
    if kind == "lvm":
        lvm_with(image, tmp_path / "pv")
        image = tmp_path / "pv"
    disk_with(image, tmp_path / "disk")
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, tmp_path / "disk", "7", str(SECONDS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])
    rounds, read, refused, memory = map(int, done.stdout.split())
    assert rounds >= 2
    assert read > 0
    assert refused > 0
    assert memory < 1024
