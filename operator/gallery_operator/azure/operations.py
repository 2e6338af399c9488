"""Long-running operations this process has begun: where to ask how they ended. In memory only.

The URL of an operation is signed, so it is never stored anywhere else; after a restart the resource's own
``provisioningState`` says what is to be known, and only the reason of a failure is lost.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from azure.core.polling import AsyncNoPolling

from gallery_operator.azure import error_bodies
from gallery_operator.azure.errors import AzureError, classify_answer

_MAX_OPERATIONS = 4096


class OperationState(StrEnum):
    """How far an operation is."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass
class RunningOperation:
    """An operation that was begun.

    Attributes:
        operation: Name of the call, such as ``galleryImageVersions.put``.
        url: Where to ask; signed, hence not in the repr.
        error: Why it failed, once that is known.
    """

    operation: str
    url: str = field(repr=False)
    error: AzureError | None = None


class Operations:
    """The last operation on each resource, by credential.

    Args:
        endpoint: Resource Manager's endpoint: only URLs below its host are asked, because a token goes with them.
    """

    def __init__(self, endpoint: str) -> None:
        self._host = (urlsplit(endpoint).hostname or "").lower()
        self._port = urlsplit(endpoint).port
        self._operations: OrderedDict[tuple[str, str, str], RunningOperation] = OrderedDict()

    def remember(self, key: tuple[str, str, str], operation: str, headers: Mapping[str, str]) -> None:
        """Note the operation an answer began, instead of the one before.

        Args:
            key: Fingerprint of the credential, key of the resource, purpose.
            operation: Name of the call.
            headers: Headers of the answer; without a usable URL nothing is kept.
        """
        self._operations.pop(key, None)
        lower = {name.lower(): value for name, value in headers.items()}
        url = lower.get("azure-asyncoperation") or lower.get("location") or ""
        if not url or not self.is_trusted(url):
            return
        self._operations[key] = RunningOperation(operation, url)
        while len(self._operations) > _MAX_OPERATIONS:
            self._operations.popitem(last=False)

    def get(self, key: tuple[str, str, str]) -> RunningOperation | None:
        """Return the operation that was noted, or None."""
        return self._operations.get(key)

    def forget(self, key: tuple[str, str, str]) -> None:
        """Drop what is noted."""
        self._operations.pop(key, None)

    def is_trusted(self, url: str) -> bool:
        """Whether a URL is one of Resource Manager's own, so that a token may go with a request for it."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return False
        same_host = host == self._host or host.endswith(f".{self._host}")
        return parts.scheme == "https" and same_host and (port or 443) == (self._port or 443)


def read_state(document: object) -> OperationState:
    """Say how far an operation is by its status document; anything that is not a failure or a success still runs."""
    status = str(document.get("status", "")).lower() if isinstance(document, Mapping) else ""
    if status == "succeeded":
        return OperationState.SUCCEEDED
    if status in {"failed", "canceled", "cancelled"}:
        return OperationState.FAILED
    return OperationState.RUNNING


def read_failure(document: Mapping[str, Any], operation: str) -> AzureError:
    """Classify the error in the status document of an operation that failed."""
    return classify_answer(None, error_bodies.parse_document({"error": document.get("error") or {}}), operation)


class BeginOnly(AsyncNoPolling[Any]):
    """A polling method of azure-core that keeps the first answer and never polls."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.response: Any = None

    def initialize(self, client: Any, initial_response: Any, deserialization_callback: Any) -> None:
        """Keep the first answer; called by the SDK before ``begin_…`` returns."""
        super().initialize(client, initial_response, deserialization_callback)
        self.response = initial_response.http_response
