"""Role assignments at a scope: list, put, delete, as plain REST documents.

azure-mgmt-compute has no operations for them, so requests are plain; API version and shapes are those of recorded
traffic (azure-cli, test_role_assignment_create_update).
"""

from collections.abc import Mapping
from typing import Any

from azure.core.rest import HttpRequest

from gallery_operator.azure.arm_requests import ArmRequests, document_of
from gallery_operator.azure.errors import AzureError, ErrorKind, is_absence
from gallery_operator.azure.resource_ids import InvalidResourceIdError, ResourceId
from gallery_operator.azure.throttle import OperationClass

API_VERSION = "2022-04-01"
_MAX_PAGES = 40
_PATH = "/providers/Microsoft.Authorization/roleAssignments"


class RoleAssignments:
    """Role assignments as seen by one credential. Made by :meth:`AzureGateway.role_assignments`.

    Every method takes the id of a scope (a gallery or an image definition) and raises :class:`AzureError` as
    :class:`gallery_operator.azure.arm.Arm` does; FORBIDDEN when the credential has no right to read, make or remove
    role assignments there.
    """

    def __init__(self, requests: ArmRequests) -> None:
        self._requests = requests

    async def list(self, scope: str) -> list[dict[str, Any]]:
        """Read the assignments that hold at a scope: its own, and those inherited from above.

        Raises:
            AzureError: See the class.
        """
        rid = _scope(scope)
        request = HttpRequest("GET", f"{rid}{_PATH}", params={"api-version": API_VERSION, "$filter": "atScope()"})
        found: list[dict[str, Any]] = []
        for _ in range(_MAX_PAGES):
            response = await self._requests.send(rid, "roleAssignments.list", request)
            document = document_of(response)
            found += [each for each in document.get("value") or [] if isinstance(each, dict)]
            url = document.get("nextLink")
            if not isinstance(url, str) or not url:
                return found
            if not self._requests.is_trusted(url):
                break
            request = HttpRequest("GET", url)
        raise AzureError(
            ErrorKind.RETRY,
            "ListIncomplete",
            "the list of role assignments has no end that the operator may ask for",
            "Nothing to do: the operator tries again.",
            "roleAssignments.list",
        )

    async def put(self, scope: str, name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Make a role assignment, or change its description.

        Args:
            scope: Where it holds.
            name: Its name, a GUID.
            properties: ``roleDefinitionId``, ``principalId``, ``principalType`` and so on.

        Returns:
            The assignment as Azure has it now.

        Raises:
            AzureError: See the class; code ``RoleAssignmentExists`` when the principal has the role there under another
                name; DEPENDENCY (``PrincipalNotFound``) while Entra ID does not know the principal.
        """
        rid = _scope(scope)
        request = HttpRequest(
            "PUT",
            f"{rid}{_PATH}/{name}",
            params={"api-version": API_VERSION},
            json={"properties": dict(properties)},
        )
        return document_of(await self._requests.send(rid, "roleAssignments.put", request, OperationClass.WRITE))

    async def delete(self, scope: str, name: str) -> None:
        """Remove a role assignment; one that is not there is as good as removed.

        Raises:
            AzureError: See the class.
        """
        rid = _scope(scope)
        request = HttpRequest("DELETE", f"{rid}{_PATH}/{name}", params={"api-version": API_VERSION})
        try:
            await self._requests.send(rid, "roleAssignments.delete", request, OperationClass.WRITE)
        except AzureError as error:
            if not is_absence(error):
                raise


def _scope(scope: str) -> ResourceId:
    try:
        return ResourceId.parse(scope)
    except InvalidResourceIdError as exc:
        raise AzureError(
            ErrorKind.INVALID, "InvalidResourceId", str(exc), "Correct the resource id.", "resourceId.parse"
        ) from None
