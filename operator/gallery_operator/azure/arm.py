"""Azure Resource Manager: get, put, delete and list what the operator manages, as plain REST documents.

Calls go through the operation groups of azure-mgmt-compute, which fix the API versions; documents keep the names of the
REST API (camelCase), so that they can be compared with what was sent. Nothing here waits for a long-running operation,
except where the answer is the point (a disk's SAS) and then for a minute at most.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azure.core.rest import HttpRequest
from pydantic import SecretStr

from gallery_operator.azure import community
from gallery_operator.azure.arm_requests import document_of
from gallery_operator.azure.community import CommunityId
from gallery_operator.azure.errors import AzureError, ErrorKind, is_absence
from gallery_operator.azure.lists import Lists
from gallery_operator.azure.resource_ids import CollectionId, InvalidResourceIdError, ResourceId
from gallery_operator.azure.throttle import OperationClass


@dataclass(frozen=True)
class _Kind:
    """How the SDK serves one resource type."""

    group: str
    label: str
    write: OperationClass = OperationClass.WRITE
    delete: OperationClass = OperationClass.WRITE
    list_method: str = "list_by_resource_group"


_KINDS = {
    "microsoft.compute/galleries": _Kind(
        "galleries", "galleries", OperationClass.GALLERY_WRITE, OperationClass.GALLERY_DELETE
    ),
    "microsoft.compute/galleries/images": _Kind(
        "gallery_images",
        "galleryImages",
        OperationClass.DEFINITION_WRITE,
        OperationClass.DEFINITION_DELETE,
        "list_by_gallery",
    ),
    "microsoft.compute/galleries/images/versions": _Kind(
        "gallery_image_versions",
        "galleryImageVersions",
        OperationClass.VERSION_WRITE,
        OperationClass.VERSION_DELETE,
        "list_by_gallery_image",
    ),
    "microsoft.compute/disks": _Kind("disks", "disks"),
    "microsoft.compute/snapshots": _Kind("snapshots", "snapshots"),
    "microsoft.compute/images": _Kind("images", "images"),
}

_SHARE = "share"
"""Purpose of an operation on a gallery that changes with whom it is shared."""

# Only ever read: nothing here stops, generalizes or removes somebody's machine.
_READ_ONLY = {"microsoft.compute/virtualmachines": _Kind("virtual_machines", "virtualMachines")}

# Read only: label and API version.
_PLAIN = {
    "microsoft.compute/diskencryptionsets": ("diskEncryptionSets", "2025-01-02"),
    "microsoft.resources/resourcegroups": ("resourceGroups", "2021-04-01"),
    "microsoft.storage/storageaccounts": ("storageAccounts", "2023-05-01"),
}


class Arm(Lists):
    """Resource Manager as seen by one credential. Made by :meth:`AzureGateway.arm`; cheap, keeps nothing itself.

    Every method takes the full id of a resource and raises :class:`AzureError`: INVALID for an id it cannot read,
    THROTTLED before anything is sent when a budget is used up, and otherwise what Azure's answer means.
    """

    async def get(
        self, resource_id: str | ResourceId, *, expand: str | None = None, select: str | None = None
    ) -> dict[str, Any] | None:
        """Read a resource.

        Args:
            resource_id: A gallery, definition, version, disk, snapshot, managed image, virtual machine, disk encryption
                set, resource group or storage account.
            expand: ``ReplicationStatus`` for a version, ``SharingProfile/Groups`` for a gallery, ``instanceView`` for a
                virtual machine.
            select: ``Permissions`` for a gallery.

        Returns:
            The document, or None when Azure says that the resource, its parent or its resource group does not exist.

        Raises:
            AzureError: See the class.
        """
        rid = _parse(resource_id)
        try:
            if (plain := _PLAIN.get(rid.type.lower())) is not None:
                label, api_version = plain
                request = HttpRequest("GET", str(rid), params={"api-version": api_version})
                response = await self._requests.send(rid, f"{label}.get", request)
            else:
                kind = _READ_ONLY.get(rid.type.lower()) or _kind(rid)
                options = {name: value for name, value in (("expand", expand), ("select", select)) if value is not None}
                response = await self._requests.call(
                    rid.subscription_id,
                    OperationClass.READ,
                    f"{kind.label}.get",
                    lambda client: getattr(client, kind.group).get(
                        rid.resource_group, *rid.names, cls=_raw_response, **options
                    ),
                )
        except AzureError as error:
            if is_absence(error):
                return None
            raise
        return document_of(response)

    async def community_image(self, location: str, community_id: CommunityId) -> dict[str, Any] | None:
        """Read an image of a community gallery, or a version of it, as it is seen in a region.

        Args:
            location: Region, in normal form.
            community_id: The image or version.

        Returns:
            The document; None when there is no such thing in this region.

        Raises:
            AzureError: See the class.
        """
        return await community.read(self._requests, self.subscription_id, location, community_id)

    async def put(self, resource_id: str | ResourceId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Begin to create or update a resource.

        Args:
            resource_id: A gallery, definition, version, disk, snapshot or managed image.
            body: The whole resource as the REST API has it.

        Returns:
            The first answer, usually with provisioningState Creating or Updating; empty if Azure sent none. The
            operation goes on; read the resource and :meth:`failure` at the next wake.

        Raises:
            AzureError: See the class; Azure did not accept the request.
        """
        return await self._write(resource_id, "put", "begin_create_or_update", body)

    async def patch(self, resource_id: str | ResourceId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Begin to change a part of a resource; what the body does not name stays.

        Args:
            resource_id: A gallery, definition or version.
            body: The part, as the REST API has it; ``{"properties": {"restore": true, "storageProfile": {}}}`` brings
                a soft-deleted version back.

        Returns:
            As :meth:`put`.

        Raises:
            AzureError: See the class; Azure did not accept the request.
        """
        return await self._write(resource_id, "patch", "begin_update", body)

    async def _write(
        self, resource_id: str | ResourceId, verb: str, method: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        rid = _parse(resource_id)
        kind = _kind(rid)
        response = await self._requests.begin(
            rid,
            kind.write,
            f"{kind.label}.{verb}",
            lambda client, polling: getattr(getattr(client, kind.group), method)(
                rid.resource_group, *rid.names, dict(body), polling=polling
            ),
        )
        return document_of(response)

    async def delete(self, resource_id: str | ResourceId, **params: Any) -> bool:
        """Begin to delete a resource.

        Args:
            resource_id: A gallery, definition, version, disk, snapshot or managed image.
            params: ``bypass_soft_delete=True`` for a version.

        Returns:
            True when Azure began (or has done) it; False when there was nothing to delete. Gone is what :meth:`get`
            says is gone.

        Raises:
            AzureError: See the class; DEPENDENTS while nested resources exist.
        """
        rid = _parse(resource_id)
        kind = _kind(rid)
        try:
            response = await self._requests.begin(
                rid,
                kind.delete,
                f"{kind.label}.delete",
                lambda client, polling: getattr(client, kind.group).begin_delete(
                    rid.resource_group, *rid.names, polling=polling, **params
                ),
            )
        except AzureError as error:
            if is_absence(error):
                return False
            raise
        return int(response.status_code) != 204

    async def share(self, gallery_id: str | ResourceId, body: Mapping[str, Any]) -> None:
        """Begin to change with whom a gallery is shared.

        Args:
            gallery_id: The gallery.
            body: A SharingUpdate: ``operationType`` (Add, Remove, Reset, EnableCommunity) and ``groups``.

        Raises:
            AzureError: See the class. The budget for this is small: 60 in half an hour.
        """
        rid = _parse(gallery_id)
        await self._requests.begin(
            rid,
            OperationClass.SHARE,
            "galleries.share",
            lambda client, polling: client.gallery_sharing_profile.begin_update(
                rid.resource_group, *rid.names, dict(body), polling=polling
            ),
            purpose=_SHARE,
        )

    async def is_sharing(self, gallery_id: str | ResourceId) -> bool:
        """Say whether a change of sharing that this process has begun goes on.

        Raises:
            AzureError: See the class; why the change failed, told once.
        """
        return await self._requests.is_running(_parse(gallery_id), _SHARE)

    async def list(self, collection_id: str) -> list[dict[str, Any]]:
        """Read all resources of a type below a parent.

        Args:
            collection_id: Such as ``…/galleries/G/images`` or ``…/resourceGroups/R/providers/Microsoft.Compute/disks``.

        Returns:
            The documents of all pages; empty when the parent does not exist.

        Raises:
            AzureError: See the class.
        """
        try:
            collection = CollectionId.parse(collection_id)
        except InvalidResourceIdError as exc:
            raise _invalid(exc) from None
        kind = _KINDS.get(collection.type.lower())
        if kind is None:
            raise _unsupported(collection.type)
        parent = collection.parent
        names = parent.names if parent.path else ()
        return await self.pages(
            parent.subscription_id,
            f"{kind.label}.list",
            lambda client: getattr(getattr(client, kind.group), kind.list_method)(parent.resource_group, *names),
        )

    async def failure(self, resource_id: str | ResourceId) -> AzureError | None:
        """Say why the last operation that this process began on a resource failed.

        The resource itself only says ``provisioningState: Failed``; the reason is in the operation.

        Returns:
            The error of a failed operation, until the next one is begun; None while it runs, when it succeeded, and
            when this process did not begin it.

        Raises:
            AzureError: See the class; the operation could not be asked.
        """
        return await self._requests.failure(_parse(resource_id))

    async def grant_write_access(self, disk_id: str | ResourceId, seconds: int) -> SecretStr:
        """Ask for a signed URL to write the content of a disk that was created for an upload.

        Args:
            disk_id: The disk.
            seconds: How long the URL is valid.

        Returns:
            The URL of a page blob that already has the disk's size.

        Raises:
            AzureError: See the class; RETRY (``OperationInProgress``) when Azure needs longer than
                :data:`ACCESS_TIMEOUT`: the next call goes on waiting for the same operation.
        """
        output = await self._grant(disk_id, {"access": "Write", "durationInSeconds": seconds})
        return _access_url(output, "accessSAS")

    async def grant_secure_write_access(self, disk_id: str | ResourceId, seconds: int) -> tuple[SecretStr, SecretStr]:
        """Ask for signed URLs to write a disk that was created by ``UploadPreparedSecure``, and its VM guest state.

        Args:
            disk_id: The disk.
            seconds: How long the URLs are valid.

        Returns:
            The URL of the disk's page blob, and that of the guest state's.

        Raises:
            AzureError: As :meth:`grant_write_access`.
        """
        data = {"access": "Write", "durationInSeconds": seconds, "getSecureVMGuestStateSAS": True}
        output = await self._grant(disk_id, data)
        return _access_url(output, "accessSAS"), _access_url(output, "securityDataAccessSAS")

    async def _grant(self, disk_id: str | ResourceId, data: dict[str, Any]) -> Mapping[str, Any]:
        rid = _parse(disk_id)
        document = await self._requests.begin_and_wait(
            rid,
            "disks.grantAccess",
            lambda client, polling: client.disks.begin_grant_access(
                rid.resource_group, *rid.names, data, polling=polling
            ),
        )
        output = document.get("properties", {}).get("output", document)
        return output if isinstance(output, Mapping) else {}

    async def revoke_access(self, disk_id: str | ResourceId) -> None:
        """End the upload into a disk; Azure now checks what was written.

        Raises:
            AzureError: See the class; INVALID when the content is not a fixed VHD with a right footer; RETRY
                (``OperationInProgress``) when Azure needs longer than :data:`ACCESS_TIMEOUT`.
        """
        rid = _parse(disk_id)
        await self._requests.begin_and_wait(
            rid,
            "disks.revokeAccess",
            lambda client, polling: client.disks.begin_revoke_access(rid.resource_group, *rid.names, polling=polling),
        )

    async def blob_endpoint(self, storage_account_id: str | ResourceId) -> str:
        """Return the blob endpoint of a storage account, without trailing slash.

        :class:`Blobs` takes URLs below it from now on, whatever its host is.

        Raises:
            AzureError: See the class; DEPENDENCY when the account is not there or has no blob endpoint.
        """
        rid = _parse(storage_account_id)
        if rid.type.lower() != "microsoft.storage/storageaccounts":
            raise _invalid(InvalidResourceIdError(f"{rid} is not the id of a storage account"))
        document = await self.get(rid)
        endpoints = (document or {}).get("properties", {}).get("primaryEndpoints") or {}
        endpoint = endpoints.get("blob")
        if not isinstance(endpoint, str) or not endpoint:
            what = "was not found" if document is None else "has no blob endpoint"
            raise AzureError(
                ErrorKind.DEPENDENCY,
                "StorageAccountNotFound" if document is None else "NoBlobEndpoint",
                f"storage account {rid.name} in resource group {rid.resource_group} {what}",
                "Check the id of the storage account; the operator tries again.",
                "storageAccounts.get",
            )
        endpoint = endpoint.rstrip("/")
        self._requests.trust_blob_endpoint(endpoint)
        return endpoint


def _access_url(output: Mapping[str, Any], name: str) -> SecretStr:
    url = output.get(name)
    if not isinstance(url, str) or not url:
        raise AzureError(
            ErrorKind.RETRY,
            "NoAccessUrl",
            f"Azure granted access to the disk but gave no URL ({name})",
            "Nothing to do: the operator tries again.",
            "disks.grantAccess",
        )
    return SecretStr(url)


def _raw_response(pipeline_response: Any, _deserialized: Any, _headers: Any) -> Any:
    return pipeline_response.http_response


def _parse(resource_id: str | ResourceId) -> ResourceId:
    if isinstance(resource_id, ResourceId):
        return resource_id
    try:
        return ResourceId.parse(resource_id)
    except InvalidResourceIdError as exc:
        raise _invalid(exc) from None


def _kind(rid: ResourceId) -> _Kind:
    kind = _KINDS.get(rid.type.lower())
    if kind is None:
        raise _unsupported(rid.type)
    return kind


def _invalid(exc: InvalidResourceIdError) -> AzureError:
    return AzureError(ErrorKind.INVALID, "InvalidResourceId", str(exc), "Correct the resource id.", "resourceId.parse")


def _unsupported(type_: str) -> AzureError:
    return AzureError(
        ErrorKind.INVALID,
        "UnsupportedResourceType",
        f"the operator does not manage resources of type {type_}",
        "Name a resource of the type that the field asks for.",
        "resourceId.parse",
    )
