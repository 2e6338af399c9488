"""What was asked of the simulator: counts by method and path, and the last requests one by one."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Entry", "Journal"]

_WRITES = frozenset({"PUT", "PATCH", "POST", "DELETE"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One request, without its query and headers, which may hold secrets.

    Attributes:
        time: wall time in Unix seconds at which it came.
        method: HTTP method.
        path: path without the query.
        template: path with names replaced by `{}`.
        status: status of the answer; 0 if the connection was dropped.
        seconds: how long it took.
        client_request_id: what the client called it.
        fault: number of the fault that hit it, or None.
    """

    time: float
    method: str
    path: str
    template: str
    status: int
    seconds: float
    client_request_id: str | None
    fault: int | None


class Journal:
    """Counts since the last reset, in memory."""

    def __init__(self, keep: int = 5000) -> None:
        """Keep the last `keep` requests one by one."""
        self._entries: deque[Entry] = deque(maxlen=keep)
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._since = time.time()

    def add(self, entry: Entry) -> None:
        """Count a request."""
        self._entries.append(entry)
        self._counts[entry.method, entry.template, entry.status] += 1

    def reset(self) -> None:
        """Begin to count anew."""
        self._entries.clear()
        self._counts.clear()
        self._since = time.time()

    def entries(self) -> list[dict[str, Any]]:
        """Return the last requests, the oldest first."""
        return [asdict(entry) for entry in self._entries]

    def counts(self) -> dict[str, Any]:
        """Return counts since the last reset; a write is a PUT, PATCH, POST or DELETE to ARM (not for a token)."""
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        writes = 0
        for (method, path, status), count in sorted(self._counts.items()):
            row = rows.setdefault((method, path), {"method": method, "path": path, "count": 0, "status": {}})
            row["count"] += count
            row["status"][str(status)] = count
            if method in _WRITES and path.startswith("/subscriptions"):
                writes += count
        return {
            "since": self._since,
            "requests": sum(self._counts.values()),
            "writes": writes,
            "counts": list(rows.values()),
        }
