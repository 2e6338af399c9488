"""The operator's door to Azure: made once, opened for the life of the process.

Importing this module loads azure-core, azure-identity and azure-storage-blob; opening the gateway loads
azure-mgmt-compute too.
"""

from types import TracebackType
from typing import Self

from gallery_operator.azure.arm import Arm
from gallery_operator.azure.arm_requests import ArmRequests
from gallery_operator.azure.authorization import RoleAssignments
from gallery_operator.azure.blobs import Blobs, DelegationKeys
from gallery_operator.azure.clients import Clients
from gallery_operator.azure.credentials import CredentialSpec
from gallery_operator.azure.operations import Operations
from gallery_operator.azure.settings import AzureSettings
from gallery_operator.azure.throttle import Throttle

__all__ = ["Arm", "AzureGateway", "Blobs", "RoleAssignments"]


class AzureGateway:
    """Clients, tokens, budgets and running operations of one process. An async context manager; one event loop.

    Args:
        settings: Which cloud, and how fast.
        throttle: For tests; made from the settings otherwise.
    """

    def __init__(self, settings: AzureSettings, *, throttle: Throttle | None = None) -> None:
        self._clients = Clients(settings)
        self._throttle = throttle or Throttle(settings.rate_factor)
        self._operations = Operations(settings.resource_manager_endpoint)
        self._keys = DelegationKeys()

    async def __aenter__(self) -> Self:
        await self._clients.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._clients.close()

    def arm(self, credential: CredentialSpec, subscription_id: str) -> Arm:
        """Return Resource Manager as seen by a credential.

        Args:
            credential: Who asks.
            subscription_id: The subscription the object belongs to. A resource id always speaks for itself: what it
                names is asked in its own subscription.

        Returns:
            A light object; clients and tokens behind it are shared by all that have the same credential.
        """
        return Arm(self._requests(credential), subscription_id)

    def role_assignments(self, credential: CredentialSpec) -> RoleAssignments:
        """Return role assignments as seen by a credential; light, as :meth:`arm`."""
        return RoleAssignments(self._requests(credential))

    def blobs(self, credential: CredentialSpec, storage_account_id: str | None = None) -> Blobs:
        """Return blob storage as seen by a credential.

        Args:
            credential: Who asks.
            storage_account_id: The account whose blobs are meant. In Azure's own clouds it may be left out. Elsewhere
                an account's endpoint can be any host, and a token goes there only when Resource Manager names it;
                with the id, that is looked up once a process when it is needed.

        Returns:
            A light object.
        """
        if storage_account_id is None:
            return Blobs(self._clients, self._keys, credential)
        arm = self.arm(credential, "")
        return Blobs(self._clients, self._keys, credential, lambda: arm.blob_endpoint(storage_account_id))

    def _requests(self, credential: CredentialSpec) -> ArmRequests:
        return ArmRequests(self._clients, self._throttle, self._operations, credential)
