"""Storage accounts: they exist from the start, because Azurite knows its accounts from the start."""

from __future__ import annotations

from typing import Any

from .compute.base import Kind
from .errors import not_simulated
from .ids import ResourceId
from .operations import Call, Reply

__all__ = ["StorageAccounts"]


class StorageAccounts(Kind):
    """Microsoft.Storage/storageAccounts."""

    namespace = "Microsoft.Storage"
    types = ("storageAccounts",)
    api_versions = frozenset({"2019-06-01", "2021-04-01", "2021-09-01", "2022-05-01", "2022-09-01", "2023-01-01"}) | {
        "2023-04-01",
        "2023-05-01",
        "2024-01-01",
        "2025-01-01",
        "2025-06-01",
    }

    async def put(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Answer the account if it is there; new ones cannot be made."""
        existing = self.store.get(rid.key)
        if existing is None:
            raise not_simulated("new storage accounts; name it with --storage-account when the simulator is started")
        return Reply(200, existing.body)

    async def act(self, call: Call, rid: ResourceId, action: str, body: dict[str, Any]) -> Reply:
        """Show the account's keys."""
        if action.lower() != "listkeys":
            raise self._no_method(f"POST {action}")
        self.require(rid)
        key = self.engine.config.account_key
        return Reply(200, {"keys": [{"keyName": "key1", "value": key, "permissions": "FULL"}]})
