"""State on disk: one SQLite file, so that a restart of the simulator loses nothing.

Bodies are JSON. Every change is committed before the answer is sent; several changes that belong together are
made inside `transaction`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Resource", "Store", "Timer", "extensions_of"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
  key TEXT PRIMARY KEY, type TEXT NOT NULL, parent TEXT NOT NULL, subscription TEXT NOT NULL, body TEXT NOT NULL,
  internal TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS resources_by_parent ON resources (parent, type);
CREATE INDEX IF NOT EXISTS resources_by_type ON resources (type, subscription);
CREATE TABLE IF NOT EXISTS operations (id TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS timers (
  id INTEGER PRIMARY KEY, due REAL NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS timers_by_due ON timers (due);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


def extensions_of(scope: str) -> str:
    """Return what is the parent of the extensions (role assignments) of a scope; it is no parent of anything else."""
    return f"{scope.lower()}|extensions"


@dataclass(slots=True)
class Resource:
    """One resource.

    Attributes:
        key: id in lower case.
        type: full type in lower case.
        parent: key of what encloses it (a resource, or `/subscriptions/…/resourcegroups/…`).
        body: what ARM answers.
        internal: what Azure keeps to itself (replication, where the bytes are, ...).
    """

    key: str
    type: str
    parent: str
    body: dict[str, Any]
    internal: dict[str, Any] = field(default_factory=dict)

    @property
    def subscription(self) -> str:
        """Subscription id in lower case."""
        return self.key.split("/")[2]

    @property
    def id(self) -> str:
        """The id as it was written when the resource was made."""
        return str(self.body["id"])

    @property
    def name(self) -> str:
        """The name."""
        return str(self.body["name"])

    @property
    def properties(self) -> dict[str, Any]:
        """The body's `properties`, which may be changed in place."""
        found: dict[str, Any] = self.body.setdefault("properties", {})
        return found

    @property
    def state(self) -> str:
        """The body's provisioning state."""
        return str(self.properties.get("provisioningState", ""))


@dataclass(frozen=True, slots=True)
class Timer:
    """Something that happens at Azure time `due` (seconds)."""

    id: int
    due: float
    kind: str
    payload: dict[str, Any]


class Store:
    """The database."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the database at `path`; None keeps it in memory."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._depth = 0

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make several changes at once; an exception undoes them. Must not span an `await`."""
        if self._depth:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        else:
            self._db.execute("COMMIT")
        finally:
            self._depth -= 1

    def get(self, key: str) -> Resource | None:
        """Return a resource by its id in any case, or None."""
        rows = self._select("key = ?", (key.lower(),))
        return rows[0] if rows else None

    def children(self, parent: str, kind: str | None = None) -> list[Resource]:
        """Return what is directly in a resource or resource group, of type `kind` if given, in order of making."""
        if kind is None:
            return self._select("parent = ?", (parent.lower(),))
        return self._select("parent = ? AND type = ?", (parent.lower(), kind.lower()))

    def by_type(self, subscription: str, kind: str) -> list[Resource]:
        """Return every resource of a type in a subscription."""
        return self._select("subscription = ? AND type = ?", (subscription.lower(), kind.lower()))

    def all(self) -> list[Resource]:
        """Return everything."""
        return self._select("1 = 1", ())

    def put(self, resource: Resource) -> None:
        """Insert or replace a resource."""
        self._db.execute(
            "INSERT INTO resources VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
            "body = excluded.body, internal = excluded.internal",
            (
                resource.key.lower(),
                resource.type.lower(),
                resource.parent.lower(),
                resource.subscription,
                json.dumps(resource.body),
                json.dumps(resource.internal),
            ),
        )

    def delete(self, key: str) -> None:
        """Remove a resource and its extensions; nothing happens if there is none."""
        self._db.execute("DELETE FROM resources WHERE key = ? OR parent = ?", (key.lower(), extensions_of(key)))

    def put_operation(self, operation_id: str, body: Mapping[str, Any]) -> None:
        """Insert or replace a long-running operation."""
        self._db.execute("INSERT OR REPLACE INTO operations VALUES (?, ?)", (operation_id, json.dumps(body)))

    def operation(self, operation_id: str) -> dict[str, Any] | None:
        """Return a long-running operation, or None."""
        row = self._db.execute("SELECT body FROM operations WHERE id = ?", (operation_id.lower(),)).fetchone()
        return json.loads(row[0]) if row else None

    def operations(self) -> list[dict[str, Any]]:
        """Return every long-running operation."""
        return [json.loads(row[0]) for row in self._db.execute("SELECT body FROM operations ORDER BY rowid")]

    def add_timer(self, due: float, kind: str, payload: Mapping[str, Any]) -> None:
        """Let something happen at Azure time `due` (seconds)."""
        self._db.execute("INSERT INTO timers (due, kind, payload) VALUES (?, ?, ?)", (due, kind, json.dumps(payload)))

    def due_timer(self, now: float) -> Timer | None:
        """Return the earliest timer that is due at Azure time `now`, without removing it."""
        row = self._db.execute(
            "SELECT id, due, kind, payload FROM timers WHERE due <= ? ORDER BY due, id LIMIT 1", (now,)
        ).fetchone()
        return Timer(row[0], row[1], row[2], json.loads(row[3])) if row else None

    def timers(self) -> list[Timer]:
        """Return every timer, the earliest first."""
        rows = self._db.execute("SELECT id, due, kind, payload FROM timers ORDER BY due, id")
        return [Timer(row[0], row[1], row[2], json.loads(row[3])) for row in rows]

    def drop_timer(self, timer_id: int) -> None:
        """Remove a timer."""
        self._db.execute("DELETE FROM timers WHERE id = ?", (timer_id,))

    def meta(self, key: str) -> Any:
        """Return a stored value, or None."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def set_meta(self, key: str, value: object) -> None:
        """Store a value."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def clear(self) -> None:
        """Forget everything but the stored values."""
        with self.transaction():
            for table in ("resources", "operations", "timers"):
                self._db.execute(f"DELETE FROM {table}")

    def _select(self, where: str, arguments: tuple[str, ...]) -> list[Resource]:
        rows = self._db.execute(
            f"SELECT key, type, parent, body, internal FROM resources WHERE {where} ORDER BY rowid", arguments
        )
        return [Resource(row[0], row[1], row[2], json.loads(row[3]), json.loads(row[4])) for row in rows]
