"""The VM guest state (``.vmgs`` file) that belongs to the OS disk of a Trusted Launch or confidential VM.

It travels beside the disk, byte for byte: ``prepare`` brings it to the scratch volume, ``upload`` writes it into the
page blob that Azure has made for it together with the disk (``createOption: UploadPreparedSecure``).
"""

import hashlib
import logging
import os
from pathlib import Path

from gallery_operator.contract import FailureCode, PrepareConfig, PvcSource, UploadConfig, UrlSource
from gallery_operator.worker.checksum import Checksum
from gallery_operator.worker.claim import open_beneath
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.mirrors import fetch
from gallery_operator.worker.origins import locate
from gallery_operator.worker.proof import proven
from gallery_operator.worker.target import Target, TargetPolicy
from gallery_operator.worker.tracking import Tracker

log = logging.getLogger(__name__)

FILE = "guest-state.vmgs"
MOST_BYTES = 64 * 1024 * 1024
"""No guest state is nearly as large: Azure's have 4 MiB. It bounds what is fetched and held in memory."""
_PAGE = 512
_PIECE = 4 * 1024 * 1024


def bring(config: PrepareConfig, tracker: Tracker) -> str | None:
    """Bring the guest state to the scratch volume.

    Returns:
        Its SHA-256 (hex); None when the import has none.

    Raises:
        WorkerError: It cannot be fetched, or cannot be a guest state.
    """
    source = config.guest_state
    if source is None:
        return None
    path = Path(config.scratch_dir) / FILE
    if isinstance(source, UrlSource):
        _fetch(config, source, path, tracker)
    else:
        _copy(config, source, path)
    data = path.read_bytes()
    if not data or len(data) % _PAGE:
        message = f"The VM guest state has {len(data)} bytes, which is no multiple of {_PAGE}: it is not a .vmgs file."
        raise WorkerError(FailureCode.NOT_A_DISK, message)
    return hashlib.sha256(data).hexdigest()


def _fetch(config: PrepareConfig, source: UrlSource, path: Path, tracker: Tracker) -> None:
    source = proven(source, Path(config.guest_state_secrets_dir))
    fingerprint = hashlib.sha256(source.model_dump_json().encode()).hexdigest()
    place = locate(source, Path(config.guest_state_secrets_dir))
    fetch(place, path, fingerprint=fingerprint, limit=MOST_BYTES, tracker=tracker)


def _copy(config: PrepareConfig, source: PvcSource, path: Path) -> None:
    if source.path is None:
        raise WorkerError(
            FailureCode.BAD_CONFIGURATION, "The VM guest state is a file: name it in vmGuestState.pvc.path."
        )
    fd = open_beneath(Path(config.guest_state_dir), source.path)
    with os.fdopen(fd, "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        message = f"{source.path} on the claim has more than {MOST_BYTES} bytes, which is no VM guest state."
        raise WorkerError(FailureCode.TOO_LARGE, message)
    checksum = Checksum(source.checksum)
    checksum.update(data)
    problem = checksum.mismatch()
    if problem is not None:
        message = (
            f"The VM guest state is not the file asked for: {problem}. Correct vmGuestState.pvc.checksum or the file."
        )
        raise WorkerError(FailureCode.CHECKSUM_MISMATCH, message)
    path.write_bytes(data)


def send(config: UploadConfig, tracker: Tracker, policy: TargetPolicy | None = None) -> None:
    """Write the guest state into its page blob; sending it again does no harm.

    Raises:
        WorkerError: ``SourceChanged`` when it is not what ``prepare`` brought, ``TooLarge`` when the blob is smaller,
            and what the target says.
        HttpResponseError: The service refuses a request.
    """
    if config.guest_state_sha256 is None:
        return
    path = Path(config.scratch_dir) / FILE
    data = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(data).hexdigest() != config.guest_state_sha256:
        message = "The VM guest state on the scratch volume is not the one that was prepared. Import the disk anew."
        raise WorkerError(FailureCode.SOURCE_CHANGED, message, retry=False)
    target = Target(
        Path(config.guest_state_url_file), tracker, api_version=config.api_version, ca_bundle=config.ca_bundle,
        policy=policy,
    )  # fmt: skip
    try:
        room = target.call("reading the guest state's properties", lambda client: client.get_blob_properties().size)
        if len(data) > room:
            message = f"The VM guest state has {len(data)} bytes, and Azure has made room for {room}."
            raise WorkerError(FailureCode.TOO_LARGE, message)
        for start in range(0, len(data), _PIECE):
            _write(target, data[start : start + _PIECE], start)
    finally:
        target.stopping.set()
    log.info("the VM guest state is sent", extra={"bytes": len(data)})


def _write(target: Target, piece: bytes, start: int) -> None:
    target.call(
        f"writing {len(piece)} bytes of the guest state at {start}",
        lambda client: client.upload_page(piece, start, len(piece), validate_content=True),
    )
