"""How far a preparation got, so that a killed pod's successor need not fetch everything again."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from gallery_operator.worker.disk import FileIdentity
from gallery_operator.worker.formats import ImageInfo
from gallery_operator.worker.formats.inspect import Compression, DiskFormat
from gallery_operator.worker.formats.vhd import DYNAMIC, FIXED, Vhd
from gallery_operator.worker.image import ImageFile
from gallery_operator.worker.manifest import write_atomically

STAGE = "stage.json"


class Stage(BaseModel):
    """The last step that is done and durable.

    Attributes:
        fingerprint: Of the source and configuration.
        done: ``image``: the source is decompressed; ``disk``: the raw disk is there, only not yet hashed.
        size: Bytes of the file that the step made.
        mtime_ns: Its time of last change; a file that was touched since does not count.
        compression: How the source was compressed.
        format: Format of the image (``disk`` only, as all below).
        virtual_size: Bytes of the disk.
        fixed_vhd: Whether it was a fixed VHD.
        footer: Its VHD footer, hex.
        file_size: Bytes of the image file.
        source_etag: ETag of the blob whose bytes the raw disk has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    done: Literal["image", "disk"]
    size: int
    mtime_ns: int
    compression: Compression | None = None
    format: DiskFormat = "raw"
    virtual_size: int = 0
    fixed_vhd: bool = False
    footer: str | None = None
    file_size: int = 0
    source_etag: str | None = None

    @classmethod
    def of(cls, fingerprint: str, made: FileIdentity, image: ImageFile, source_etag: str | None = None) -> Self:
        """Describe a raw disk and the image it came from."""
        info = image.info
        return cls(
            fingerprint=fingerprint,
            done="disk",
            size=made.size,
            mtime_ns=made.mtime_ns,
            compression=image.compression,
            format=info.format,
            virtual_size=info.virtual_size,
            fixed_vhd=info.fixed_vhd,
            footer=info.vhd.footer.hex() if info.vhd is not None else None,
            file_size=image.file_size,
            source_etag=source_etag,
        )

    def describes(self, found: FileIdentity) -> bool:
        """Whether a file is the one that the step made."""
        return (found.size, found.mtime_ns) == (self.size, self.mtime_ns)

    def image(self) -> ImageFile:
        """Return the image that the raw disk came from."""
        vhd = None
        if self.footer is not None:
            vhd = Vhd(FIXED if self.fixed_vhd else DYNAMIC, self.virtual_size, bytes.fromhex(self.footer))
        return ImageFile(
            ImageInfo(self.format, self.virtual_size, self.fixed_vhd, vhd), self.compression, self.file_size
        )


def write_stage(folder: Path, stage: Stage) -> None:
    """Put the stage down, whole or not at all."""
    write_atomically(folder / STAGE, stage.model_dump_json().encode())


def read_stage(folder: Path) -> Stage | None:
    """Return the stage, or None when there is none that can be read."""
    try:
        return Stage.model_validate_json((folder / STAGE).read_bytes())
    except (OSError, ValueError):
        return None
