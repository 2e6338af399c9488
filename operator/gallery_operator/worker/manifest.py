"""What ``prepare`` leaves on the scratch volume for ``upload`` and for its own next run."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gallery_operator.contract import DiskFacts
from gallery_operator.worker.disk import FileIdentity

MANIFEST = "manifest.json"
TABLE = "pieces"
DISK = "disk"
"""The image file, in whatever format it came, decompressed."""

Location = Literal["scratch", "pvc", "device"]


class Manifest(BaseModel):
    """A prepared disk.

    Attributes:
        version: Of this schema.
        fingerprint: Of the configuration that led to it (source, checksum, format, limits).
        location: ``scratch``: the file ``disk``; ``pvc``: a file of the source claim; ``device``: its device.
        path: Of the file below the claim's mount point (``pvc`` only).
        data_size: Bytes of the disk in it, before padding.
        virtual_size: Bytes of the disk in Azure, without footer.
        size: Length of the file when it was hashed, in bytes.
        mtime_ns: Its time of change then.
        footer: The VHD's footer, hex.
        table_sha256: SHA-256 (hex) of the table of ranges.
        facts: What the report says about the disk.
        container_format: Format of the file.
        container_footer: Its VHD footer, hex, if it had one.
        container_size: Its length in bytes after decompression.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    fingerprint: str
    location: Location
    path: str | None = None
    data_size: int
    virtual_size: int
    size: int
    mtime_ns: int
    footer: str
    table_sha256: str
    facts: DiskFacts
    container_format: Literal["raw", "vhd", "vhdx", "qcow2", "vmdk"]
    container_footer: str | None = None
    container_size: int

    def describes(self, found: FileIdentity) -> bool:
        """Whether a file is still as it was; never certain for a device, which has no time of change."""
        return not found.device and (found.size, found.mtime_ns) == (self.size, self.mtime_ns)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put the manifest down, whole or not at all."""
    write_atomically(folder / MANIFEST, manifest.model_dump_json().encode())


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest, or None when there is none that can be read."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a small file durably.

    Raises:
        OSError: The volume is full or gone.
    """
    part = path.with_name(path.name + ".part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
