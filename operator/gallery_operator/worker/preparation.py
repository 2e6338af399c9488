"""The steps from a source to a hashed disk, each of which a killed pod's successor can skip when it is done."""

import contextlib
import hashlib
import io
import logging
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gallery_operator.contract import BlobSource, DiskFacts, FailureCode, OciSource, PrepareConfig, PvcSource
from gallery_operator.worker import formats
from gallery_operator.worker.checksum import Checksum
from gallery_operator.worker.claim import open_beneath, open_device
from gallery_operator.worker.decompress import first_bytes
from gallery_operator.worker.disk import Disk, FileIdentity, identity
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
)
from gallery_operator.worker.imagedisk import open_disk
from gallery_operator.worker.layer import ContainerDisk
from gallery_operator.worker.layout import MIB
from gallery_operator.worker.manifest import DISK, MANIFEST, TABLE, Location, Manifest, read_manifest, write_manifest
from gallery_operator.worker.mirrors import fetch
from gallery_operator.worker.onlooker import Onlooker
from gallery_operator.worker.origin_blob import is_superseded
from gallery_operator.worker.origin_oci import Artifact, find
from gallery_operator.worker.origins import locate
from gallery_operator.worker.place import Place, Ruled
from gallery_operator.worker.sparse import require_space
from gallery_operator.worker.stage import STAGE, Stage, Step, read_stage, write_stage
from gallery_operator.worker.survey import PieceTable, survey
from gallery_operator.worker.tracking import Tracker

log = logging.getLogger(__name__)

_DOWNLOAD = "download"
_MEMBER = "member"
_MAGIC_BYTES = 16


@dataclass(frozen=True, slots=True)
class Prepared:
    """A disk that is ready to be checked and sent.

    Attributes:
        manifest: What is known about it.
        disk: The open disk; the caller closes it.
    """

    manifest: Manifest
    disk: Disk


