#!/usr/bin/env python3
"""How fast a disk is uploaded, with how much processor time and memory, beside azcopy.

    hack/bench/upload.py [--size GIB] [--pairs N] [--disk dense|third|empty]... [--no-check]     or: make bench-upload

Three fixed VHDs (all data, one third data, 95 % empty; kept in the cache) go into a local page-blob sink that speaks
TLS and throws the content away, so that the uploaders are what is measured. Ours is the upload Job as the cluster
starts it: Python's start, every import, the lease, the comparison of every piece with its digest, the listing
afterwards, all counted; what the Job `prepare` did before (it reads the disk once, to check and to hash it) is shown
beside and not counted. A pair is one run of each, taken in turn. Before the measured runs each uploads once into a sink
that keeps the content and verifies every checksum, and the digest is compared. The last line is the least of the disks'
median ratios of time, azcopy's to ours.
"""

import argparse
import hashlib
import os
import ssl
import statistics
import sys
import tempfile
import threading
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))

import hardware
from stand import DENSITIES, GIB, MIB, Azcopy, Ours, Sample, Sink, cache, make_disk, spread

MOST_MEBIBYTES = 128.0
SPEED = 1.5
PROCESSOR = 0.5


def show(name: str, samples: list[Sample], sent: int) -> None:
    """Print the medians of one uploader."""
    wall = statistics.median(sample.wall for sample in samples)
    processor = statistics.median(sample.processor for sample in samples)
    peak = max(sample.mebibytes for sample in samples)
    rate = sent / MIB / wall
    print(f"  {name:17} {wall:7.2f} s {rate:7.0f} MiB/s of data {processor:7.2f} s CPU {peak:7.1f} MiB at most")


def check(folder: Path, ours: Ours, azcopy: Azcopy, disk: Path) -> None:
    """Have both upload into a sink that keeps what it gets, and compare."""
    with disk.open("rb") as file:
        whole = hashlib.file_digest(file, "sha256").hexdigest()
    with tempfile.TemporaryDirectory(dir=folder) as kept, Sink(folder, "-folder", kept, "-verify") as sink:
        for uploader, digest in ((azcopy, whole), (ours, ours.digest)):
            uploader.send(sink, "bench/check.vhd")
            if sink.ask("sha256/account/bench/check.vhd") != digest:
                raise SystemExit(f"{uploader.name} has left other bytes than those of {disk.name}")
            sink.ask("reset", "POST")


def measure(folder: Path, kind: str, size: int, pairs: int, checked: bool) -> tuple[float, bool]:
    """Measure one disk; return the ratio of times and whether all goals are met."""
    disk = make_disk(kind, size)
    ours, azcopy = Ours(folder, disk), Azcopy(folder, disk)
    if checked:
        check(folder, ours, azcopy, disk)
    mine: list[Sample] = []
    theirs: list[Sample] = []
    with Sink(folder) as sink:
        for number in range(pairs):
            theirs.append(azcopy.send(sink, f"bench/theirs-{number}.vhd"))
            mine.append(ours.send(sink, f"bench/ours-{number}.vhd"))
    sent = disk.stat().st_blocks * 512
    print(f"{kind}: {size / GIB:g} GiB, {sent / GIB:.2f} GiB of data, digests {'equal' if checked else 'not compared'}")
    show(azcopy.name, theirs, sent)
    show(ours.name, mine, sent)
    print(f"  {'(prepare before)':17} {ours.prepared.wall:7.2f} s {'':22} {ours.prepared.processor:7.2f} s CPU")
    speed = [b.wall / a.wall for a, b in zip(mine, theirs, strict=True)]
    processor = [a.processor / b.processor for a, b in zip(mine, theirs, strict=True)]
    print(f"  time, azcopy / ours: {spread(speed)}; CPU, ours / azcopy: {spread(processor)}")
    ratio = statistics.median(speed)
    met = (
        ratio >= SPEED
        and statistics.median(processor) <= PROCESSOR
        and max(sample.mebibytes for sample in mine) <= MOST_MEBIBYTES
    )
    print(f"  goals (>= {SPEED} x, <= {PROCESSOR} x CPU, <= {MOST_MEBIBYTES:.0f} MiB): {'met' if met else 'MISSED'}")
    return ratio, met


def limits(folder: Path, disk: Path) -> None:
    """Print what the machine could do at best, alone and into the same sink."""
    hardware.title()
    hardware.memory_copy()
    hardware.disk_read(disk)
    hardware.digests("CRC-64", "AES-GMAC")
    hardware.tls()
    block, amount = os.urandom(hardware.BLOCK), GIB
    with Sink(folder) as sink:
        address = urlsplit(sink.url)
        context = ssl.create_default_context(cafile=sink.certificate)

        def send() -> None:
            connection = HTTPSConnection(address.hostname or "", address.port, context=context)
            for _ in range(amount // len(block) // 4):
                headers = {"x-ms-page-write": "update", "x-ms-range": f"bytes=0-{len(block) - 1}"}
                connection.request("PUT", "/account/bench/limit?comp=page", body=block, headers=headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 201:
                    raise SystemExit(f"the sink answered {answer.status}")
            connection.close()

        def send_all() -> int:
            threads = [threading.Thread(target=send) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return amount

        create = HTTPSConnection(address.hostname or "", address.port, context=context)
        headers = {"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": str(amount), "Content-Length": "0"}
        create.request("PUT", "/account/bench/limit", headers=headers)
        create.getresponse().read()
        create.close()
        hardware.show("pages, 4 connections", send_all, "   (one page over and over into the same sink)")


def main() -> int:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=8, help="GiB of each disk")
    parser.add_argument("--pairs", type=int, default=3, help="measured runs of each")
    parser.add_argument("--disk", action="append", choices=list(DENSITIES), help="only this one; may be repeated")
    parser.add_argument("--check", action=argparse.BooleanOptionalAction, default=True, help="compare digests first")
    options = parser.parse_args()
    size = int(options.size * 1024) * MIB
    ratios, all_met = [], True
    for kind in options.disk or DENSITIES:
        with tempfile.TemporaryDirectory(dir=cache()) as name:
            ratio, met = measure(Path(name), kind, size, options.pairs, options.check)
            ratios.append(ratio)
            all_met = all_met and met
            if kind == (options.disk or list(DENSITIES))[-1]:
                limits(Path(name), disk=make_disk((options.disk or list(DENSITIES))[0], size))
    print(f"all goals {'met' if all_met else 'NOT met'}; upload, azcopy's time / ours, least of the disks:")
    print(f"{min(ratios):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
