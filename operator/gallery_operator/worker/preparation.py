"""The steps from a source to a hashed disk, each of which a killed pod's successor can skip when it is done."""

import hashlib
import io
import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from gallery_operator.contract import BlobSource, DiskFacts, FailureCode, PrepareConfig, PvcSource, UrlSource
from gallery_operator.worker import formats
from gallery_operator.worker.checksum import Checksum
from gallery_operator.worker.claim import open_beneath, open_device
from gallery_operator.worker.decompress import first_bytes
from gallery_operator.worker.disk import FileIdentity, RawDisk, identity
from gallery_operator.worker.download import version_of
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats import FdSource, ImageInfo
from gallery_operator.worker.formats.inspect import HEAD_BYTES, Compression
from gallery_operator.worker.image import (
    ImageFile,
    container_limit,
    decompress_file,
    recognise,
    require_size,
    to_raw,
)
from gallery_operator.worker.manifest import DISK, MANIFEST, TABLE, Location, Manifest, read_manifest, write_manifest
from gallery_operator.worker.mirrors import fetch
from gallery_operator.worker.origin_blob import is_superseded
from gallery_operator.worker.origins import locate
from gallery_operator.worker.place import Place
from gallery_operator.worker.sparse import require_space
from gallery_operator.worker.stage import STAGE, Stage, read_stage, write_stage
from gallery_operator.worker.survey import PieceTable, survey
from gallery_operator.worker.tracking import Tracker

log = logging.getLogger(__name__)

_DOWNLOAD = "download"
_IMAGE = "image"
_MAGIC_BYTES = 16


@dataclass(frozen=True, slots=True)
class Prepared:
    """A disk that is ready to be checked and sent.

    Attributes:
        manifest: What is known about it.
        disk: The open disk; the caller closes it.
    """

    manifest: Manifest
    disk: RawDisk


