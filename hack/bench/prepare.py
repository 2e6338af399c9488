#!/usr/bin/env python3
"""How fast a compressed disk at a URL becomes a hashed raw disk, beside the three commands that people run today.

    hack/bench/prepare.py [--size GIB] [--data GIB] [--runs N] [--only NAME] [--folder DIR]   or: make bench-prepare

"Today" is `curl | xz -d` (or `zstd -d`), then `qemu-img convert` into a fixed VHD, then `sha256sum` of it, one after
the other. Ours is the Job `prepare`, a process of its own: Python's start, every import, the prerequisite checks, the
digest of every range and its fsync count, which the other side does not do. A pair is one run of each, taken in turn;
a pair's ratio is of its wall times, so that the load of the machine at that time weighs on both. The web server is a
process of its own that sends from the page cache and serves ranges.

The disk is random words (they compress about 2:1, as an installed system does) in 64 places, holes between them. The
files are compressed with `xz -T0 -1` and `zstd -3`: xz cuts a file into blocks then, as its versions since 5.6 do by
default; `--xz-threads 1` makes one block instead. `xz -d` runs as the distribution has it; `--xz-decode=-T0` gives it
all processors. "Written" is what the kernel counts as sent towards storage (pages that became dirty), in whole; for it
the folder must not be a tmpfs. Before it all come the limits of the machine (``hardware.py``): compare "today" and
ours with the disk, SHA-256 and the decompression of the same files. The last line is the smaller ratio of the two.
"""

import argparse
import http.server
import json
import multiprocessing
import os
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import hardware

ROOT = Path(__file__).resolve().parents[2]
GIB, MIB = 1 << 30, 1 << 20
PLACES = 64
PERIOD = 0.01
NAMES = ("qcow2.xz", "raw.zst")
WANTED = 2.0


@dataclass(frozen=True)
class Sample:
    """One run: wall and processor seconds, peak resident MiB of all its processes at once, MiB sent to storage."""

    wall: float
    processor: float
    peak: float
    written: float


class RangeHandler(http.server.BaseHTTPRequestHandler):
    """Serves the files of one folder with sendfile, in whole or one range of bytes."""

    protocol_version = "HTTP/1.1"
    folder = Path()

    def do_GET(self) -> None:
        """Answer."""
        path = self.folder / Path(self.path).name
        size = path.stat().st_size
        start, end = 0, size
        wanted = self.headers.get("Range")
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(size, int(last) + 1) if last else size
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", f'"{size:x}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        with path.open("rb") as file:
            while start < end:
                try:
                    start += os.sendfile(self.wfile.fileno(), file.fileno(), start, end - start)
                except OSError:
                    self.close_connection = True
                    return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing."""


def serve(folder: Path, ports: "multiprocessing.Queue[int]") -> None:
    """Serve a folder until the process is ended."""
    RangeHandler.folder = folder
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RangeHandler)
    server.daemon_threads = True
    ports.put(server.server_address[1])
    server.serve_forever()


def make_disk(path: Path, size: int, data: int) -> None:
    """Write a sparse disk of ``size`` bytes with ``data`` bytes of random words in 64 places."""
    chance = random.Random(6)
    words = [chance.randbytes(chance.randint(2, 9)) for _ in range(4000)]
    piece = data // PLACES
    with path.open("wb") as file:
        for place in range(PLACES):
            file.seek(size // PLACES * place)
            left = piece
            while left > 0:
                block = b"".join(chance.choices(words, k=180_000))[: min(left, MIB)]
                left -= file.write(block)
        file.seek(510)
        file.write(b"\x55\xaa")
        file.truncate(size)


def make_files(cache: Path, size: int, data: int, threads: int) -> Path:
    """Return a folder with the compressed files, made once for each set of parameters."""
    folder = cache / f"{size >> 20}-{data >> 20}-{threads}"
    if folder.is_dir():
        return folder
    print("making the disk and its compressed files (once) ...", flush=True)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    raw, qcow2 = part / "raw", part / "qcow2"
    make_disk(raw, size, data)
    for command in (
        ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2],
        ["xz", "-1", f"-T{threads}", qcow2],
        ["zstd", "-q", "-3", "--rm", raw, "-o", part / "raw.zst"],
    ):
        subprocess.run([str(each) for each in command], check=True)
    part.rename(folder)
    return folder


def resident(pid: int) -> float:
    """Resident MiB of a process and its children now."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = " ".join(each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:
        return 0.0
    own = next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:")), 0.0)
    return own + sum(resident(int(child)) for child in children.split())


