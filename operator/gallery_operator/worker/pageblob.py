"""A page blob of our own: made if absent, never taken from someone else, written by one worker at a time."""

import contextlib
import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobLeaseClient, BlobProperties, BlobType

from gallery_operator.contract import FailureCode
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.target import PERMISSION_CODES, Stopping, Target, describe, error_code

log = logging.getLogger(__name__)

SHA256 = "sha256"
STATE = "state"
UPLOADING = "uploading"
COMPLETE = "complete"

_LEASE_SECONDS = 60
_RENEW_SECONDS = 20.0


class Lease:
    """Keeps other writers away from the blob while this one writes.

    The lease's id is derived from blob and content: the successor of a killed pod, which sends the same bytes,
    goes on at once; a worker with another disk is shut out.

    Args:
        target: The blob.
        sha256: Digest of what is written, hex.
    """

    def __init__(self, target: Target, sha256: str) -> None:
        self._target = target
        digest = hashlib.sha256(f"{target.name} {sha256}".encode()).digest()
        self._id = str(uuid.UUID(bytes=digest[:16], version=5))
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.id: str | None = None

    def acquire(self) -> None:
        """Take the lease and keep it alive.

        Where the SAS does not allow leases, the work goes on without.

        Raises:
            WorkerError: ``TargetConflict``: somebody else keeps writing.
        """
        until = time.monotonic() + self._target.policy.lease_seconds
        while True:
            try:
                self._take()
                break
            except HttpResponseError as error:
                if error.status_code == 403 and error_code(error) in PERMISSION_CODES:
                    log.warning("the SAS does not allow a lease; another writer would not be kept away")
                    return
                if error.status_code != 409:
                    raise
                if time.monotonic() >= until:
                    message = f"Somebody else holds a lease on {self._target.name}; let it end first."
                    raise WorkerError(FailureCode.TARGET_CONFLICT, message, retry=True) from None
                log.info("waiting for the lease that somebody else holds on the blob")
            if self._target.stopping.wait(self._target.policy.lease_poll_seconds):
                raise Stopping
        self.id = self._id
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give the lease up; a failure does not matter, as it ends by itself after a minute."""
        self._ended.set()
        if self.id is not None:
            with contextlib.suppress(HttpResponseError, WorkerError, Stopping):
                self._target.call("releasing the lease", lambda client: _lease(client, self._id).release())
            self.id = None

    def retake(self) -> bool:
        """Take a lease that ran out again, after an answer that says so; False when somebody else has it."""
        try:
            self._take()
        except HttpResponseError:
            return False
        return True

    def _take(self) -> None:
        self._target.call(
            "taking the lease",
            lambda client: client.acquire_lease(lease_duration=_LEASE_SECONDS, lease_id=self._id),
        )

    def _keep(self) -> None:
        while not self._ended.wait(_RENEW_SECONDS):
            try:
                self._take()
            except (HttpResponseError, WorkerError) as error:
                # Writing goes on: if the lease is truly lost, the next page is refused, and says so.
                log.warning(
                    "the lease could not be renewed: %s",
                    error_code(error) if isinstance(error, HttpResponseError) else error,
                )
            except Stopping:
                return


def _lease(client: BlobClient, lease_id: str) -> BlobLeaseClient:
    return BlobLeaseClient(client, lease_id=lease_id)


def open_blob(target: Target, size: int, sha256: str, metadata: Mapping[str, str]) -> BlobProperties | None:
    """Find or make the blob.

    Args:
        target: The blob.
        size: Its length in bytes, footer included.
        sha256: Digest (hex) of what it shall hold.
        metadata: More to write down with it.

    Returns:
        Its properties when it was there already, begun or completed by us with the same content; None when it
        was made now.

    Raises:
        WorkerError: ``TargetConflict`` when something else is there.
    """
    found = _properties(target)
    if found is None:
        try:
            target.call(
                "creating the blob",
                lambda client: client.create_page_blob(
                    size,
                    metadata=_metadata(metadata, sha256, UPLOADING),
                    match_condition=MatchConditions.IfMissing,
                ),
            )
        except (ResourceExistsError, ResourceModifiedError):
            # A request that was repeated after it had worked, or another worker; its mark tells.
            found = _properties(target)
        except ResourceNotFoundError as error:
            message = f"{target.name} cannot be created: {describe(error)}. Create the container first."
            raise WorkerError(FailureCode.TARGET_UNREACHABLE, message, retry=False) from None
        else:
            return None
    if found is None:
        message = f"{target.name} appeared and vanished while it was created."
        raise WorkerError(FailureCode.TARGET_CONFLICT, message, retry=True)
    _require_ours(found, target.name, size, sha256)
    return found


def complete_blob(target: Target, sha256: str, metadata: Mapping[str, str], lease: str | None) -> str | None:
    """Mark the blob as complete.

    Returns:
        Its ETag.
    """
    options: dict[str, Any] = {} if lease is None else {"lease": lease}
    answer = target.call(
        "marking the blob as complete",
        lambda client: client.set_blob_metadata(_metadata(metadata, sha256, COMPLETE), **options),
    )
    etag = answer.get("etag")
    return str(etag) if etag is not None else None


def is_complete(properties: BlobProperties) -> bool:
    """Whether a blob of ours was marked as complete."""
    return bool((properties.metadata or {}).get(STATE) == COMPLETE)


def _metadata(metadata: Mapping[str, str], sha256: str, state: str) -> dict[str, str]:
    return {**metadata, SHA256: sha256, STATE: state}


def _properties(target: Target) -> BlobProperties | None:
    try:
        return target.call("reading the blob's properties", lambda client: client.get_blob_properties())
    except ResourceNotFoundError:
        return None


def _require_ours(found: BlobProperties, name: str, size: int, sha256: str) -> None:
    marks = found.metadata or {}
    problem = None
    if found.blob_type != BlobType.PAGEBLOB:
        problem = "is there already and is no page blob"
    elif SHA256 not in marks or marks.get(STATE) not in (UPLOADING, COMPLETE):
        problem = "is there already and was not made by gallery-operator"
    elif marks[SHA256] != sha256:
        problem = f"is there already and holds another disk (sha256 {marks[SHA256][:64]})"
    elif found.size != size:
        problem = f"is there already with {found.size} bytes instead of {size}"
    if problem is not None:
        message = f"The blob {name} {problem}. It is left alone: delete it, or choose another blob name."
        raise WorkerError(FailureCode.TARGET_CONFLICT, message)
