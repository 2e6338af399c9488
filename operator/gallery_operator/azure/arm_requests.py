"""Requests to Resource Manager within the budget of their subscription, and long-running operations begun by them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest

from gallery_operator.azure.calls import call as run
from gallery_operator.azure.clients import Clients
from gallery_operator.azure.credentials import CredentialSpec
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.operations import BeginOnly, Operations, OperationState, read_failure, read_state
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.azure.throttle import OperationClass, Throttle

ACCESS_TIMEOUT = 60.0
"""Longest wait for granting or revoking access to a disk, in seconds."""
_MAX_POLL_DELAY = 10.0

_Result = TypeVar("_Result")


class ArmRequests:
    """Sends requests for one credential. Shares clients, budgets and operations with all others of the process."""

    def __init__(
        self, clients: Clients, throttle: Throttle, operations: Operations, credential: CredentialSpec
    ) -> None:
        self._clients = clients
        self._throttle = throttle
        self._operations = operations
        self._credential = credential

    async def call(
        self,
        subscription_id: str,
        operation_class: OperationClass,
        operation: str,
        function: Callable[[Any], Awaitable[_Result]],
    ) -> _Result:
        """Send one request within the subscription's budget, and learn from its answer.

        Args:
            subscription_id: Whose budget, and which client.
            operation_class: Which budget.
            operation: Name for errors, metrics and the log.
            function: Sends the request with the client it is given.

        Returns:
            What the function returns.

        Raises:
            AzureError: Nothing was sent (THROTTLED, UNREACHABLE by the circuit breaker), or what the answer means.
        """
        client = self._clients.compute(self._credential, subscription_id)
        principal = self._credential.fingerprint
        await self._throttle.acquire(subscription_id, operation_class, operation, principal)
        try:
            result = await run(operation, lambda: function(client))
        except AzureError as error:
            self._throttle.record(subscription_id, operation_class, principal, error=error)
            raise
        headers = getattr(result, "headers", None) or {}
        remaining = headers.get("x-ms-ratelimit-remaining-resource")
        self._throttle.record(subscription_id, operation_class, principal, remaining=remaining)
        return result

    def trust_blob_endpoint(self, endpoint: str) -> None:
        """Allow tokens for storage to be sent to an endpoint that Resource Manager named."""
        self._clients.trust_blob_endpoint(endpoint)

    def is_trusted(self, url: str) -> bool:
        """Whether a token for Resource Manager may be sent to a URL that an answer named."""
        return self._operations.is_trusted(url)

    async def send(
        self,
        rid: ResourceId,
        operation: str,
        request: HttpRequest,
        operation_class: OperationClass = OperationClass.READ,
    ) -> Any:
        """Send a request that no operation group of the SDK has.

        Args:
            rid: The resource it is about, for the subscription.
            operation: Name for errors, metrics and the log.
            request: Path or URL, and the API version.
            operation_class: Which budget.

        Returns:
            The answer, whose status is below 300.

        Raises:
            AzureError: As :meth:`call`.
        """

        async def ask(client: Any) -> Any:
            response = await client.send_request(request)
            if response.status_code >= 300:
                raise HttpResponseError(response=response)
            return response

        return await self.call(rid.subscription_id, operation_class, operation, ask)

    async def begin(
        self,
        rid: ResourceId,
        operation_class: OperationClass,
        operation: str,
        function: Callable[[Any, BeginOnly], Awaitable[Any]],
        purpose: str = "write",
    ) -> Any:
        """Send the request that begins an operation, and note where to ask how it ended.

        Args:
            rid: The resource it changes.
            operation_class: Which budget.
            operation: Name for errors, metrics and the log.
            function: Calls the SDK's ``begin_…`` with the client and the polling method it is given.
            purpose: What the operation is remembered as; one of each is known per resource.

        Returns:
            The first answer.

        Raises:
            AzureError: As :meth:`call`.
        """

        async def start(client: Any) -> Any:
            polling = BeginOnly()
            await function(client, polling)
            return polling.response

        response = await self.call(rid.subscription_id, operation_class, operation, start)
        self._operations.remember((self._credential.fingerprint, rid.key, purpose), operation, response.headers)
        return response

    async def failure(self, rid: ResourceId) -> AzureError | None:
        """See :meth:`gallery_operator.azure.arm.Arm.failure`."""
        key = (self._credential.fingerprint, rid.key, "write")
        running = self._operations.get(key)
        if running is None or running.error is not None:
            return running.error if running else None
        try:
            document = await self._poll(rid, running.url)
        except AzureError as error:
            if error.status in {404, 410}:  # Azure forgets operations after some days
                self._operations.forget(key)
                return None
            raise
        match read_state(document):
            case OperationState.FAILED:
                running.error = read_failure(document, running.operation)
            case OperationState.SUCCEEDED:
                self._operations.forget(key)
            case OperationState.RUNNING:
                pass
        return running.error

    async def is_running(self, rid: ResourceId, purpose: str) -> bool:
        """Say whether an operation that this process has begun goes on; how it ended is told once.

        Args:
            rid: The resource it changes.
            purpose: What the operation is remembered as.

        Returns:
            False when it succeeded, or when this process knows of none.

        Raises:
            AzureError: Why it failed; or as :meth:`call`.
        """
        key = (self._credential.fingerprint, rid.key, purpose)
        running = self._operations.get(key)
        if running is None:
            return False
        try:
            document = await self._poll(rid, running.url)
        except AzureError as error:
            if error.status not in {404, 410}:
                raise
            self._operations.forget(key)  # Azure forgets operations after some days
            return False
        state = read_state(document)
        if state is not OperationState.RUNNING:
            self._operations.forget(key)
        if state is OperationState.FAILED:
            raise read_failure(document, running.operation)
        return state is OperationState.RUNNING

    async def _poll(self, rid: ResourceId, url: str) -> dict[str, Any]:
        response = await self.send(rid, "operations.get", HttpRequest("GET", url))
        document = document_of(response)
        delay = response.headers.get("Retry-After", "")
        if delay.isdecimal():
            document.setdefault("retryAfter", int(delay))
        return document

    async def begin_and_wait(
        self, rid: ResourceId, operation: str, function: Callable[[Any, BeginOnly], Awaitable[Any]]
    ) -> dict[str, Any]:
        """Begin an operation, or go on with the one begun before, and wait for its end.

        Args:
            rid: The resource it changes.
            operation: Name for errors, metrics and the log, and what it is remembered as.
            function: As in :meth:`begin`.

        Returns:
            Its last status document, or the first answer when Azure finished at once.

        Raises:
            AzureError: As :meth:`call`; what a failed operation says; RETRY after :data:`ACCESS_TIMEOUT`.
        """
        key = (self._credential.fingerprint, rid.key, operation)
        deadline = time.monotonic() + ACCESS_TIMEOUT
        if self._operations.get(key) is None:
            response = await self.begin(rid, OperationClass.WRITE, operation, function, purpose=operation)
            if self._operations.get(key) is None:
                return document_of(response)
        delay = 0.25
        while (running := self._operations.get(key)) is not None:
            try:
                document = await self._poll(rid, running.url)
            except AzureError as error:
                if error.status in {400, 404, 410}:
                    self._operations.forget(key)  # begun anew by the next call
                raise
            match read_state(document):
                case OperationState.SUCCEEDED:
                    self._operations.forget(key)
                    return document
                case OperationState.FAILED:
                    self._operations.forget(key)
                    raise read_failure(document, operation)
                case OperationState.RUNNING:
                    pass
            wait = min(max(float(document.get("retryAfter", 0)), delay), _MAX_POLL_DELAY)
            delay = min(delay * 2, _MAX_POLL_DELAY)
            if time.monotonic() + wait > deadline:
                break
            await asyncio.sleep(wait)
        raise AzureError(
            ErrorKind.RETRY,
            "OperationInProgress",
            f"Azure still works on it after {ACCESS_TIMEOUT:.0f} seconds",
            "Nothing to do: the operator looks again.",
            operation,
            retry_after=_MAX_POLL_DELAY,
        )


def document_of(response: Any) -> dict[str, Any]:
    """Return the JSON object in an answer; empty when there is none."""
    try:
        document = response.json() if response.content else {}
    except ValueError:
        document = {}
    return document if isinstance(document, dict) else {}
