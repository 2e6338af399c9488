"""The destination: looked at before anything is sent, opened for writing, closed, or given up."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobLeaseClient

from gallery_operator.api.destination import ManagedDisk as DiskWanted
from gallery_operator.azure import resource_ids
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.settings import AzureSettings
from gallery_operator.contract import GuestProfile
from gallery_operator.planning.import_disk import VHD_FOOTER_BYTES, declared_security, upload_disk_body
from gallery_operator.redact import redact
from gallery_operator.transfer.cloud import Cloud, Renewal, persist
from gallery_operator.transfer.ends import UploadError, UploadExit, of_azure
from gallery_operator.transfer.places import ManagedDisk, PageBlob
from gallery_operator.transfer.settle import until_ready, until_removed, until_taken_over
from gallery_operator.transfer.state import State
from gallery_operator.worker import pageblob
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.engine import refused
from gallery_operator.worker.target import Target as Worker
from gallery_operator.worker.target import TargetPolicy, error_code
from gallery_operator.worker.tracking import Tracker

MARK = "gallery-operator.dev-upload"
"""Tag of a disk that this command has made; its value is of the upload that did."""
WRITABLE = frozenset({"ReadyToUpload", "ActiveUpload"})
_SAS_SECONDS = 12 * 3600
_GIVEN = TargetPolicy(renewal_seconds=0.0, renewals=0)
"""Nobody brings another SAS than the one that was given."""
_FIRST_LOOK = replace(_GIVEN, backoff=Backoff(first=0.5, most=2.0, tries=4, patience=10.0))
"""Who mistyped a host must not wait for minutes."""


class Destination(ABC):
    """Where a disk goes.

    Attributes:
        policy: The worker's patience with it.
        left: What an upload that ends now would leave there and costs money, for people.
    """

    policy: TargetPolicy = TargetPolicy()
    left = ""

    @abstractmethod
    def check(self) -> str:
        """Look whether the disk can go there, before anything is fetched or read; nothing is made.

        Returns:
            What will be done there, for people.

        Raises:
            UploadError: It cannot.
        """

    @abstractmethod
    def opened(self, virtual_size: int) -> contextlib.AbstractContextManager[None]:
        """Open it for a disk of so many bytes; the worker finds its URL in the state folder meanwhile.

        At the end of a block that went well all has been sent, and the upload is ended.
        """

    @abstractmethod
    def abandon(self) -> str:
        """Remove what an interrupted upload has left there.

        Returns:
            What was done, for people.
        """


def blob_problem(name: str, blob_type: str, metadata: Mapping[str, str]) -> str | None:
    """Say why a blob that is there already is not gone on with; what it holds is compared later."""
    marked = pageblob.SHA256 in metadata and metadata.get(pageblob.STATE) in (pageblob.UPLOADING, pageblob.COMPLETE)
    if blob_type == "PageBlob" and marked:
        return None
    what = "was not made by gallery-operator" if blob_type == "PageBlob" else f"is a {blob_type}"
    return f"The blob {name} is there already and {what}. It is left alone: delete it, or choose another name."


def _is_unfinished(metadata: Mapping[str, str]) -> bool:
    return pageblob.SHA256 in metadata and metadata.get(pageblob.STATE) == pageblob.UPLOADING


def _what_is_there(metadata: Mapping[str, str]) -> str:
    return "goes on with the page blob" if _is_unfinished(metadata) else "compares with the complete page blob"


class BlobWithSas(Destination):
    """A page blob for which a SAS was given.

    Args:
        place: The blob.
        state: Gets its URL.
        settings: Which cloud.
    """

    policy = _GIVEN

    def __init__(self, place: PageBlob, state: State, settings: AzureSettings) -> None:
        if place.sas is None:
            raise AssertionError("there is a SAS")
        self._place = place
        self._state = state
        self._settings = settings
        state.put_url(f"{place.url}?{place.sas.get_secret_value()}")

    def check(self) -> str:
        """See the base."""
        found = self._look(self._worker())
        if found is None:
            return "creates the page blob"
        metadata = found.metadata or {}
        problem = blob_problem(self._place.url, str(getattr(found.blob_type, "value", found.blob_type)), metadata)
        if problem is not None:
            raise UploadError(UploadExit.DESTINATION, problem, "TargetConflict")
        return _what_is_there(metadata)

    def _worker(self) -> Worker:
        bundle = self._settings.ca_bundle
        return Worker(
            self._state.url_file,
            Tracker("upload"),
            api_version=self._settings.storage_api_version,
            ca_bundle=str(bundle) if bundle else None,
            policy=_FIRST_LOOK,
        )

    def _look(self, worker: Worker) -> Any:
        try:
            return worker.call("reading the blob's properties", lambda client: client.get_blob_properties())
        except ResourceNotFoundError as error:
            if error_code(error) == "ContainerNotFound":
                message = f"The container of {self._place.url} does not exist. Create it first."
                raise UploadError(UploadExit.DESTINATION, message, "ContainerNotFound") from None
            return None
        except HttpResponseError as error:
            raise _sas_too_narrow(worker.name, error) from None

    @contextlib.contextmanager
    def opened(self, virtual_size: int) -> Iterator[None]:
        """See the base."""
        yield

    def abandon(self) -> str:
        """See the base."""
        worker = self._worker()
        found = self._look(worker)
        if found is None:
            return f"{self._place.url} does not exist."
        if not _is_unfinished(found.metadata or {}):
            return f"{self._place.url} is no unfinished upload: it is left alone."
        try:
            worker.call("deleting the blob", _delete)
        except HttpResponseError as error:
            message = f"{refused(worker.name, 'to delete the blob', error).message} The SAS must allow to delete, too."
            raise UploadError(UploadExit.DESTINATION, message) from None
        return f"{self._place.url} is deleted."


def _delete(client: BlobClient) -> None:
    # The lease of an upload that was killed lives for a minute more; often there is none.
    with contextlib.suppress(HttpResponseError):
        BlobLeaseClient(client).break_lease(lease_break_period=0)
    client.delete_blob()


def _sas_too_narrow(name: str, error: HttpResponseError) -> UploadError:
    message = f"{refused(name, 'to be read', error).message} The SAS must allow to read, create and write."
    return UploadError(UploadExit.DESTINATION, message, "TargetForbidden")


class BlobByIdentity(Destination):
    """A page blob to which an identity writes: a user delegation SAS, renewed while it runs.

    Args:
        place: The blob.
        state: Gets its URL.
        cloud: Who asks.
        sas_seconds: How long one SAS lives.
    """

    def __init__(self, place: PageBlob, state: State, cloud: Cloud, sas_seconds: int = _SAS_SECONDS) -> None:
        self._url = place.url
        self._state = state
        self._cloud = cloud
        self._sas_seconds = sas_seconds
        self._blobs = cloud.gateway.blobs(cloud.credential)

    def check(self) -> str:
        """See the base."""
        found = self._cloud.ask(lambda: self._blobs.properties(self._url))
        # Whether it may sign is known now, and not after hours.
        self._cloud.ask(lambda: self._blobs.upload_sas(self._url, self._sas_seconds))
        if found is None:
            return "creates the page blob"
        problem = blob_problem(self._url, found.blob_type, found.metadata)
        if problem is not None:
            raise UploadError(UploadExit.DESTINATION, problem, "TargetConflict")
        return _what_is_there(found.metadata)

    @contextlib.contextmanager
    def opened(self, virtual_size: int) -> Iterator[None]:
        """See the base."""
        with Renewal(
            self._cloud, lambda seconds: self._blobs.upload_sas(self._url, seconds), self._state.put_url,
            self._sas_seconds,
        ):  # fmt: skip
            yield

    def abandon(self) -> str:
        """See the base."""
        found = self._cloud.ask(lambda: self._blobs.properties(self._url))
        if found is None:
            return f"{self._url} does not exist."
        if not _is_unfinished(found.metadata):
            return f"{self._url} is no unfinished upload: it is left alone."
        self._cloud.ask(lambda: self._blobs.delete(self._url))
        return f"{self._url} is deleted."


class NewDisk(Destination):
    """A managed disk that is made for the upload.

    Args:
        place: The disk.
        options: Fields of the disk as the API has them (``location``, ``sku``, ``zones``, ``tags`` …).
        guest: What the image is declared to be.
        state: Gets its URL; knows the mark of this upload.
        cloud: Who asks.
        sas_seconds: How long one SAS lives.
    """

    def __init__(
        self,
        place: ManagedDisk,
        options: Mapping[str, Any],
        guest: GuestProfile,
        state: State,
        cloud: Cloud,
        sas_seconds: int = _SAS_SECONDS,
    ) -> None:
        self._id = place.id
        self._options = dict(options)
        self._guest = guest
        self._state = state
        self._cloud = cloud
        self._sas_seconds = sas_seconds
        self._arm = cloud.gateway.arm(cloud.credential, place.id.subscription_id)

    def check(self) -> str:
        """See the base."""
        found = self._cloud.ask(lambda: self._arm.get(self._id))
        if not self._options.get("location"):
            self._options["location"] = self._location(found)
        self._wanted()
        if found is None:
            return f"creates the managed disk in {self._options['location']}"
        self._require_ours(found)
        return "goes on with the managed disk"

    def _location(self, found: Mapping[str, Any] | None) -> str:
        if found is not None:
            return str(found["location"])
        group = resource_ids.resource_group(self._id.subscription_id, self._id.resource_group)
        document = self._cloud.ask(lambda: self._arm.get(group))
        if document is None:
            message = f"The resource group {group} does not exist. Create it first."
            raise UploadError(UploadExit.DESTINATION, message, "ResourceGroupNotFound")
        return str(document["location"])

    def _wanted(self) -> DiskWanted:
        try:
            return DiskWanted.model_validate(
                {"resourceGroup": self._id.resource_group, "diskName": self._id.name, **self._options}
            )
        except ValueError as error:
            raise UploadError(UploadExit.USAGE, f"Azure has no such disk: {redact(error)}") from None

    def _require_ours(self, found: Mapping[str, Any]) -> None:
        state = (found.get("properties") or {}).get("diskState")
        mark = (found.get("tags") or {}).get(MARK)
        if mark != self._state.id or state not in (*WRITABLE, None):
            hint = ""
            if mark is not None and state in WRITABLE:
                hint = " Another upload has left it unfinished; --abort removes it."
            message = (
                f"The disk {self._id} is there already. It is left alone: delete it, or choose another name.{hint}"
            )
            raise UploadError(UploadExit.DESTINATION, message, "TargetConflict")

    @contextlib.contextmanager
    def opened(self, virtual_size: int) -> Iterator[None]:
        """See the base."""
        self._cloud.run(self._make(virtual_size))
        self.left = (
            f"The disk {self._id} stays in the state ActiveUpload, and Azure charges for it, until the same command "
            "has come to its end or --abort has removed it."
        )
        with Renewal(
            self._cloud, lambda seconds: self._arm.grant_write_access(self._id, seconds), self._state.put_url,
            self._sas_seconds,
        ):  # fmt: skip
            yield
        self._close()

    async def _make(self, virtual_size: int) -> None:
        found = await persist(lambda: self._arm.get(self._id))
        size = virtual_size + VHD_FOOTER_BYTES
        if found is not None:
            told = ((found.get("properties") or {}).get("creationData") or {}).get("uploadSizeBytes")
            if told is not None and int(told) != size:
                # It was made for the disk as it was before.
                await until_removed(self._arm, self._id)
                found = None
        if found is None:
            tags = {MARK: self._state.id}
            secure = declared_security(self._guest)
            body = upload_disk_body(self._wanted(), self._guest, virtual_size, tags, secure=secure)
            await persist(lambda: self._arm.put(self._id, body))
        await until_ready(self._arm, self._id, WRITABLE)

    def _close(self) -> None:
        try:
            self._cloud.run(until_taken_over(self._arm, self._id, WRITABLE))
        except AzureError as error:
            if error.kind is not ErrorKind.INVALID:
                raise
            self._cloud.run(until_removed(self._arm, self._id))
            self.left = ""
            refusal = of_azure(error)
            message = f"Azure refuses what was uploaded: {refusal.message} The disk {self._id} is removed again."
            raise UploadError(UploadExit.DESTINATION, message, error.code) from None

    def abandon(self) -> str:
        """See the base."""
        found = self._cloud.ask(lambda: self._arm.get(self._id))
        if found is None:
            return f"The disk {self._id} does not exist."
        unfinished = (found.get("properties") or {}).get("diskState") in (*WRITABLE, None)
        if MARK not in (found.get("tags") or {}) or not unfinished:
            return f"The disk {self._id} is no unfinished upload: it is left alone."
        self._cloud.run(until_removed(self._arm, self._id))
        return f"The disk {self._id} is removed."