class Preparation:
    """Brings one source to a raw disk and its manifest.

    Args:
        config: What to do.
        tracker: Shows how far it is.
    """

    def __init__(self, config: PrepareConfig, tracker: Tracker) -> None:
        self._config = config
        self._tracker = tracker
        self._scratch = Path(config.scratch_dir)
        self._checksum = Checksum(config.source.checksum)
        self._fingerprint = ""
        self._source_etag: str | None = None

    def run(self) -> Prepared:
        """Do what is not done yet.

        Raises:
            WorkerError: The source cannot be fetched, is not what it should be, or does not fit.
        """
        source = self._config.source
        if isinstance(source, UrlSource | BlobSource):
            self._fingerprint = fingerprint(self._config)
            place = locate(source, Path(self._config.secrets_dir))
            if isinstance(source, BlobSource):
                self._forget_another_version(place)
            return self._left_by_earlier_attempt() or self._fetched(source, place)
        fd = self._open_claim(source)
        try:
            # A claim's file may be another one at the next attempt, without any change of configuration.
            self._fingerprint = fingerprint(self._config, identity(fd))
            found = self._left_by_earlier_attempt()
        except BaseException:
            os.close(fd)
            raise
        if found is not None:
            os.close(fd)
            return found
        return self._from_file(fd, "device" if source.path is None else "pvc")

    # What an earlier attempt left.

    def _forget_another_version(self, place: Place) -> None:
        """Throw away a disk whose blob was written to since: Azure could not copy it from there any more."""
        stage, manifest = read_stage(self._scratch), read_manifest(self._scratch)
        known = {manifest.facts.source_etag if manifest else None, stage.source_etag if stage else None} - {None}
        if any(is_superseded(place, etag) for etag in known if etag is not None):
            log.warning("the blob was written to since an earlier attempt fetched it, it is fetched anew")
            for name in (MANIFEST, STAGE, DISK):
                (self._scratch / name).unlink(missing_ok=True)

    def _left_by_earlier_attempt(self) -> Prepared | None:
        ready = self._ready()
        if ready is not None:
            log.info("the disk was prepared by an earlier attempt", extra={"sha256": ready.manifest.facts.sha256})
            return ready
        (self._scratch / MANIFEST).unlink(missing_ok=True)
        stage = read_stage(self._scratch)
        if stage is not None and stage.fingerprint == self._fingerprint:
            try:
                found = self._continue(stage)
                if found is not None:
                    return found
            except FileNotFoundError:
                log.info("an earlier attempt ended between two steps; the last one is repeated")
        for name in (STAGE, _IMAGE, DISK):
            (self._scratch / name).unlink(missing_ok=True)
        return None

    def _ready(self) -> Prepared | None:
        manifest = read_manifest(self._scratch)
        if manifest is None or manifest.fingerprint != self._fingerprint:
            return None
        try:
            PieceTable(self._scratch / TABLE, manifest.table_sha256).close()
            source_dir, device = Path(self._config.source_dir), Path(self._config.source_device)
            disk = open_prepared(manifest, self._scratch, source_dir, device)
        except (OSError, WorkerError) as error:
            log.warning("what an earlier attempt left cannot be used, it is made anew: %s", error)
            return None
        if manifest.describes(identity(disk.fd)):
            return Prepared(manifest, disk)
        disk.close()
        return None

    def _continue(self, stage: Stage) -> Prepared | None:
        path = self._scratch / (_IMAGE if stage.done == "image" else DISK)
        fd = _open(path)
        if not stage.describes(identity(fd)):
            os.close(fd)
            log.warning("%s was changed by somebody else since an earlier attempt made it", path.name)
            return None
        log.info("going on where an earlier attempt stopped", extra={"stage": stage.done})
        if stage.done == "image":
            return self._from_image(fd, path, stage.compression)
        image = stage.image()
        self._source_etag = stage.source_etag
        return self._survey(RawDisk(fd, image.info.virtual_size, path), image, "scratch", None)

    # From a URL or a blob.

    def _fetched(self, source: UrlSource | BlobSource, place: Place) -> Prepared:
        path = self._scratch / _DOWNLOAD
        self._checksum = fetch(
            place, path, fingerprint=self._fingerprint, limit=container_limit(self._config.max_virtual_size),
            tracker=self._tracker, look=self._look,
        )  # fmt: skip
        if isinstance(source, BlobSource):
            self._source_etag = version_of(path)
        return self._from_file(_open(path), None, downloaded=path)

    def _look(self, head: bytes, total: int | None) -> None:
        """Refuse from the first bytes what would be refused after hours."""
        compression = formats.detect_compression(head)
        start = first_bytes(compression, head, HEAD_BYTES) if compression else head
        formats.refuse_early(start, self._config.format)
        plain = compression is None and formats.is_plain_start(start, self._config.format)
        if total is not None and not plain:
            # A raw disk may be mostly holes, which take no room; anything else is stored as it comes.
            require_space(self._scratch, total, "the source does not fit")

    # From a claim.

    def _open_claim(self, source: PvcSource) -> int:
        if source.path is None:
            return open_device(Path(self._config.source_device))
        return open_beneath(Path(self._config.source_dir), source.path)

    # Both.

    def _from_file(self, fd: int, place: Location | None, downloaded: Path | None = None) -> Prepared:
        """Go on with an open source file.

        Args:
            fd: The file; closed before this returns.
            place: ``pvc`` or ``device``; None for a download on the scratch volume.
            downloaded: The download's path; removed as soon as it is not needed any more.
        """
        pending = self._checksum if downloaded is None and self._checksum.expected else None
        try:
            compression = formats.detect_compression(os.pread(fd, _MAGIC_BYTES, 0))
            if compression is None:
                image = self._recognise(fd, None)
                if image.info.is_plain and place is not None:
                    return self._in_place(fd, image, place, pending)
                self._verify(fd, pending)
                return self._to_disk(fd, image, downloaded)
            self._verify(fd, pending)
            path = self._decompress(fd, compression)
        finally:
            os.close(fd)
        _remove(downloaded)
        return self._from_image(_open(path), path, compression)

    def _from_image(self, fd: int, path: Path, compression: Compression | None) -> Prepared:
        """Go on with a decompressed file on the scratch volume; ``fd`` is closed before this returns."""
        try:
            return self._to_disk(fd, self._recognise(fd, compression), path)
        finally:
            os.close(fd)

    def _recognise(self, fd: int, compression: Compression | None) -> ImageFile:
        info = recognise(fd, self._config.format)
        if info.format == "raw":
            # First: who was served an error page must not be told to enlarge it.
            formats.require_bootable_disk(FdSource(fd), self._config.guest.disk_role)
        self._require_size(info)
        return ImageFile(info, compression, FdSource(fd).size)

    def _require_size(self, info: ImageInfo) -> None:
        guest = self._config.guest
        generation_1_os = guest.disk_role == "os" and guest.hyper_v_generation == "V1"
        least, most = self._config.min_virtual_size, self._config.max_virtual_size
        require_size(info.virtual_size, most, least=least, generation_1_os=generation_1_os)

    def _verify(self, fd: int, checksum: Checksum | None) -> None:
        """Compare a file on a claim with its checksum before anything makes use of it."""
        if checksum is None:
            return
        source = FdSource(fd)
        self._tracker.start("Reading", source.size)
        at = 0
        while data := source.pread(1024 * 1024, at):
            checksum.update(data)
            at += len(data)
            self._tracker.advance(len(data))
        _require_match(checksum)

    def _decompress(self, fd: int, compression: Compression) -> Path:
        part, target = self._scratch / f"{_IMAGE}.part", self._scratch / _IMAGE
        with io.FileIO(os.dup(fd)) as file:
            file.seek(0)
            limit = container_limit(self._config.max_virtual_size)
            decompress_file(file, compression, part, limit, self._tracker)
        part.replace(target)
        made = _identity_of(target)
        stage = Stage(
            fingerprint=self._fingerprint, done="image", size=made.size, mtime_ns=made.mtime_ns, compression=compression
        )
        write_stage(self._scratch, stage)
        return target

    def _in_place(self, fd: int, image: ImageFile, place: Location, pending: Checksum | None) -> Prepared:
        path = Path(self._config.source_device) if place == "device" else _path_of(fd)
        return self._survey(RawDisk(os.dup(fd), image.info.virtual_size, path), image, place, pending)

    def _to_disk(self, fd: int, image: ImageFile, path: Path | None) -> Prepared:
        """Make a file into the raw disk: by its name alone when it is plain, else by conversion."""
        target = self._scratch / DISK
        if image.info.is_plain and path is not None:
            if image.compression is not None:
                self._source_etag = None
            # Said first: if this ends in between, there is no disk and the file is found under its old name.
            write_stage(self._scratch, Stage.of(self._fingerprint, identity(fd), image, self._source_etag))
            path.replace(target)
        else:
            self._source_etag = None
            to_raw(fd, image.info, target, self._tracker)
            write_stage(self._scratch, Stage.of(self._fingerprint, _identity_of(target), image))
        _remove(path)
        return self._survey(RawDisk(_open(target), image.info.virtual_size, target), image, "scratch", None)

    def _survey(self, disk: RawDisk, image: ImageFile, place: Location, pending: Checksum | None) -> Prepared:
        try:
            formats.require_bootable_disk(disk, self._config.guest.disk_role)
            before = identity(disk.fd)
            found = survey(disk, self._scratch / TABLE, self._tracker, pending)
            if pending is not None:
                if image.info.vhd is not None:
                    pending.update(image.info.vhd.footer)
                _require_match(pending)
            _require_unchanged(before, identity(disk.fd))
            path = self._config.source.path if isinstance(self._config.source, PvcSource) else None
            vhd = image.info.vhd
            manifest = Manifest(
                fingerprint=self._fingerprint,
                location=place,
                path=path if place == "pvc" else None,
                data_size=disk.data_size,
                virtual_size=disk.size,
                size=before.size,
                mtime_ns=before.mtime_ns,
                footer=found.footer.hex(),
                table_sha256=found.table_sha256,
                facts=DiskFacts(
                    format=image.info.format,
                    compression=image.compression,
                    virtual_size=disk.size,
                    data_bytes=found.data_bytes,
                    sha256=found.sha256,
                    in_place=place != "scratch",
                    source_etag=self._source_etag,
                ),
                container_format=image.info.format,
                container_footer=vhd.footer.hex() if vhd is not None else None,
                container_size=image.file_size,
                container_virtual_size=image.info.virtual_size,
            )
            write_manifest(self._scratch, manifest)
        except BaseException:
            disk.close()
            raise
        log.info(
            "the disk is ready",
            extra={"sha256": found.sha256, "virtual_size": disk.size, "data_bytes": found.data_bytes},
        )
        return Prepared(manifest, disk)


