"""Takes one disk out of the layers of a container disk, in one pass and without unpacking anything else.

Layers are tar archives that lie over one another; what an upper one removes is told by whiteouts (OCI image
specification, layer.md). A container disk has its disk as the only file below ``/disk`` (KubeVirt's convention).
"""

import os
import posixpath
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from gallery_operator.contract import FailureCode, printable
from gallery_operator.worker import formats
from gallery_operator.worker.decompress import decompress
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats.source import corrupt
from gallery_operator.worker.sparse import SparseWriter
from gallery_operator.worker.tracking import Tracker

_FOLDER = "disk"
_CHUNK = 1024 * 1024
_MOST_MEMBERS = 1_000_000
_MOST_HIDDEN = 100_000
_HEADER_BYTES = 1024 * 1024
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


class ContainerDisk:
    """The disk of a container disk, looked for in one layer after the other, the topmost first.

    Args:
        path: Where it is in the image; None: it is the only file below ``/disk``.
        target: The file to make.
        limit: Most bytes of the disk, and of what a layer decompresses to.
        tracker: Shows how far it is, in bytes of the layer.
    """

    def __init__(self, path: str | None, target: Path, *, limit: int, tracker: Tracker) -> None:
        self._path = _normal(path) if path is not None else None
        self._target = target
        self._limit = limit
        self._tracker = tracker
        self._hidden: set[str] = set()

    def take_from(self, layer: Path) -> bool:
        """Take the disk out of a layer.

        Args:
            layer: The layer as the registry has it, plain or compressed; its digest has been verified.

        Returns:
            Whether the layer has it.

        Raises:
            WorkerError: ``BadConfiguration``: several files, or a link; ``TooLarge``, ``CorruptImage``,
                ``UnsupportedFormat``, ``ScratchFull``.
        """
        self._tracker.start("Decompressing", layer.stat().st_size)
        with layer.open("rb") as file:
            stream = _Forward(_content(file, self._tracker.advance), self._limit)
            try:
                # tarfile reads headers from it, and never goes back.
                archive = tarfile.TarFile(fileobj=stream, mode="r")  # type: ignore[arg-type]
                return self._search(archive, stream)
            except tarfile.TarError as error:
                raise corrupt(f"The layer is no tar archive, or a damaged one: {_shown(str(error))}.") from error

    def _search(self, archive: tarfile.TarFile, stream: "_Forward") -> bool:
        found: str | None = None
        removed: set[str] = set()
        for member in _members(archive):
            name = _normal(member.name)
            if name is None:
                continue
            folder, base = posixpath.split(name)
            if base.startswith(_WHITEOUT):
                # It is about the layers below, not about this one.
                removed.add(folder if base == _OPAQUE else posixpath.join(folder, base.removeprefix(_WHITEOUT)))
                continue
            if not self._is_wanted(name) or member.isdir():
                continue
            if found is not None and found != name:
                both = f"{_shown(found)}, {_shown(name)}"
                message = f"There are several files below /{_FOLDER} ({both}): name one in spec.source.oci.path."
                raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
            found = name
            self._copy(member, name, stream)
        self._hidden |= removed
        if len(self._hidden) > _MOST_HIDDEN:
            raise corrupt(f"The layers remove more than {_MOST_HIDDEN} files.")
        return found is not None

    def _is_wanted(self, name: str) -> bool:
        wanted = name == self._path if self._path is not None else posixpath.dirname(name) == _FOLDER
        return wanted and not any(each in self._hidden for each in _and_above(name))

    def _copy(self, member: tarfile.TarInfo, name: str, stream: "_Forward") -> None:
        shown = _shown(name)
        if member.islnk() or member.issym():
            target = _shown(member.linkname)
            message = f"/{shown} is a link to {target}, which is not followed: name the file in spec.source.oci.path."
            raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
        if not member.isreg():
            raise WorkerError(FailureCode.NOT_A_DISK, f"/{shown} is not a file.")
        if member.issparse():
            message = f"/{shown} is stored as a sparse file (tar --sparse), which is not read: store it whole."
            raise WorkerError(FailureCode.UNSUPPORTED_FORMAT, message)
        message = f"/{shown} has more than {self._limit} bytes, which is the most that is accepted."
        writer = SparseWriter(self._target, limit=self._limit, too_large=message)
        try:
            left = member.size
            if left > self._limit:
                raise WorkerError(FailureCode.TOO_LARGE, message)
            while left:
                data = stream.read(min(_CHUNK, left))
                if not data:
                    raise corrupt(f"The layer ends in the middle of /{shown}.")
                writer.write(data)
                left -= len(data)
            writer.sync()
        finally:
            writer.close()


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for _ in range(_MOST_MEMBERS):
        member = archive.next()
        if member is None:
            return
        # It would keep every one.
        archive.members.clear()  # type: ignore[attr-defined]
        yield member
    raise corrupt(f"The layer has more than {_MOST_MEMBERS} files.")


def _normal(name: str) -> str | None:
    """Return a path relative to the image's root; None for one that leads out of it. It names no file of ours."""
    parts = [each for each in name.split("/") if each not in ("", ".")]
    return None if not parts or ".." in parts else "/".join(parts)


def _shown(name: str) -> str:
    return printable(name)[:200]


def _and_above(name: str) -> Iterator[str]:
    while name:
        yield name
        name = posixpath.dirname(name)
    yield ""


def _content(file: BinaryIO, consumed: Callable[[int], None]) -> Iterator[bytes]:
    compression = formats.detect_compression(os.pread(file.fileno(), 16, 0))
    if compression is not None:
        yield from decompress(compression, file, consumed)
        return
    while data := file.read(_CHUNK):
        consumed(len(data))
        yield data


class _Forward:
    """What ``tarfile`` needs of a file, for one that cannot go back."""

    def __init__(self, content: Iterator[bytes], limit: int) -> None:
        self._content = content
        self._limit = limit
        self._position = 0
        self._rest = memoryview(b"")

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise corrupt("The layer's headers lead backwards.")
        while self._position < position and self._take(position - self._position):
            pass

    def read(self, length: int) -> bytes:
        # Names and extended attributes are read whole.
        if length > _HEADER_BYTES:
            raise corrupt(f"A header of the layer has {length} bytes.")
        data = b""
        while len(data) < length and (more := self._take(length - len(data))):
            data += more
        return data

    def _take(self, length: int) -> memoryview:
        if not self._rest:
            self._rest = memoryview(next(self._content, b""))
        taken, self._rest = self._rest[:length], self._rest[length:]
        self._position += len(taken)
        if self._position > self._limit:
            message = f"The layer decompresses to more than {self._limit} bytes, the most that is accepted."
            raise WorkerError(FailureCode.TOO_LARGE, message)
        return taken