def run(command: list[str], environment: dict[str, str], log: Path) -> Sample:
    """Run a command to its end."""
    started = time.monotonic()
    with log.open("wb") as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)
    done, peaks = threading.Event(), [0.0]

    def watch() -> None:
        while not done.wait(PERIOD):
            peaks[0] = max(peaks[0], resident(child.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    # Its counters can still be read when it has ended and nobody has waited for it yet.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    wall = time.monotonic() - started
    counters = dict(line.split(": ") for line in Path(f"/proc/{child.pid}/io").read_text().splitlines())
    _, status, usage = os.wait4(child.pid, 0)
    done.set()
    watcher.join()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command[0]} ended with {child.returncode}: {log.read_text(errors='replace')[-800:]}")
    written = int(counters["write_bytes"]) / MIB
    return Sample(wall, usage.ru_utime + usage.ru_stime, max(peaks[0], usage.ru_maxrss / 1024), written)


def theirs(name: str, url: str, folder: Path, decode: str) -> Sample:
    """Run the three commands, one after the other."""
    kind, _, compression = name.partition(".")
    plain, vhd = shlex.quote(str(folder / kind)), shlex.quote(str(folder / "vhd"))
    unpack = f"xz -d {decode} > {plain}" if compression == "xz" else f"zstd -q -d -f -o {plain}"
    script = (
        f"set -eo pipefail; curl -sSf {shlex.quote(url)} | {unpack}; "
        f"qemu-img convert -f {kind} -O vpc -o subformat=fixed,force_size=on {plain} {vhd}; sha256sum {vhd}; true"
    )
    return run(["bash", "-c", script], dict(os.environ), folder / "log")


def ours(url: str, size: int, folder: Path) -> Sample:
    """Run the Job."""
    scratch = folder / "scratch"
    scratch.mkdir()
    config = {
        "source": {"kind": "url", "url": url, "allowed_hosts": ["127.0.0.1"]},
        "max_virtual_size": size,
        "guest": {"disk_role": "data"},
        "prerequisites": {"policy": "Warn"},
        "scratch_dir": str(scratch),
        "port": 0,
    }
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "WORKER_CONFIG": json.dumps(config),
                   "TERMINATION_LOG": str(folder / "termination-log")}  # fmt: skip
    return run([sys.executable, "-m", "gallery_operator", "worker", "prepare"], environment, folder / "log")


def describe(who: str, samples: list[Sample]) -> None:
    """Print the medians and the spread."""
    wall = [each.wall for each in samples]
    processor = statistics.median(each.processor for each in samples)
    peak, written = max(each.peak for each in samples), statistics.median(each.written for each in samples)
    print(
        f"  {who}: {statistics.median(wall):.1f} s (fastest {min(wall):.1f}, slowest {max(wall):.1f}), processor "
        f"{processor:.1f} s, peak {peak:.0f} MiB, written {written:.0f} MiB"
    )


def limits(folder: Path, files: Path) -> None:
    """Print what the machine itself can do, so that one sees what is left."""
    hardware.title()
    hardware.memory_copy()
    hardware.disk_read(files / "raw.zst")
    hardware.disk_write(folder)
    hardware.decompression(files / "qcow2.xz", files / "raw.zst")
    hardware.digests("SHA-256", "AES-GMAC")


def compare(name: str, url: str, options: argparse.Namespace, work: Path) -> float:
    """Run the pairs of one format; returns the median of their ratios."""
    before: list[Sample] = []
    after: list[Sample] = []
    for index in range(options.runs):
        # Who begins changes from pair to pair, so that neither has the better half of a changing load.
        for who in ("theirs", "ours") if index % 2 == 0 else ("ours", "theirs"):
            with tempfile.TemporaryDirectory(dir=work) as temporary:
                folder = Path(temporary)
                if who == "theirs":
                    before.append(theirs(name, url, folder, options.xz_decode))
                else:
                    after.append(ours(url, int(options.size * GIB), folder))
    ratios = [one.wall / other.wall for one, other in zip(before, after, strict=True)]
    median = statistics.median(ratios)
    print(f"{name}: {median:.2f} times as fast (pairs {min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} pairs)")
    describe("today", before)
    describe("ours ", after)
    return median


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=4, help="GiB of the disk")
    parser.add_argument("--data", type=float, default=0.5, help="GiB of data in it")
    parser.add_argument("--runs", type=int, default=3, help="pairs of each format")
    parser.add_argument("--only", choices=NAMES, help="one of the formats")
    parser.add_argument("--xz-threads", type=int, default=0, help="of the xz that makes the file; 1 makes one block")
    parser.add_argument("--xz-decode", default="", metavar="OPTION", help="for today's xz -d, as --xz-decode=-T0")
    parser.add_argument("--folder", type=Path, help="where to work (a file system with holes)")
    options = parser.parse_args()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("GALLERY_OPERATOR_CACHE") or Path(home) / "gallery-operator") / "bench-prepare"
    work = options.folder or cache
    work.mkdir(parents=True, exist_ok=True)
    files = make_files(cache, int(options.size * GIB), int(options.data * GIB), options.xz_threads)
    limits(work, files)
    ports: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(files, ports), daemon=True)
    server.start()
    try:
        base = f"http://127.0.0.1:{ports.get()}"
        found = [compare(name, f"{base}/{name}", options, work) for name in NAMES if options.only in (None, name)]
    finally:
        server.terminate()
        server.join()
    print(f"ratio: {min(found):.2f} times as fast as today's commands (wanted: {WANTED:.1f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
