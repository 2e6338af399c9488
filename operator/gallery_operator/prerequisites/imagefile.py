"""Opens an image file for the command line; a compressed one is decompressed first, any other read where it lies."""

from __future__ import annotations

import importlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gallery_operator.prerequisites.container import (
    FOOTER_BYTES,
    HEAD_BYTES,
    ContainerFacts,
    parse_footer,
    recognise,
)
from gallery_operator.prerequisites.disk import DiskSource, FileDisk

_FIXED = 2
_REPORT_SECONDS = 0.5

Progress = Callable[[str], None]


class ImageFileError(Exception):
    """The image cannot be opened; the text says what to do."""


@dataclass(frozen=True, slots=True)
class OpenImage:
    """An image that is ready to be checked.

    Attributes:
        disk: Its bytes.
        container: The file it came in.
    """

    disk: DiskSource
    container: ContainerFacts


@contextmanager
def open_image_file(path: Path, *, as_is: bool, progress: Progress = lambda _: None) -> Iterator[OpenImage]:
    """Open an image for as long as the context lasts.

    Args:
        path: File or block device.
        as_is: Judge the file as it would be uploaded without gallery-operator.
        progress: Called with a line while something is decompressed, and with an empty one at the end.

    Raises:
        ImageFileError: It cannot be opened.
    """
    try:
        disk = FileDisk(path)
    except OSError as error:
        raise ImageFileError(f"{path} cannot be opened: {error.strerror or error}") from error
    with disk:
        facts = _facts(disk, path, as_is=as_is)
        if facts is not None:
            size = facts.virtual_size
            with FileDisk(path, size) as exact:
                yield OpenImage(exact, facts)
            return
    with tempfile.TemporaryDirectory(prefix="gallery-operator-check-") as work:
        disk_in, container = _open_with_worker(path, Path(work), progress)
        with closing(disk_in):
            yield OpenImage(disk_in, replace(container, as_is=as_is))


def _facts(disk: FileDisk, path: Path, *, as_is: bool) -> ContainerFacts | None:
    """The container of a file that can be read as it is; None when the worker's readers are needed."""
    head, tail = disk.pread(HEAD_BYTES, 0), disk.pread(FOOTER_BYTES, disk.size - FOOTER_BYTES)
    kind = recognise(head, tail)
    if kind in ("raw", "iso"):
        return ContainerFacts(kind, disk.size, disk.size, None, path.name, as_is=as_is)
    if kind != "vhd":
        return None
    footer = parse_footer(tail)
    # A footer that is damaged or was cut off is a finding, not a reason to give up: the disk is what precedes it.
    if footer is not None and footer.disk_type != _FIXED:
        return None
    if footer is None and disk.pread(8, 0) == b"conectix":
        return None
    size = disk.size - FOOTER_BYTES
    if footer is not None:
        size = min(footer.current_size, size)
    return ContainerFacts("vhd", size, disk.size, tail, path.name, as_is=as_is)


def _open_with_worker(path: Path, work: Path, progress: Progress) -> tuple[Any, ContainerFacts]:
    """Open with the worker's code, which decompresses and reads all formats."""
    try:
        # By name: the worker is a layer above this one, and only the command line reaches up, where it is installed.
        image: Any = importlib.import_module("gallery_operator.worker.image")
        tracking: Any = importlib.import_module("gallery_operator.worker.tracking")
        errors: Any = importlib.import_module("gallery_operator.worker.errors")
    except ImportError as error:
        raise ImageFileError(
            f"{path} must be converted first (qemu-img convert -O raw IN OUT): the worker is not installed"
        ) from error
    tracker = tracking.Tracker("prepare")
    done = threading.Event()
    reporter = threading.Thread(target=_report, args=(tracker, done, progress), daemon=True)
    reporter.start()
    try:
        opened = image.open_image(path, work, tracker=tracker)
    except errors.WorkerError as error:
        raise ImageFileError(f"{path}: {error}") from error
    except OSError as error:
        raise ImageFileError(
            f"{path} cannot be read, or not decompressed into {work}: {error.strerror or error}"
        ) from error
    finally:
        done.set()
        reporter.join()
        progress("")
    return opened.disk, opened.image.container(path.name)


def _report(tracker: Any, done: threading.Event, progress: Progress) -> None:
    while not done.wait(_REPORT_SECONDS):
        with suppress(ValueError, ZeroDivisionError):
            now = tracker.snapshot()
            share = f" {100 * now.bytes_done // now.bytes_total}%" if now.bytes_total else ""
            rate = f", {now.bytes_per_second / 2**20:.0f} MiB/s" if now.bytes_per_second else ""
            progress(f"{now.phase.lower()}{share}{rate} (in {os.fspath(tempfile.gettempdir())})")
