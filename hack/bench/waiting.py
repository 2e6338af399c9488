#!/usr/bin/env python3
"""How much of what Azure allows is used: an upload into a sink with the limits of one page blob.

    hack/bench/waiting.py [--size GIB]     or: make bench-waiting

The sink takes 60 MiB/s a blob, answers no request before 40 ms, and says 503 ServerBusy to what would have to wait for
more than 3 s. The upload Job is measured from its start to its end, Python's imports and the listing afterwards
included; what one connection and the disk would give without that limit is printed first. The last line is the share
of 60 MiB/s that it reached; at least 0.95 is wanted.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import hardware
from stand import LIMIT_BYTES, MIB, Ours, Sink, cache, make_disk

WANTED = 0.95


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=4, help="GiB of the disk, all of it data")
    options = parser.parse_args()
    disk = make_disk("dense", int(options.size * 1024) * MIB)
    with tempfile.TemporaryDirectory(dir=cache()) as name:
        ours = Ours(Path(name), disk)
        with Sink(Path(name), "-rate", str(LIMIT_BYTES), "-latency", "40ms") as sink:
            sample = ours.send(sink, "bench/waiting.vhd")
            done = json.loads(sink.ask("stats"))
        hardware.title()
        hardware.disk_read(disk)
        hardware.digests("CRC-64", "AES-GMAC")
        hardware.tls()
    best = done["page_bytes"] / LIMIT_BYTES
    print(
        f"{done['page_bytes'] / MIB:.0f} MiB in {sample.wall:.1f} s (the limit allows {best:.1f} s), "
        f"{sample.processor:.2f} s CPU, {sample.mebibytes:.1f} MiB at most, {done['pages']} requests, "
        f"{done['busy']} times 503"
    )
    ratio = best / sample.wall
    print(f"at least {WANTED} is wanted: {'met' if ratio >= WANTED else 'MISSED'}; share of the limit:")
    print(f"{ratio:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
