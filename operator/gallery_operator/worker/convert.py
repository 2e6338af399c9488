"""Brings any disk format to a raw, sparse file."""

import contextlib
import json
import logging
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

from gallery_operator.contract import FailureCode
from gallery_operator.redact import redact
from gallery_operator.worker.confine import MISSING
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats import FdSource, ImageInfo
from gallery_operator.worker.formats.vhd import dynamic_blocks
from gallery_operator.worker.sparse import SparseWriter, scratch_full
from gallery_operator.worker.tracking import Tracker

log = logging.getLogger(__name__)

_ADDRESS_SPACE = 2 << 30
_MIB = 1024 * 1024
_PROGRESS = re.compile(rb"\((\d+\.\d+)/100%\)")
_STDERR_BYTES = 8192


def dynamic_vhd_to_raw(source: FdSource, info: ImageInfo, target: Path, tracker: Tracker) -> None:
    """Write the disk of a dynamic VHD, by our own code.

    Raises:
        WorkerError: ``CorruptImage``, ``UnsupportedFormat``, ``ScratchFull``.
    """
    if info.vhd is None:
        raise ValueError("no VHD")
    tracker.start("Converting", info.virtual_size)
    writer = SparseWriter(target)
    try:
        for offset, data in dynamic_blocks(source, info.vhd):
            writer.skip(offset - writer.position)
            writer.write(data)
            tracker.set_done(writer.position)
        writer.skip(info.virtual_size - writer.position)
        writer.sync()
    finally:
        writer.close()


def qemu_to_raw(source: FdSource, info: ImageInfo, target: Path, tracker: Tracker) -> None:
    """Let ``qemu-img`` convert an image whose headers were found harmless.

    It gets the format by name (no probing), the open file (no path to swap), and limits on memory, CPU time,
    wall time and file size.

    Args:
        source: The open image.
        info: What ``inspect_image`` found.
        target: The raw file to make.
        tracker: Shows how far it is.

    Raises:
        WorkerError: ``CorruptImage``, ``ScratchFull``; ``Internal`` when there is no ``qemu-img``.
    """
    tracker.start("Converting", info.virtual_size)
    seconds = 300 + info.virtual_size // (20 * _MIB)
    limits = {
        "AS": _ADDRESS_SPACE,
        "CPU": seconds,
        "FSIZE": info.virtual_size + _MIB,
        "NOFILE": 64,
    }
    driver = "host_device" if stat.S_ISBLK(os.fstat(source.fd).st_mode) else "file"
    image = f"driver={info.format},file.driver={driver},file.locking=off,file.filename=/proc/self/fd/{source.fd}"
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("confine.py")), json.dumps(limits),
               "qemu-img", "convert", "-p", "--image-opts", image, "-O", "raw", str(target.absolute())]  # fmt: skip
    before = os.fstat(source.fd)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    process = subprocess.Popen(  # noqa: S603 - an argument list of our own making
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        pass_fds=(source.fd,), env=environment, cwd=target.parent,
    )  # fmt: skip
    try:
        errors = _follow(process, info.virtual_size, tracker, 2 * seconds + 600)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    if process.returncode != 0:
        raise _explain(process.returncode, errors, info, target)
    after = os.fstat(source.fd)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        message = "The source was written to while it was converted; nothing may write to it during an import."
        raise WorkerError(FailureCode.SOURCE_CHANGED, message)
    size = target.stat().st_size
    if size != info.virtual_size:
        message = f"qemu-img made {size} bytes of a disk whose header says {info.virtual_size}."
        raise WorkerError(FailureCode.CORRUPT_IMAGE, message)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _follow(process: subprocess.Popen[bytes], size: int, tracker: Tracker, seconds: float) -> bytes:
    """Read progress until the program ends; return what it wrote to its standard error."""
    errors = bytearray()

    def drain() -> None:
        with contextlib.suppress(OSError, ValueError):
            while process.stderr is not None and (data := os.read(process.stderr.fileno(), 4096)):
                if len(errors) < _STDERR_BYTES:
                    errors.extend(data)

    reader = threading.Thread(target=drain, name="qemu-img stderr", daemon=True)
    reader.start()
    # The program is ended by a timer: reading its output would wait for as long as it is silent.
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    started = time.monotonic()
    try:
        tail = b""
        while process.stdout is not None and (data := os.read(process.stdout.fileno(), 4096)):
            found = _PROGRESS.findall(tail + data)
            if found:
                tracker.set_done(int(size * float(found[-1]) / 100))
            tail = data[-32:]
        process.wait()
    finally:
        timer.cancel()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None and process.poll() is not None:
                reader.join(timeout=5)
                pipe.close()
    log.info(
        "qemu-img ended", extra={"exit_status": process.returncode, "seconds": round(time.monotonic() - started, 1)}
    )
    return bytes(errors)


def _explain(status: int, errors: bytes, info: ImageInfo, target: Path) -> WorkerError:
    text = redact(errors[:_STDERR_BYTES].decode("utf-8", "replace").strip())
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return scratch_full(
            target.parent, f"it was full while the {info.format} image was converted", info.virtual_size
        )
    if status == MISSING:
        return WorkerError(FailureCode.INTERNAL, "There is no qemu-img in this container image.", retry=False)
    if status == -signal.SIGKILL:
        message = "qemu-img was killed: it took too long, or the pod ran out of memory (spec.job.resources)."
        return WorkerError(FailureCode.INTERNAL, message)
    if status < 0:
        message = f"qemu-img was ended by signal {-status} (a limit?) on this {info.format} image. {text[-300:]}"
    else:
        message = f"qemu-img cannot convert the {info.format} image: {text[-400:]}"
    return WorkerError(FailureCode.CORRUPT_IMAGE, message)