def fingerprint(config: PrepareConfig, source: FileIdentity | None = None) -> str:
    """Return a digest of what decides about the disk's bytes; how it is checked may change without it.

    Args:
        config: The configuration.
        source: The file on a claim. A device has no time of change, so it never counts as seen before.
    """
    text = config.model_dump_json(
        include={"source": True, "format": True, "min_virtual_size": True, "max_virtual_size": True}
    )
    if source is not None:
        text += secrets.token_hex() if source.device else f"{source.size} {source.mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()


def open_prepared(manifest: Manifest, scratch: Path, source_dir: Path, device: Path) -> RawDisk:
    """Open the disk that a manifest tells of.

    Raises:
        WorkerError: The source is not there any more, or is not a file.
        OSError: The raw disk cannot be opened.
    """
    if manifest.location == "scratch":
        path = scratch / DISK
        return RawDisk(_open(path), manifest.data_size, path)
    if manifest.location == "device":
        return RawDisk(open_device(device), manifest.data_size, device)
    fd = open_beneath(source_dir, manifest.path or "")
    return RawDisk(fd, manifest.data_size, _path_of(fd))


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


def _identity_of(path: Path) -> FileIdentity:
    fd = _open(path)
    try:
        return identity(fd)
    finally:
        os.close(fd)


def _path_of(fd: int) -> Path:
    """The path of an open file, with all links resolved as they were when it was opened."""
    return Path(f"/proc/self/fd/{fd}").readlink()


def _require_match(checksum: Checksum) -> None:
    problem = checksum.mismatch()
    if problem is not None:
        message = f"The file on the claim is not the one asked for: {problem}. Correct source.pvc.checksum or the file."
        raise WorkerError(FailureCode.CHECKSUM_MISMATCH, message)


def _require_unchanged(before: FileIdentity, after: FileIdentity) -> None:
    if after != before:
        message = "The source was written to while it was read; nothing may write to it during an import."
        raise WorkerError(FailureCode.SOURCE_CHANGED, message)


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".json").unlink(missing_ok=True)
