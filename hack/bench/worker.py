"""Measure time and memory of the worker on a large sparse disk.

    .venv/bin/python hack/bench/worker.py [--size 64] [--data 1] [--format raw] [--concurrency 16] [--folder DIR]

Makes a sparse disk of ``--size`` GiB with ``--data`` GiB of random bytes in it, prepares it in place and
uploads it into Azurite (through the test stand of ``tests/support/azure.py``), each as a process of its own.
Prints wall time, CPU time and the largest resident set. Nothing is left behind.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from azure.storage.blob import BlobSasPermissions, BlobServiceClient, generate_blob_sas  # noqa: E402
from tests.support.azure import STORAGE_ACCOUNT, AzureStand  # noqa: E402

from gallery_operator.contract import Report  # noqa: E402

GIB = 1 << 30
MIB = 1 << 20


def make_disk(path: Path, size: int, data: int) -> None:
    """Write a sparse disk whose data lies in 64 pieces, spread over it."""
    piece = data // 64
    with path.open("wb") as file:
        for index in range(64):
            file.seek(index * (size // 64))
            for _ in range(0, piece, MIB):
                file.write(secrets.token_bytes(MIB))
        file.seek(510)
        file.write(b"\x55\xaa")
        file.truncate(size)


IMAGES = {
    "qcow2": ["-O", "qcow2"],
    "qcow2-compressed": ["-c", "-O", "qcow2"],
    "vhdx": ["-O", "vhdx"],
    "vhd": ["-O", "vpc", "-o", "subformat=dynamic,force_size"],
    "vmdk": ["-O", "vmdk", "-o", "subformat=streamOptimized"],
}


def run(job: str, config: dict[str, object], folder: Path) -> Report:
    """Run one worker and print what it took."""
    log = folder / "termination-log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "WORKER_CONFIG": json.dumps(config),
                   "TERMINATION_LOG": str(log)}  # fmt: skip
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "gallery_operator", "worker", job], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    report = Report.model_validate_json(log.read_text())
    if process.returncode != 0:
        raise SystemExit(f"{job}: {report.message}")
    cpu = usage.ru_utime + usage.ru_stime
    print(f"{job:8} {wall:7.1f} s wall {cpu:7.1f} s CPU {usage.ru_maxrss / 1024:7.1f} MiB largest resident set")
    return report


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=64, help="GiB of the disk")
    parser.add_argument("--data", type=float, default=1, help="GiB of random data in it")
    parser.add_argument("--format", choices=["raw", *IMAGES], default="raw", help="of the image on the claim")
    parser.add_argument("--concurrency", type=int, default=16, help="requests in flight")
    parser.add_argument("--folder", type=Path, default=None, help="where to work (a file system with holes)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        for each in ("scratch", "source", "azure"):
            (folder / each).mkdir()
        size = int(options.size * GIB)
        make_disk(folder / "raw", size, int(options.data * GIB))
        if options.format == "raw":
            (folder / "raw").replace(folder / "source" / "disk")
        else:
            image = folder / "source" / "disk"
            subprocess.run(
                ["qemu-img", "convert", "-f", "raw", *IMAGES[options.format], folder / "raw", image], check=True
            )
            (folder / "raw").unlink()
        common: dict[str, object] = {"scratch_dir": str(folder / "scratch"), "source_dir": str(folder / "source"),
                                     "port": 0}  # fmt: skip
        prepared = run("prepare", {
            **common, "source": {"kind": "pvc", "path": "disk"}, "max_virtual_size": size,
            "guest": {"disk_role": "data"}, "prerequisites": {"policy": "Warn"},
        }, folder)  # fmt: skip
        if prepared.disk is None:
            raise SystemExit("prepare reported no disk")
        stand = AzureStand(folder / "azure")
        stand.start()
        try:
            key = stand.account_key
            service = BlobServiceClient(stand.account_url, credential=key, connection_verify=str(stand.ca_file))
            service.create_container("bench")
            sas = generate_blob_sas(
                STORAGE_ACCOUNT, "bench", "disk.vhd", account_key=key,
                permission=BlobSasPermissions.from_string("rcw"), expiry=datetime.now(UTC) + timedelta(hours=5),
            )  # fmt: skip
            (folder / "url").write_text(f"{stand.account_url}/bench/disk.vhd?{sas}")
            report = run("upload", {
                **common, "target": "pageBlob", "virtual_size": prepared.disk.virtual_size,
                "sha256": prepared.disk.sha256, "concurrency": options.concurrency,
                "target_url_file": str(folder / "url"), "ca_bundle": str(stand.ca_file),
            }, folder)  # fmt: skip
            print(f"         {report.message}")
        finally:
            stand.stop()


if __name__ == "__main__":
    main()
