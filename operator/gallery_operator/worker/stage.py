"""How far a preparation got, so that a killed pod's successor need not fetch everything again."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gallery_operator.worker.disk import FileIdentity
from gallery_operator.worker.formats.inspect import Compression
from gallery_operator.worker.manifest import write_atomically

STAGE = "stage.json"

Step = Literal["member", "disk"]


class Stage(BaseModel):
    """The file that is on the scratch volume, verified and durable.

    Attributes:
        fingerprint: Of the source and configuration.
        done: ``member``: the file is out of its archive; ``disk``: it is decompressed, and only not yet hashed.
        size: Bytes of the file that the step made.
        mtime_ns: Its time of last change; a file that was touched since does not count.
        compression: How the source was compressed.
        source_etag: ETag of the blob whose bytes the file has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    done: Step
    size: int
    mtime_ns: int
    compression: Compression | None = None
    source_etag: str | None = None

    def describes(self, found: FileIdentity) -> bool:
        """Whether a file is the one that was made."""
        return (found.size, found.mtime_ns) == (self.size, self.mtime_ns)


def write_stage(folder: Path, stage: Stage) -> None:
    """Put the stage down, whole or not at all."""
    write_atomically(folder / STAGE, stage.model_dump_json().encode())


def read_stage(folder: Path) -> Stage | None:
    """Return the stage, or None when there is none that can be read."""
    try:
        return Stage.model_validate_json((folder / STAGE).read_bytes())
    except (OSError, ValueError):
        return None
