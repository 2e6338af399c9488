"""Errors in the form and the words of Azure Resource Manager.

Texts come from Microsoft's "Troubleshoot images in an Azure Compute Gallery" page, from recorded traffic and
from public issues. Where Azure's own code or text could not be found, the function says "inferred".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "ArmError",
    "bad_parameter",
    "cannot_delete_nested",
    "conflict_in_progress",
    "group_not_found",
    "location_mismatch",
    "location_unavailable",
    "not_simulated",
    "parent_not_found",
    "property_change",
    "resource_not_found",
]


class ArmError(Exception):
    """An answer of Azure that is an error.

    Attributes:
        status: HTTP status.
        code: Azure's error code, such as `InvalidParameter`.
        message: Azure's sentence.
        target: path of the property at fault, if Azure names one.
        gateway: whether ARM's front door answers instead of the resource provider; it then adds a header.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        gateway: bool = False,
        details: Sequence[Mapping[str, Any]] = (),
        inner: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.gateway = gateway
        self.details = [dict(detail) for detail in details]
        self.inner = dict(inner) if inner else None
        self.headers = dict(headers or {})
        if gateway:
            self.headers["x-ms-failure-cause"] = "gateway"

    def error(self) -> dict[str, Any]:
        """Return the value of `error` in a body or in an operation."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target:
            error["target"] = self.target
        if self.details:
            error["details"] = self.details
        if self.inner:
            error["innererror"] = self.inner
        return error

    def body(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {"error": self.error()}


def bad_parameter(message: str, target: str | None = None) -> ArmError:
    """Return 400 `InvalidParameter`."""
    return ArmError(400, "InvalidParameter", message, target=target)


def resource_not_found(resource_type: str, names: str, group: str) -> ArmError:
    """Return the front door's 404 for a resource that does not exist."""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{resource_type}/{names}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        gateway=True,
    )


def parent_not_found(names: str) -> ArmError:
    """Return the front door's 404 for a parent that does not exist; `names` is `gallery/definition`."""
    return ArmError(
        404,
        "ParentResourceNotFound",
        f"Can not perform requested operation on nested resource. Parent resource '{names}' not found.",
        gateway=True,
    )


def group_not_found(group: str) -> ArmError:
    """Return the front door's 404 for a resource group."""
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.", gateway=True)


def property_change(path: str) -> ArmError:
    """Return 409 for the change of a property that Azure keeps as it was created."""
    return ArmError(409, "PropertyChangeNotAllowed", f"Changing property '{path}' is not allowed.", target=path)


def location_mismatch(names: str, group: str, existing: str, wanted: str) -> ArmError:
    """Return 409 for a PUT that names another location than the resource has."""
    return ArmError(
        409,
        "InvalidResourceLocation",
        f"The resource '{names}' already exists in location '{existing}' in resource group '{group}'. A resource "
        f"with the same name cannot be created in location '{wanted}'. Please select a new resource name.",
        gateway=True,
    )


def location_unavailable(location: str, resource_type: str, known: Sequence[str]) -> ArmError:
    """Return 400 for a region that is not in the table of regions."""
    return ArmError(
        400,
        "LocationNotAvailableForResourceType",
        f"The provided location '{location}' is not available for resource type '{resource_type}'. List of "
        f"available regions for the resource type is '{','.join(known)}'.",
        gateway=True,
    )


def cannot_delete_nested(children: Sequence[str]) -> ArmError:
    """Return 409 for a parent that still has children (the text in use since 2024)."""
    return ArmError(
        409,
        "CannotDeleteResource",
        "Cannot delete resource while nested resources exist. Some existing nested resource IDs include: "
        f"'{', '.join(children[:5])}'. Please delete all nested resources before deleting this resource.",
    )


def conflict_in_progress(name: str) -> ArmError:
    """Return 409 for a write while another one runs. Code and text are inferred: no recording shows them."""
    return ArmError(
        409,
        "OperationNotAllowed",
        f"Another operation is in progress on '{name}'. Retry after it has completed.",
    )


def not_simulated(what: str) -> ArmError:
    """Return 400 for a feature of Azure that this simulator does not have; it never pretends."""
    return ArmError(400, "NotSimulated", f"The Azure simulator does not simulate {what}.")
