"""Container images without a container tool: images of a few static files, written as OCI image layouts.

Source: OCI image format specification 1.1, image-layout.md, manifest.md, config.md.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
TAG = "org.opencontainers.image.ref.name"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Blob:
    """A piece of an image: its digest and where it is."""

    digest: str
    path: Path


@dataclass(frozen=True)
class Layout:
    """One image in an OCI image layout folder.

    Attributes:
        folder: the layout.
        tag: which of its images; None where there is one only.
    """

    folder: Path
    tag: str | None = None

    def exists(self) -> bool:
        """Whether the folder has this image."""
        return self._find() is not None

    @property
    def descriptor(self) -> dict[str, Any]:
        """The descriptor of the image's manifest.

        Raises:
            LookupError: the folder does not have this image.
        """
        found = self._find()
        if found is None:
            raise LookupError(f"there is no image {self.tag or ''} in {self.folder}")
        return found

    def _find(self) -> dict[str, Any] | None:
        try:
            index = json.loads((self.folder / "index.json").read_text())
        except FileNotFoundError:
            return None
        for descriptor in index["manifests"]:
            if self.tag in (None, descriptor.get("annotations", {}).get(TAG)):
                found: dict[str, Any] = descriptor
                return found
        return None

    def blob(self, digest: str) -> Blob:
        """A blob by its digest."""
        return Blob(digest, self.folder / "blobs" / digest.replace(":", "/"))

    def blobs(self) -> list[Blob]:
        """Manifest, configuration and layers, in this order."""
        top = self.descriptor["digest"]
        manifest = json.loads(self.blob(top).path.read_text())
        return [
            self.blob(one) for one in (top, manifest["config"]["digest"], *(x["digest"] for x in manifest["layers"]))
        ]

    def write_tar(self, stream: BinaryIO, reference: str, *, without: frozenset[str] = frozenset()) -> None:
        """Writes the image as an archive that containerd imports.

        Args:
            stream: where to.
            reference: the name it gets.
            without: digests of blobs to leave out because the receiver has them.
        """
        # The name is given in the index, so that one folder serves any name.
        named = self.descriptor | {"annotations": {"io.containerd.image.name": reference}}
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [named]}
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
            _add(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
            _add(tar, "index.json", json.dumps(index).encode())
            for blob in self.blobs():
                if blob.digest not in without:
                    tar.add(blob.path, f"blobs/{blob.digest.replace(':', '/')}", filter=_plain)


def write_static(folder: Path, files: dict[str, Path], *, entrypoint: list[str], user: str) -> Layout:
    """Makes an image of executables that need no system around them.

    The same files give the same digest: nothing in it says when or by whom it was made.

    Args:
        folder: where the layout goes; may exist.
        files: path in the image -> file here.
        entrypoint: the image's command.
        user: numeric user and group the command runs as.
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for target, source in sorted(files.items()):
            _add(tar, target.lstrip("/"), source.read_bytes(), mode=0o755)
    content = layer.getvalue()
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "User": user},
        "rootfs": {"type": "layers", "diff_ids": [_digest(content)]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _store(folder, CONFIG_TYPE, json.dumps(config).encode()),
        "layers": [_store(folder, LAYER_TYPE, content)],
    }
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [_store(folder, MANIFEST_TYPE, json.dumps(manifest).encode())],
    }
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    # Last and at once: a folder with an index is complete, even if two processes write it.
    part = folder / f"index.json.{os.getpid()}"
    part.write_text(json.dumps(index))
    part.rename(folder / "index.json")
    return Layout(folder)


def prune(folder: Path) -> None:
    """Removes from a layout the images without a tag, which later ones have replaced, and what only they used."""
    path = folder / "index.json"
    index = json.loads(path.read_text())
    index["manifests"] = [one for one in index["manifests"] if TAG in one.get("annotations", {})]
    kept = {blob.path for one in index["manifests"] for blob in Layout(folder, one["annotations"][TAG]).blobs()}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(index))
    part.rename(path)
    for blob in (folder / "blobs").glob("*/*"):
        if blob not in kept:
            blob.unlink()


def _store(folder: Path, media_type: str, content: bytes) -> dict[str, Any]:
    digest = _digest(content)
    path = folder / "blobs" / digest.replace(":", "/")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.stat().st_size != len(content):
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_bytes(content)
        part.rename(path)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    tar.addfile(info, io.BytesIO(content))


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


if __name__ == "__main__":
    if sys.argv[1:2] != ["prune"] or len(sys.argv) != 3:
        sys.exit("usage: archive prune FOLDER")
    prune(Path(sys.argv[2]))
