"""What the parts of the simulator share, and the one place that lets time take effect."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable
from typing import Any

from .armthrottle import ArmThrottle
from .blobs import BlobError, BlobPath, Blobs
from .clock import Clock, ClockState
from .config import Config
from .entra import Entra
from .errors import group_not_found, location_unavailable
from .faults import Faults
from .operations import Operations
from .regions import REGIONS, Region, find
from .store import Resource, Store, Timer
from .throttle import Throttle

__all__ = ["Engine", "group_key"]

_LOG = logging.getLogger(__name__)

TimerHandler = Callable[[Timer], None]


def group_key(subscription: str, group: str) -> str:
    """Return the key of a resource group."""
    return f"/subscriptions/{subscription}/resourcegroups/{group}".lower()


class Engine:
    """State, clock, blobs, faults and budgets of one simulator."""

    def __init__(self, config: Config, blobs: Blobs, *, clock: Clock | None = None) -> None:
        """Open the state and make what the configuration says exists."""
        self.config = config
        self.blobs = blobs
        self.store = Store(config.state_dir / "state.sqlite" if config.state_dir else None)
        self.clock = clock or self._saved_clock()
        self._keep_clock(self.clock.state)
        secret = bytes.fromhex(self._secret())
        self.operations = Operations(self.store, self.clock, secret, self._show_output)
        self.throttle = Throttle(self.clock, enforce=config.throttle)
        self.arm_throttle = ArmThrottle(self.clock, enforce=config.throttle)
        self.faults = Faults(config.seed)
        self.entra = Entra(secret, config.bad_secrets)
        self.lock = asyncio.Lock()
        self._handlers: dict[str, TimerHandler] = {"delete-blobs": self._note_garbage}
        self._garbage: set[tuple[str, str]] = {
            (account, container) for account, container in self.store.meta("garbage") or []
        }
        self.seed()

    def close(self) -> None:
        """Close the state."""
        self._keep_clock(self.clock.state)
        self.store.close()

    def seed(self) -> None:
        """Make the subscriptions' resource groups and storage accounts, unless they are there."""
        wanted = dict(self.config.groups)
        for account in self.config.accounts:
            wanted.setdefault(account.group, account.location)
        with self.store.transaction():
            for subscription in self.config.subscriptions:
                for group, location in wanted.items():
                    self.add_group(subscription, group, location)
            for account in self.config.accounts:
                self._seed_account(self.config.subscriptions[0], account.group, account.name, account.location)

    def add_group(self, subscription: str, group: str, location: str, tags: Any = None) -> tuple[Resource, bool]:
        """Return a resource group, made if absent, and whether it was made."""
        key = group_key(subscription, group)
        found = self.store.get(key)
        if found is not None:
            return found, False
        body: dict[str, Any] = {
            "id": f"/subscriptions/{subscription}/resourceGroups/{group}",
            "name": group,
            "type": "Microsoft.Resources/resourceGroups",
            "location": self.region(location, "Microsoft.Resources/resourceGroups").name,
            "properties": {"provisioningState": "Succeeded"},
        }
        if tags is not None:
            body["tags"] = tags
        resource = Resource(key, "microsoft.resources/resourcegroups", f"/subscriptions/{subscription}".lower(), body)
        self.store.put(resource)
        return resource, True

    def require_group(self, subscription: str, group: str) -> Resource:
        """Return a resource group.

        Raises:
            ArmError: 404 `ResourceGroupNotFound`.
        """
        found = self.store.get(group_key(subscription, group))
        if found is None:
            raise group_not_found(group)
        return found

    def region(self, name: object, resource_type: str) -> Region:
        """Return a region by any of its spellings.

        Raises:
            ArmError: 400, the region does not exist.
        """
        found = find(name) if isinstance(name, str) else None
        if found is None:
            raise location_unavailable(str(name), resource_type, sorted(REGIONS))
        return found

    def on(self, kind: str, handler: TimerHandler) -> None:
        """Let `handler` be called, inside a transaction, when a timer of this kind is due."""
        self._handlers[kind] = handler

    def settle(self) -> None:
        """Let everything happen that is due by now, in its order."""
        now = self.clock.now()
        while (timer := self.store.due_timer(now)) is not None:
            try:
                with self.store.transaction():
                    self.store.drop_timer(timer.id)
                    self._handlers[timer.kind](timer)
            except Exception:  # noqa: BLE001
                # A fault of the simulator itself: without this, the timer would fail every request from now on.
                _LOG.exception("timer %s of %s failed and is dropped", timer.kind, timer.payload)
                self.store.drop_timer(timer.id)
                error = {"code": "InternalExecutionError", "message": "An internal execution error occurred."}
                self.operations.finish(timer.payload.get("operation", ""), timer.due, error=error)

    def spread(self, text: str, width: float) -> float:
        """Return a number from 0 to `width` that depends on `text` only, so that runs can be repeated."""
        digest = hashlib.sha256(text.encode()).digest()
        return width * int.from_bytes(digest[:4], "big") / 0xFFFFFFFF

    def disk_path(self) -> BlobPath:
        """Return a new place for the bytes of a disk (named as Azure names them)."""
        return BlobPath(self.config.disk_account, f"md-{secrets.token_hex(8)}", "abcd")

    def discard(self, container: str) -> None:
        """Let the bytes of a disk be deleted soon, also after a restart."""
        self._garbage.add((self.config.disk_account, container))
        self.store.set_meta("garbage", sorted(self._garbage))

    async def sweep(self) -> None:
        """Delete the bytes that `discard` named; what fails is tried at the next sweep."""
        for account, container in sorted(self._garbage):
            try:
                await self.blobs.delete_container(account, container)
            except BlobError as error:
                _LOG.warning("container %s is not deleted yet: %s", container, error)
                return
            self._garbage.discard((account, container))
            self.store.set_meta("garbage", sorted(self._garbage))

    async def prepare_containers(self) -> None:
        """Make the containers that users' storage accounts have from the start.

        Raises:
            BlobError: the blob service does not answer (yet).
        """
        for account in self.config.accounts:
            for container in self.config.containers:
                await self.blobs.make_container(account.name, container)

    def set_scale(self, scale: float) -> None:
        """Change the time scale from now on, and keep it."""
        self._keep_clock(self.clock.set_scale(scale))

    def skip(self, azure_seconds: float) -> None:
        """Jump forward in Azure time."""
        self._keep_clock(self.clock.skip(azure_seconds))

    def reset(self) -> None:
        """Forget every resource, fault and count, and begin again as configured."""
        for resource in self.store.all():
            for disk in resource.internal.get("disks", []):
                self.discard(disk["container"])
        self.store.clear()
        for name in ("principals", "quotas", "roles"):
            self.store.set_meta(name, {})
        self.faults.clear()
        self.throttle.reset()
        self.arm_throttle.reset()
        self.seed()

    def _show_output(self, output: Any) -> Any:
        """Replace what stands for the access to a disk by URLs with signatures."""
        if not isinstance(output, dict) or "$grants" not in output:
            return output
        return {
            field: self.blobs.grant_url(BlobPath(self.config.disk_account, container, name), policy)
            for field, container, name, policy in output["$grants"]
        }

    def _note_garbage(self, timer: Timer) -> None:
        for container in timer.payload["containers"]:
            self.discard(container)

    def _seed_account(self, subscription: str, group: str, name: str, location: str) -> None:
        path = (
            f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{name}"
        )
        if self.store.get(path) is not None:
            return
        endpoint = self.config.azurite_public or self.config.azurite
        region = self.region(location, "Microsoft.Storage/storageAccounts")
        body = {
            "id": path,
            "name": name,
            "type": "Microsoft.Storage/storageAccounts",
            "kind": "StorageV2",
            "location": region.name,
            "sku": {"name": "Standard_LRS", "tier": "Standard"},
            "tags": {},
            "properties": {
                "provisioningState": "Succeeded",
                "primaryLocation": region.name,
                "statusOfPrimary": "available",
                "isHnsEnabled": False,
                "allowSharedKeyAccess": True,
                "primaryEndpoints": {"blob": f"{endpoint.rstrip('/')}/{name}/"},
            },
        }
        self.store.put(
            Resource(path.lower(), "microsoft.storage/storageaccounts", group_key(subscription, group), body)
        )

    def _secret(self) -> str:
        found = self.store.meta("secret")
        if found is None:
            found = secrets.token_hex(32)
            self.store.set_meta("secret", found)
        return str(found)

    def _saved_clock(self) -> Clock:
        saved = self.store.meta("clock")
        state = ClockState(**saved) if saved else None
        return Clock(self.config.time_scale, state=state)

    def _keep_clock(self, state: ClockState) -> None:
        self.store.set_meta("clock", {"wall": state.wall, "azure": state.azure, "scale": state.scale})
