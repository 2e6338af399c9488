"""What the benchmarks of the upload stand on: disks in the cache, a fast page-blob sink, timed runs of uploaders."""

import json
import os
import random
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
for _folder in (ROOT / "operator", Path(__file__).parent):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from hardware import make_certificate  # noqa: E402

from gallery_operator.contract import Report  # noqa: E402
from gallery_operator.worker.formats.vhd import build_footer  # noqa: E402

MIB = 1 << 20
GIB = 1 << 30
DENSITIES = {"dense": 1.0, "third": 1 / 3, "empty": 0.05}
"""Disks by the share of them that is data."""

LIMIT_BYTES = 60 * MIB
"""Bytes per second that Azure takes into one page blob (learn.microsoft.com: scalability targets for Blob storage)."""


def cache() -> Path:
    """Return the folder for what is large and kept between runs."""
    named = os.environ.get("GALLERY_OPERATOR_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(named) if named else base / "gallery-operator"
    folder = folder / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make_disk(kind: str, size: int) -> Path:
    """Make a fixed VHD, or find it in the cache.

    Data is random and lies in extents of 256 KiB to 16 MiB at multiples of 4 KiB; what is between them are holes.

    Args:
        kind: A key of ``DENSITIES``.
        size: Bytes of the disk without the footer; a multiple of 1 MiB.
    """
    path = cache() / f"{kind}-{size // MIB}.vhd"
    if path.exists():
        return path
    print(f"making {path.name}...", file=sys.stderr)
    density, chance = DENSITIES[kind], random.Random(kind)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        at = 0
        while at < size:
            extent = min(size - at, chance.randint(64, 4096) * 4096)
            file.seek(at)
            for start in range(0, extent, MIB):
                file.write(os.urandom(min(MIB, extent - start)))
            at += extent
            if density < 1:
                at += int(extent * (1 / density - 1)) // 4096 * 4096
        file.seek(510)
        file.write(b"\x55\xaa")
        file.seek(size)
        file.write(build_footer(size, kind.encode() * 8))
    Path(file.name).rename(path)
    return path


@dataclass(frozen=True)
class Sample:
    """One run: wall seconds, processor seconds, and the largest resident set in MiB."""

    wall: float
    processor: float
    mebibytes: float


def spread(values: Sequence[float]) -> str:
    """Show the median, and the least and the greatest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


class Sink:
    """The page-blob sink as a process, with TLS as Azure has it.

    Args:
        folder: For its certificate and output.
        options: More arguments.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self.certificate = folder / "sink.crt"
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        certificate, key = make_certificate(self._folder, "sink")
        built = subprocess.run([ROOT / "hack/tools/path", "page-blob-sink"], check=True, stdout=subprocess.PIPE)
        self._process = subprocess.Popen(
            [built.stdout.decode().strip(), "-certificate", str(certificate), "-key", str(key), *self._options],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def ask(self, what: str, method: str = "GET") -> str:
        """Ask the sink itself: ``stats``, ``reset``, ``sha256/<container>/<blob>``."""
        context = ssl.create_default_context(cafile=self.certificate)
        request = urllib.request.Request(f"{self.url}/-/{what}", method=method)
        with urllib.request.urlopen(request, context=context) as answer:
            return str(answer.read().decode().strip())


def run(command: Sequence[str], environment: Mapping[str, str], what: str) -> Sample:
    """Run a command to its end and measure it.

    Raises:
        SystemExit: It failed.
    """
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            raise SystemExit(f"{what} failed:\n{output.read().decode(errors='replace')[-2000:]}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class Ours:
    """The upload Job's own program with a disk that has been prepared in place.

    Args:
        folder: For its scratch volume.
        disk: The disk.
    """

    name = "gallery-operator"

    def __init__(self, folder: Path, disk: Path) -> None:
        self._folder = folder
        (folder / "scratch").mkdir()
        self._common: dict[str, object] = {
            "scratch_dir": str(folder / "scratch"), "source_dir": str(disk.parent), "port": 0,
        }  # fmt: skip
        report, self.prepared = self._job("prepare", {
            **self._common, "source": {"kind": "pvc", "path": disk.name}, "max_virtual_size": disk.stat().st_size,
            "guest": {"disk_role": "data"}, "prerequisites": {"policy": "Warn"},
        })  # fmt: skip
        assert report.disk is not None
        self.digest = report.disk.sha256
        self._size = report.disk.virtual_size

    def send(self, sink: Sink, blob: str) -> Sample:
        """Upload the disk, from nothing."""
        (self._folder / "scratch" / "upload.journal").unlink(missing_ok=True)
        (self._folder / "url").write_text(f"{sink.url}/account/{blob}?sv=2026-01-01&sr=b&sig=none")
        _, sample = self._job("upload", {
            **self._common, "target": "pageBlob", "virtual_size": self._size, "sha256": self.digest,
            "target_url_file": str(self._folder / "url"), "ca_bundle": str(sink.certificate),
        })  # fmt: skip
        return sample

    def _job(self, job: str, config: dict[str, object]) -> tuple[Report, Sample]:
        log = self._folder / "termination-log"
        environment = {"PYTHONPATH": str(ROOT / "operator"), "WORKER_CONFIG": json.dumps(config),
                       "TERMINATION_LOG": str(log)}  # fmt: skip
        sample = run([sys.executable, "-m", "gallery_operator", "worker", job], environment, job)
        return Report.model_validate_json(log.read_text()), sample


class Azcopy:
    """AzCopy as it comes, its own tuning left on.

    Args:
        folder: For its logs and plans.
        disk: The disk.
    """

    name = "azcopy"

    def __init__(self, folder: Path, disk: Path) -> None:
        installed = subprocess.run([ROOT / "hack/bench/azcopy/install"], check=True, stdout=subprocess.PIPE)
        self._program = installed.stdout.decode().strip()
        self._folder, self._disk = folder, disk

    def send(self, sink: Sink, blob: str) -> Sample:
        """Upload the disk."""
        environment = {
            "SSL_CERT_FILE": str(sink.certificate), "AZCOPY_LOG_LOCATION": str(self._folder / "azcopy"),
            "AZCOPY_JOB_PLAN_LOCATION": str(self._folder / "azcopy"), "AZCOPY_DISABLE_SYSLOG": "true",
        }  # fmt: skip
        address = f"{sink.url}/account/{blob}?sv=2026-01-01&sr=b&sig=none"
        command = [self._program, "copy", str(self._disk), address, "--from-to", "LocalBlob", "--blob-type",
                   "PageBlob", "--skip-version-check"]  # fmt: skip
        return run(command, environment, "azcopy")
