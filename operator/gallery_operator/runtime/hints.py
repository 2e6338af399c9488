"""What the watches have told about objects: who refers to whom, who wants the same target.

Only hints, for waking others and for finding whom to look at; before anything is decided the object is read live. A
missed deletion therefore costs nothing but a needless look, and the periodic list purges it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gallery_operator.api.meta import RECONCILE_ANNOTATION
from gallery_operator.planning.references import Reference, references_of, target_of
from gallery_operator.planning.status import ready_condition
from gallery_operator.runtime.workqueue import Key


@dataclass(frozen=True)
class Change:
    """What an event means.

    Attributes:
        own: The object itself asks for a reconcile: it is new, its spec changed, it is being deleted, a person asked.
        others: Something changed that those wait for who refer to it: also its readiness or its state.
        parents: Something changed that those care for whom it refers to: its existence, its spec, its state in Azure.
    """

    own: bool = False
    others: bool = False
    parents: bool = False


@dataclass(frozen=True)
class _Seen:
    references: frozenset[Reference]
    target: str | None
    own: tuple[object, ...]
    others: tuple[object, ...]
    parents: tuple[object, ...]


class Hints:
    """Index of references and targets."""

    def __init__(self) -> None:
        self._seen: dict[Key, _Seen] = {}
        self._referrers: dict[Reference, set[Key]] = {}
        self._targets: dict[str, set[Key]] = {}

    def update(self, key: Key, body: Mapping[str, Any]) -> Change:
        """Note an object as a watch or a list delivered it.

        The operator's own status writes come back as events; they are no reason to reconcile the object again.
        """
        meta = body.get("metadata") or {}
        ready = ready_condition(body.get("status") or {}) or {}
        status = body.get("status") or {}
        own = (
            meta.get("uid"),
            meta.get("generation"),
            bool(meta.get("deletionTimestamp")),
            (meta.get("annotations") or {}).get(RECONCILE_ANNOTATION),
        )
        others = (
            *own[:3],
            ready.get("status"),
            ready.get("reason"),
            status.get("provisioningState"),
            status.get("phase"),
        )
        parents = (*own[:3], status.get("provisioningState"))
        seen = _Seen(references_of(key.kind, body), target_of(key.kind, body), own, others, parents)
        before = self._seen.get(key)
        if before == seen:
            return Change()
        if before is not None:
            self._unlink(key, before)
        self._seen[key] = seen
        for each in seen.references:
            self._referrers.setdefault(each, set()).add(key)
        if seen.target is not None:
            self._targets.setdefault(seen.target, set()).add(key)
        if before is None:
            return Change(own=True, others=True, parents=True)
        return Change(before.own != own, before.others != others, before.parents != parents)

    def note_if_new(self, key: Key, body: Mapping[str, Any]) -> bool:
        """Note an object of a list unless a watch has told of it already; returns whether it was new."""
        if key in self._seen:
            return False
        self.update(key, body)
        return True

    def remove(self, key: Key) -> None:
        """Forget an object that is gone."""
        before = self._seen.pop(key, None)
        if before is not None:
            self._unlink(key, before)

    def referrers(self, key: Key) -> tuple[Key, ...]:
        """Return the objects that refer to one."""
        return tuple(sorted(self._referrers.get((key.kind, key.namespace, key.name), ())))

    def referred(self, key: Key) -> tuple[Key, ...]:
        """Return the objects that one refers to."""
        seen = self._seen.get(key)
        return tuple(sorted(Key(*each) for each in seen.references)) if seen else ()

    def rivals(self, key: Key) -> tuple[Key, ...]:
        """Return other objects that make the same thing in Azure."""
        seen = self._seen.get(key)
        if seen is None or seen.target is None:
            return ()
        return tuple(sorted(self._targets.get(seen.target, set()) - {key}))

    def retain(self, kind: str, alive: Iterable[Key]) -> list[Key]:
        """Forget objects of a kind that a complete list no longer has; returns them."""
        living = set(alive)
        ghosts = [key for key in self._seen if key.kind == kind and key not in living]
        for key in ghosts:
            self.remove(key)
        return ghosts

    def _unlink(self, key: Key, seen: _Seen) -> None:
        for each in seen.references:
            keys = self._referrers.get(each, set())
            keys.discard(key)
            if not keys:
                self._referrers.pop(each, None)
        if seen.target is not None:
            keys = self._targets.get(seen.target, set())
            keys.discard(key)
            if not keys:
                self._targets.pop(seen.target, None)
