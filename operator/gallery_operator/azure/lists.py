"""Lists that Resource Manager answers in pages: what is in a gallery, what can be restored, what is used of a limit."""

from collections.abc import Callable
from typing import Any

from gallery_operator.azure.arm_requests import ArmRequests
from gallery_operator.azure.errors import AzureError, is_absence
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.azure.throttle import OperationClass


class Lists:
    """The lists of one credential; the base of :class:`gallery_operator.azure.arm.Arm`."""

    def __init__(self, requests: ArmRequests, subscription_id: str) -> None:
        self._requests = requests
        self.subscription_id = subscription_id

    async def soft_deleted(self, definition: ResourceId) -> list[dict[str, Any]]:
        """Read the versions of a definition that were deleted and can be restored.

        Args:
            definition: Id of the image definition.

        Returns:
            What Azure says of each; empty when there is none, or no definition.

        Raises:
            AzureError: See the class.
        """
        gallery_name, definition_name = definition.names
        return await self.pages(
            definition.subscription_id,
            "softDeletedResource.list",
            lambda client: client.soft_deleted_resource.list_by_artifact_name(
                definition.resource_group, gallery_name, "images", definition_name
            ),
        )

    async def usages(self, location: str) -> list[dict[str, Any]]:
        """Read how much of the limits of Microsoft.Compute this gateway's subscription uses in a region.

        Args:
            location: Region in normal form, such as ``westeurope``.

        Returns:
            One document a limit: ``name`` {value, localizedValue}, ``currentValue``, ``limit``.

        Raises:
            AzureError: See the class.
        """
        return await self.pages(self.subscription_id, "usage.list", lambda client: client.usage.list(location))

    async def galleries(self) -> list[dict[str, Any]]:
        """Read all galleries of this gateway's subscription that the credential may see.

        Raises:
            AzureError: See the class.
        """
        return await self.pages(self.subscription_id, "galleries.list", lambda client: client.galleries.list())

    async def pages(self, subscription_id: str, operation: str, start: Callable[[Any], Any]) -> list[dict[str, Any]]:
        """Read all pages of a list, each within the budget.

        Args:
            subscription_id: Whose budget.
            operation: Name for errors, metrics and the log.
            start: Calls a list method of the SDK.

        Returns:
            The documents of all pages; empty when the parent does not exist.

        Raises:
            AzureError: See :class:`gallery_operator.azure.arm.Arm`.
        """
        pages: Any = None

        async def next_page(client: Any) -> list[dict[str, Any]] | None:
            nonlocal pages
            if pages is None:
                pages = start(client).by_page()
            try:
                page = await anext(pages)
            except StopAsyncIteration:
                return None
            return [item.as_dict() async for item in page]

        found: list[dict[str, Any]] = []
        while True:
            try:
                page = await self._requests.call(subscription_id, OperationClass.READ, operation, next_page)
            except AzureError as error:
                if is_absence(error):
                    return []
                raise
            found += page or []
            if page is None or not pages.continuation_token:
                return found
