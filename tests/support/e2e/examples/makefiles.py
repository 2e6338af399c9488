"""Makes the files that examples fetch out of the disks that are served; run in the disk server's pod.

The checksums of all of them are printed as a JSON object by file name, of a manifest by its repository.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import zstandard

DATA = Path("/data")
ARTIFACTS = {"debian-12.manifest": "images/debian-12"}
"""Repositories of the disk server's registry, by the file with the manifest of what is in them."""
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
GUEST_STATE_BYTES = 4 * 1024 * 1024


def link(source: str) -> Callable[[Path], None]:
    """Serve a file under another name."""
    return lambda target: target.symlink_to(DATA / source)


def gz(source: str) -> Callable[[Path], None]:
    """Compress a file with gzip."""

    def make(target: Path) -> None:
        with (DATA / source).open("rb") as content, gzip.open(target, "wb", compresslevel=1) as packed:
            shutil.copyfileobj(content, packed, 1 << 20)

    return make


def zstd(source: str) -> Callable[[Path], None]:
    """Compress a file with zstd."""

    def make(target: Path) -> None:
        with (DATA / source).open("rb") as content, target.open("wb") as packed:
            zstandard.ZstdCompressor(level=1).copy_stream(content, packed)

    return make


def guest_state(target: Path) -> None:
    """Make a VM guest state; nobody but the firmware knows what is in one."""
    target.write_bytes(b"GUESTRTS".ljust(GUEST_STATE_BYTES, b"\x5a"))


def artifact(source: str) -> Callable[[Path], None]:
    """Make the manifest of an artifact of one file, and let both be found by their digests."""

    def make(target: Path) -> None:
        layer = {"mediaType": "application/octet-stream", "digest": digest(DATA / source)}
        layer |= {"size": (DATA / source).stat().st_size, "annotations": {"org.opencontainers.image.title": source}}
        empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY, "size": 2}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": [layer]}
        target.write_text(json.dumps(manifest))
        by_digest(DATA / source, layer["digest"])
        by_digest(DATA / target.name.removeprefix(".part-"), digest(target))

    return make


def by_digest(path: Path, found: str) -> None:
    """Let the disk server's registry find a file."""
    link = DATA / found.replace(":", "-")
    link.unlink(missing_ok=True)
    link.symlink_to(path)


def digest(path: Path) -> str:
    """Return ``sha256:<hex>`` of a file."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


FILES: dict[str, Callable[[Path], None]] = {
    "debian-12.qcow2.xz": link("debian-12-gen2.qcow2.xz"),
    "reference-data.vhdx.gz": gz("data-disk.vhdx"),
    "appliance.vhd.zst": zstd("debian-12-specialized.vhd"),
    "debian-12-gen1.vhd.zst": zstd("debian-12-gen1-mbr.vhd"),
    "appliance.vmgs": guest_state,
    "debian-12.manifest": artifact("debian-12.qcow2.xz"),
}


def main() -> None:
    """Make what is missing."""
    sums = {}
    for name, make in FILES.items():
        target = DATA / name
        # A manifest is of what is there now.
        if not target.exists() or name in ARTIFACTS:
            part = DATA / f".part-{name}"
            part.unlink(missing_ok=True)
            make(part)
            part.rename(target)
        sums[ARTIFACTS.get(name, name)] = digest(target)
    print(json.dumps(sums))


if __name__ == "__main__":
    main()