class Preparation:
    """Brings one source to an image file that can be read, and its manifest.

    Args:
        config: What to do.
        tracker: Shows how far it is.
    """

    def __init__(self, config: PrepareConfig, tracker: Tracker) -> None:
        self._config = config
        self._tracker = tracker
        self._scratch = Path(config.scratch_dir)
        self._checksum = Checksum(config.source.checksum if isinstance(config.source, PvcSource) else None)
        self._fingerprint = ""
        self._source_etag: str | None = None

    def run(self) -> Prepared:
        """Do what is not done yet.

        Raises:
            WorkerError: The source cannot be fetched, is not what it should be, or does not fit.
        """
        source = self._config.source
        if not isinstance(source, PvcSource):
            self._fingerprint = fingerprint(self._config)
            if isinstance(source, BlobSource):
                self._forget_another_version(locate(source, Path(self._config.secrets_dir)))
            return self._left_by_earlier_attempt() or self._from_network(source)
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
        return self._from_claim(fd, "device" if source.path is None else "pvc")

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
        for name in (STAGE, _MEMBER, DISK):
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
        if manifest.describes(disk.identity()):
            return Prepared(manifest, disk)
        disk.close()
        return None

    def _continue(self, stage: Stage) -> Prepared | None:
        path = self._scratch / (_MEMBER if stage.done == "member" else DISK)
        fd = _open(path)
        if not stage.describes(identity(fd)):
            os.close(fd)
            log.warning("%s was changed by somebody else since an earlier attempt made it", path.name)
            return None
        log.info("going on where an earlier attempt stopped")
        if stage.done == "member":
            os.close(fd)
            return self._from_file(path)
        self._source_etag = stage.source_etag
        return self._from_image(fd, stage.compression, "scratch", None)

    # From the network.

    def _from_network(self, source: Ruled | BlobSource) -> Prepared:
        secrets = Path(self._config.secrets_dir)
        if not isinstance(source, OciSource):
            return self._from_place(locate(source, secrets))
        artifact = find(source, secrets)
        if artifact.archived:
            return self._from_layers(artifact, source.path)
        return self._from_place(artifact.places[0])

    def _from_place(self, place: Place) -> Prepared:
        path = self._scratch / _DOWNLOAD
        self._fetch(place, path, self._look)
        if isinstance(self._config.source, BlobSource):
            self._source_etag = version_of(path)
        return self._from_file(path)

    def _from_file(self, path: Path) -> Prepared:
        """Go on with a verified file on the scratch volume, which becomes the disk or goes when that is made."""
        fd = _open(path)
        compression = compression_of(fd)
        if compression is not None:
            return self._from_compressed(fd, compression, path)
        # Said first: if this ends in between, there is no disk and the file is found under its old name.
        self._write_stage("disk", identity(fd), None)
        path.replace(self._scratch / DISK)
        _remove(path)
        return self._from_image(fd, None, "scratch", None)

    def _from_layers(self, artifact: Artifact, wanted: str | None) -> Prepared:
        part, target = self._scratch / f"{_MEMBER}.part", self._scratch / _MEMBER
        disk = ContainerDisk(wanted, part, limit=self._limit, tracker=self._tracker)
        for number, place in enumerate(artifact.places):
            layer = self._scratch / f"{_DOWNLOAD}-{number}"
            self._fetch(place, layer, None)
            if disk.take_from(layer):
                part.replace(target)
                self._write_stage("member", _identity_of(target), None)
                _remove(layer)
                return self._from_file(target)
            _remove(layer)
        message = f"The image has no file /{wanted or 'disk/*'}. Correct spec.source.oci.path, or the image."
        raise WorkerError(FailureCode.SOURCE_NOT_FOUND, message)

    def _fetch(self, place: Place, path: Path, look: Callable[[bytes, int | None], None] | None) -> None:
        fetch(place, path, fingerprint=self._fingerprint, limit=self._limit, tracker=self._tracker, look=look)

    @property
    def _limit(self) -> int:
        return container_limit(self._config.max_virtual_size)

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

    def _from_claim(self, fd: int, place: Location) -> Prepared:
        """Go on with an open file or device on the claim; ``fd`` is closed when the disk is."""
        pending = self._checksum if self._checksum.expected else None
        compression = compression_of(fd)
        if compression is None:
            return self._from_image(fd, None, place, pending)
        try:
            self._verify(fd, pending)
        except BaseException:
            os.close(fd)
            raise
        return self._from_compressed(fd, compression)

    # Both.

    def _from_compressed(self, fd: int, compression: Compression, downloaded: Path | None = None) -> Prepared:
        """Decompress to the scratch volume; where what comes out is the disk itself, survey it meanwhile.

        Args:
            fd: The compressed file; closed before this returns.
            compression: Its method.
            downloaded: Its path on the scratch volume; removed as soon as it is not needed any more.
        """
        with contextlib.ExitStack() as stack:
            onlooker = None
            try:
                start = first_bytes(compression, os.pread(fd, MIB, 0), HEAD_BYTES)
                if formats.is_plain_start(start, self._config.format):
                    onlooker = stack.enter_context(contextlib.closing(Onlooker(self._scratch / TABLE)))
                self._decompress(fd, compression, onlooker)
            finally:
                os.close(fd)
            _remove(downloaded)
            return self._from_image(_open(self._scratch / DISK), compression, "scratch", None, onlooker)

    def _from_image(
        self,
        fd: int,
        compression: Compression | None,
        place: Location,
        pending: Checksum | None,
        onlooker: Onlooker | None = None,
    ) -> Prepared:
        """Read the disk in an open image file where it lies.

        Args:
            fd: The file; owned by the disk from now on.
            compression: How it was compressed before.
            place: Where it is.
            pending: The checksum that its bytes must still be compared with.
            onlooker: Has seen them all.
        """
        before = identity(fd)
        try:
            image = self._recognise(fd, compression)
            if not image.info.is_plain:
                # Of these the disk's bytes are not the file's: what a checksum is of must be read by itself.
                self._verify(fd, pending)
                pending = onlooker = None
        except BaseException:
            os.close(fd)
            raise
        return self._survey(open_disk(fd, image.info), before, image, place, pending, onlooker)

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

    def _decompress(self, fd: int, compression: Compression, onlooker: Onlooker | None) -> None:
        part, target = self._scratch / f"{DISK}.part", self._scratch / DISK
        with io.FileIO(os.dup(fd)) as file:
            file.seek(0)
            decompress_file(file, compression, part, self._limit, self._tracker, onlooker)
        part.replace(target)
        self._write_stage("disk", _identity_of(target), compression)

    def _write_stage(self, done: Step, made: FileIdentity, compression: Compression | None) -> None:
        what = {"fingerprint": self._fingerprint, "done": done, "compression": compression}
        stage = Stage(**what, size=made.size, mtime_ns=made.mtime_ns, source_etag=self._source_etag)
        write_stage(self._scratch, stage)

    def _survey(
        self,
        disk: Disk,
        before: FileIdentity,
        image: ImageFile,
        place: Location,
        pending: Checksum | None,
        onlooker: Onlooker | None,
    ) -> Prepared:
        try:
            disk.require_whole()
            formats.require_bootable_disk(disk, self._config.guest.disk_role)
            found = onlooker.finish(disk.data_size) if onlooker is not None else None
            if found is None:
                found = survey(disk, self._scratch / TABLE, self._tracker, pending)
            if pending is not None:
                if image.info.vhd is not None:
                    pending.update(image.info.vhd.footer)
                _require_match(pending)
            _require_unchanged(before, disk.identity())
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
                    source_etag=self._source_etag if image.info.is_plain and image.compression is None else None,
                ),
                container_format=image.info.format,
                container_footer=vhd.footer.hex() if vhd is not None else None,
                container_size=image.file_size,
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


def open_prepared(manifest: Manifest, scratch: Path, source_dir: Path, device: Path) -> Disk:
    """Open the disk that a manifest tells of.

    Raises:
        WorkerError: The source is not there any more, or is not an image of such a disk any more.
        OSError: The file cannot be opened.
    """
    if manifest.location == "scratch":
        fd = _open(scratch / DISK)
    elif manifest.location == "device":
        fd = open_device(device)
    else:
        fd = open_beneath(source_dir, manifest.path or "")
    try:
        info = recognise(fd, manifest.container_format)
    except WorkerError as error:
        os.close(fd)
        raise changed(error.message) from error
    disk = open_disk(fd, info)
    if disk.data_size != manifest.data_size:
        disk.close()
        raise changed(f"it had {manifest.data_size} bytes and now has {disk.data_size}")
    return disk


def changed(how: str) -> WorkerError:
    """Make the error for a disk that is another one than ``prepare`` saw."""
    message = f"The disk is not the one that was checked: {how}. Import it anew; nothing may write to it meanwhile."
    return WorkerError(FailureCode.SOURCE_CHANGED, message, retry=False)


def compression_of(fd: int) -> Compression | None:
    """Tell by which method an open file is compressed, or None."""
    return formats.detect_compression(os.pread(fd, _MAGIC_BYTES, 0))


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


def _identity_of(path: Path) -> FileIdentity:
    fd = _open(path)
    try:
        return identity(fd)
    finally:
        os.close(fd)


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
