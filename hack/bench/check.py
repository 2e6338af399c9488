#!/usr/bin/env python3
"""How long all checks take on an installed Debian, and how much memory, beside `guestfish -i` on the same disk.

    hack/bench/check.py [--runs N] [DISK]      or: make bench-check

Each run is a process of its own, as a user would start it: Python's start and every import count. Memory is the peak of
the process and its children. guestfish boots an appliance and inspects the disk, which is the usual way to look into a
disk without privileges (in software emulation: a pod has no /dev/kvm). A pair is one run of each, taken in turn. The
last line is the ratio of the medians, or says that guestfish is not installed.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_SECONDS = 1.5
MAX_MEBIBYTES = 150.0
PAIRED_RUNS = 3
PERIOD = 0.005


@dataclass(frozen=True)
class Sample:
    """One run: wall seconds, processor seconds, and peak resident MiB of the process with its children."""

    wall: float
    processor: float
    mebibytes: float


def resident(pid: int) -> float:
    """Resident MiB of a process and its children now."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    own = next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:")), 0.0)
    return own + sum(resident(int(child)) for child in children)


def run(command: list[str], environment: dict[str, str]) -> Sample:
    """Run a command to its end."""
    started = time.monotonic()
    child = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment
    )
    done, peaks = threading.Event(), [0.0]

    def watch() -> None:
        while not done.wait(PERIOD):
            peaks[0] = max(peaks[0], resident(child.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - started
    done.set()
    watcher.join()
    child.stderr.close()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command[0]} ended with {child.returncode}: {said.decode(errors='replace')[-500:]}")
    # What the sampling missed of the process itself, the kernel has kept.
    return Sample(wall, usage.ru_utime + usage.ru_stime, max(peaks[0], usage.ru_maxrss / 1024))


def describe(name: str, samples: list[Sample]) -> float:
    """Print a line; returns the median of the wall time."""
    wall = [each.wall for each in samples]
    median, processor = statistics.median(wall), statistics.median(each.processor for each in samples)
    peak = max(each.mebibytes for each in samples)
    print(
        f"{name}: {median:.2f} s (fastest {min(wall):.2f}, slowest {max(wall):.2f}; processor {processor:.2f} s)",
        end="",
    )
    print(f", peak {peak:.0f} MiB, {len(samples)} runs", flush=True)
    return median


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("disk", nargs="?", type=Path)
    parser.add_argument("--runs", type=int, default=10, help="of the checks, where guestfish is not installed")
    options = parser.parse_args()
    disk = options.disk
    if disk is None:
        built = subprocess.run(
            [ROOT / "hack/images/disks/build", "debian-12-gen2"], stdout=subprocess.PIPE, check=False
        )
        if built.returncode != 0:
            return built.returncode
        disk = Path(built.stdout.decode().strip().splitlines()[-1])
    checks = [sys.executable, "-m", "gallery_operator", "check", "-o", "json", str(disk)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "PYTHONDONTWRITEBYTECODE": ""}
    guestfish = shutil.which("guestfish")
    # The first run fills the page cache and writes Python's byte code.
    run(checks, environment)
    ours: list[Sample] = []
    theirs: list[Sample] = []
    if guestfish is None:
        ours = [run(checks, environment) for _ in range(options.runs)]
    else:
        with tempfile.TemporaryDirectory(prefix="gallery-operator-bench-") as work:
            direct = {
                **os.environ,
                "LIBGUESTFS_BACKEND": "direct",
                "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg",
                "TMPDIR": work,
                "LIBGUESTFS_CACHEDIR": work,
            }
            look = [guestfish, "--ro", "--format=raw", "-a", str(disk), "-i", "cat", "/etc/os-release"]
            run(look, direct)  # builds its appliance
            for _ in range(PAIRED_RUNS):
                theirs.append(run(look, direct))
                ours.append(run(checks, environment))
    median = describe("all checks", ours)
    peak = max(each.mebibytes for each in ours)
    met = median < MAX_SECONDS and peak < MAX_MEBIBYTES
    print(f"target: under {MAX_SECONDS} s and {MAX_MEBIBYTES:.0f} MiB: {'met' if met else 'NOT met'}")
    if theirs:
        other = describe("guestfish -i", theirs)
        print(f"ratio: {other / median:.1f} times faster than guestfish -i")
    else:
        print("ratio: not measured, guestfish is not installed (Debian: libguestfs-tools linux-image-amd64)")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
