"""Built-in roles that gallery users need.

Source: Microsoft's page of built-in roles for compute, general and storage; the form of the answer is recorded traffic
(azure-cli, test_role_assignment_create_update). When each was made is known of Reader only and left null elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["BUILT_IN", "Role"]


@dataclass(frozen=True, slots=True)
class Role:
    """One role.

    Attributes:
        name: GUID, the same in every tenant.
        title: what people call it.
        description: Microsoft's sentence.
        actions: allowed actions of the control plane.
        not_actions: what is taken out of them.
        data_actions: allowed actions of the data plane.
        kind: `BuiltInRole` or `CustomRole`.
    """

    name: str
    title: str
    description: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    kind: str = "BuiltInRole"

    def body(self, subscription: str) -> dict[str, Any]:
        """Return the role as ARM answers it in a subscription."""
        path = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{self.name}"
        permissions = {
            "actions": list(self.actions),
            "notActions": list(self.not_actions),
            "dataActions": list(self.data_actions),
            "notDataActions": [],
        }
        return {
            "properties": {
                "roleName": self.title,
                "type": self.kind,
                "description": self.description,
                "assignableScopes": ["/"] if self.kind == "BuiltInRole" else [f"/subscriptions/{subscription}"],
                "permissions": [permissions],
                **_DATES.get(self.name, {"createdOn": None, "updatedOn": None}),
                "createdBy": None,
                "updatedBy": None,
            },
            "id": path,
            "type": "Microsoft.Authorization/roleDefinitions",
            "name": self.name,
        }


_DATES: dict[str, dict[str, str | None]] = {
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": {
        "createdOn": "2015-02-02T21:55:09.8806423Z",
        "updatedOn": "2021-11-11T20:13:47.8628684Z",
    }
}

_ROLES = (
    Role(
        "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "Reader",
        "View all resources, but does not allow you to make any changes.",
        ("*/read",),
    ),
    Role(
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Contributor",
        "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC, manage "
        "assignments in Azure Blueprints, or share image galleries.",
        ("*",),
        (
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
            "Microsoft.Blueprint/blueprintAssignments/write",
            "Microsoft.Blueprint/blueprintAssignments/delete",
            "Microsoft.Compute/galleries/share/action",
        ),
    ),
    Role(
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "Owner",
        "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
        ("*",),
    ),
    Role(
        "cf7c76d2-98a3-4358-a134-615aa78bf44d",
        "Compute Gallery Image Reader",
        "This is the role for reading gallery images.",
        ("Microsoft.Compute/galleries/images/read", "Microsoft.Compute/galleries/images/versions/read"),
    ),
    Role(
        "85a2d0d9-2eba-4c9c-b355-11c2cc0788ab",
        "Compute Gallery Artifacts Publisher",
        "This is the role for publishing gallery artifacts.",
        (
            "Microsoft.Compute/galleries/*",
            "Microsoft.Compute/locations/capsOperations/read",
            "Microsoft.Compute/locations/communityGalleries/*",
            "Microsoft.Compute/locations/sharedGalleries/*",
            "Microsoft.Compute/images/*",
            "Microsoft.Compute/virtualMachines/write",
            "Microsoft.Compute/disks/write",
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ),
        ("Microsoft.Compute/galleries/share/action",),
    ),
    Role(
        "1ef6a3be-d0ac-425d-8c01-acb62866290b",
        "Compute Gallery Sharing Admin",
        "This role allows user to share gallery to another subscription/tenant or share it to the public.",
        ("Microsoft.Compute/galleries/share/action",),
    ),
    Role(
        "959f8984-c045-4866-89c7-12bf9737be2e",
        "Data Operator for Managed Disks",
        "Provides permissions to upload data to empty managed disks, read, or export data of managed disks (not "
        "attached to running VMs) and snapshots using SAS URIs and Azure AD authentication.",
        data_actions=(
            "Microsoft.Compute/disks/download/action",
            "Microsoft.Compute/disks/upload/action",
            "Microsoft.Compute/snapshots/download/action",
            "Microsoft.Compute/snapshots/upload/action",
        ),
    ),
    Role(
        "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        "Storage Blob Data Contributor",
        "Allows for read, write and delete access to Azure Storage blob containers and data",
        (
            "Microsoft.Storage/storageAccounts/blobServices/containers/delete",
            "Microsoft.Storage/storageAccounts/blobServices/containers/read",
            "Microsoft.Storage/storageAccounts/blobServices/containers/write",
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
        ),
        data_actions=(
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete",
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/move/action",
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action",
        ),
    ),
)

BUILT_IN: dict[str, Role] = {role.name: role for role in _ROLES}
"""Built-in roles by GUID."""
