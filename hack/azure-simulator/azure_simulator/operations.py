"""Long-running operations as they look on the wire.

Azure Compute has three families with their own URLs: `capsOperations` (galleries), `DiskOperations` (disks and
snapshots) and `operations` (managed images). The URL carries several kilobytes of signed parameters; the
simulator signs and checks them too, so that a client which cuts or re-encodes the URL is found out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .clock import Clock, timestamp
from .errors import ArmError
from .regions import find
from .store import Store

__all__ = ["NOBODY", "Call", "Family", "Operations", "Reply"]

_NOTIFIES_FROM = "2024-03-03"  # seen with it in 2026, not with 2023-07-03 in 2025
NOBODY = "00000000-0000-0000-0000-000000000000"
"""Object id of a caller whose token says nothing."""

Family = Literal["capsOperations", "DiskOperations", "operations"]


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler must know of a request besides its path and body.

    Attributes:
        api_version: value of `api-version`.
        query: all query parameters, names in lower case.
        base: scheme and host that the client used.
        caller: object id of who asks.
    """

    api_version: str
    query: Mapping[str, str] = field(default_factory=dict)
    base: str = "https://management.azure.com"
    caller: str = NOBODY


@dataclass(slots=True)
class Reply:
    """An answer: status, JSON body (None: empty) and headers."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Operations:
    """Begins, finishes and shows long-running operations."""

    def __init__(self, store: Store, clock: Clock, secret: bytes, resolve: Callable[[Any], Any]) -> None:
        """Keep operations in `store`.

        Args:
            store: where they are kept.
            clock: Azure time.
            secret: what their URLs are signed with.
            resolve: turns a stored output into the one to show; signed URLs are made there, never stored.
        """
        self._store = store
        self._clock = clock
        self._secret = secret
        self._resolve = resolve

    def begin(
        self,
        call: Call,
        family: Family,
        *,
        subscription: str,
        location: str,
        seconds: float,
        kind: str,
        payload: Mapping[str, Any],
        poll: float | None = None,
        both: bool = False,
        due: float | None = None,
    ) -> tuple[str, dict[str, str]]:
        """Begin an operation and set the timer that ends it.

        Args:
            call: the request.
            family: which URL the operation gets.
            subscription: subscription id.
            location: region whose name is in the URL.
            seconds: Azure seconds until it ends.
            kind: timer kind; its handler must call `finish`.
            payload: what the handler gets, plus `operation`.
            poll: `Retry-After` in Azure seconds while it runs, or None.
            both: whether the answer has `Location` besides `Azure-AsyncOperation`.
            due: Azure time at which it ends, instead of `seconds` from now.

        Returns:
            the operation's id and the headers of the answer.
        """
        operation_id = str(uuid.uuid4())
        now = self._clock.now()
        self._store.put_operation(
            operation_id,
            {
                "id": operation_id,
                "family": family,
                "kind": kind,
                "target": payload.get("key"),
                "subscription": subscription,
                "status": "InProgress",
                "startTime": timestamp(self._clock.wall_at(now)),
                "retryAfter": poll,
            },
        )
        self._store.add_timer(now + seconds if due is None else due, kind, {**payload, "operation": operation_id})
        region = find(location)
        segment = region.segment if region else location
        url = f"{call.base}/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{segment}"
        url = f"{url}/{family}/{operation_id}"
        tail = f"api-version={call.api_version}&{self._signed(operation_id)}"
        partition = "" if family == "capsOperations" else f"p={uuid.uuid5(uuid.NAMESPACE_DNS, segment)}&"
        headers = {"Azure-AsyncOperation": f"{url}?{partition}{tail}", "x-ms-request-id": operation_id}
        if family == "operations" or (family == "capsOperations" and call.api_version >= _NOTIFIES_FROM):
            headers["Azure-AsyncNotification"] = "Enabled"
        if both:
            headers["Location"] = f"{url}?{partition}monitor=true&{tail}"
        return operation_id, headers

    def finish(
        self,
        operation_id: str,
        due: float,
        *,
        error: Mapping[str, Any] | None = None,
        output: Any = None,
    ) -> None:
        """End an operation at Azure time `due`, with an error or a result."""
        operation = self._store.operation(operation_id)
        if operation is None:
            return
        operation["status"] = "Failed" if error else "Succeeded"
        operation["endTime"] = timestamp(self._clock.wall_at(due))
        if error:
            operation["error"] = dict(error)
        if output is not None:
            operation["output"] = output
        self._store.put_operation(operation_id, operation)

    def show(self, call: Call, family: str, operation_id: str) -> Reply:
        """Answer a poll of an operation's URL.

        Raises:
            ArmError: there is no such operation, or the URL's signed parameters were changed.
        """
        operation = self._store.operation(operation_id)
        if operation is None or operation["family"].lower() != family.lower():
            raise ArmError(404, "NotFound", f"The entity was not found. ActivityId: {operation_id}")
        self._check(call, operation_id)
        headers: dict[str, str] = {}
        running = operation["status"] == "InProgress"
        if running and operation["retryAfter"]:
            headers = self.retry_headers(operation["retryAfter"])
        if call.query.get("monitor", "").lower() == "true":
            if running:
                return Reply(202, None, headers)
            if operation["status"] == "Failed":
                return Reply(409, {"error": operation["error"]}, headers)
            return Reply(200, self._resolve(operation.get("output")), headers)
        body: dict[str, Any] = {"startTime": operation["startTime"]}
        if not running:
            body["endTime"] = operation["endTime"]
        body["status"] = operation["status"]
        if operation.get("output") is not None:
            body["properties"] = {"output": self._resolve(operation["output"])}
        if "error" in operation:
            body["error"] = operation["error"]
        body["name"] = operation_id
        return Reply(200, body, headers)

    def retry_headers(self, azure_seconds: float) -> dict[str, str]:
        """Return the headers that ask to wait a number of Azure seconds.

        `Retry-After` counts whole seconds; a wait that the time scale made shorter than one is told in the form other
        Azure services use, which Azure's SDKs understand too.
        """
        seconds = self._clock.real_seconds(azure_seconds)
        if seconds < 1:
            return {"x-ms-retry-after-ms": str(max(1, round(seconds * 1000)))}
        return {"Retry-After": str(round(seconds))}

    def _signed(self, operation_id: str) -> str:
        ticks = str(int.from_bytes(self._mac(f"t:{operation_id}")[:6], "big") + 638_000_000_000_000_000)
        blocks = b"".join(self._mac(f"c{number}:{operation_id}") for number in range(64))
        certificate = base64.urlsafe_b64encode(blocks).rstrip(b"=").decode()
        digest = base64.urlsafe_b64encode(self._mac(f"h:{certificate}")).rstrip(b"=").decode()
        signature = base64.urlsafe_b64encode(self._mac(f"s:{ticks}{certificate}{digest}")).rstrip(b"=").decode()
        return f"t={ticks}&c={certificate}&s={signature}&h={digest}"

    def _check(self, call: Call, operation_id: str) -> None:
        pairs = dict(pair.split("=", 1) for pair in self._signed(operation_id).split("&"))
        changed = [name for name, value in pairs.items() if call.query.get(name) != value]
        if changed:
            raise ArmError(
                403,
                "AuthorizationFailed",
                f"The operation URL was not used as it was given: parameters {', '.join(changed)} differ.",
            )

    def _mac(self, text: str) -> bytes:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).digest()
