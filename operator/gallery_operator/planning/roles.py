"""Role assignments: which to make, which to remove, whose each one is. Pure.

A name is made from scope, role and principal, so that making one twice makes one; together with the mark in the
description it says that an assignment is ours. What others assigned is never removed, whatever it grants.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gallery_operator.api import GROUP
from gallery_operator.api.sharing import RoleAssignment, RoleAssignmentStatus

MARK = f"managed by {GROUP}:"
"""Part of the description of every assignment that the operator makes."""
REPLICATION_GRACE = timedelta(minutes=10)
"""How long a principal that Entra ID does not know may be one that was made a moment ago."""

_NAMESPACE = uuid.UUID("c7b2c6a0-5d0e-5f5c-9d3c-6a1e6f0a7d11")
_KEPT = ("condition", "conditionVersion", "delegatedManagedIdentityResourceId")


@dataclass(frozen=True)
class Wanted:
    """An assignment that should be there.

    Attributes:
        name: Its name in Azure.
        principal_id: Who gets the role.
        principal_type: What that is.
        role: GUID of the role.
        description: Description, with the mark.
    """

    name: str
    principal_id: str
    principal_type: str
    role: str
    description: str

    def properties(self, subscription_id: str, existing: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return ``properties`` of the PUT body.

        Args:
            subscription_id: Of the scope; role definitions are named within one.
            existing: Properties of the assignment that is there; a condition that somebody put on it stays.
        """
        kept = {name: value for name in _KEPT if (value := (existing or {}).get(name)) is not None}
        return kept | {
            "roleDefinitionId": f"/subscriptions/{subscription_id}/providers/Microsoft.Authorization/roleDefinitions/"
            f"{self.role}",
            "principalId": self.principal_id,
            "principalType": self.principal_type,
            "description": self.description,
        }


@dataclass(frozen=True)
class Plan:
    """What to do at a scope.

    Attributes:
        put: Assignments to make, or whose description to correct.
        delete: Assignments of ours that nobody wants any more, as Azure has them.
        assigned: Names of wanted ones that are as they should be.
        by_others: Names of wanted ones that need not be made, because others assigned the same.
    """

    put: tuple[Wanted, ...] = ()
    delete: tuple[Mapping[str, Any], ...] = ()
    assigned: frozenset[str] = frozenset()
    by_others: frozenset[str] = frozenset()


def assignment_name(scope: str, role: str, principal_id: str) -> str:
    """Return the name of an assignment; the same for any spelling of the same three ids."""
    return str(uuid.uuid5(_NAMESPACE, "|".join(part.lower() for part in (scope, role, principal_id))))


def wanted(scope: str, entries: Iterable[RoleAssignment], owner: str) -> tuple[Wanted, ...]:
    """Return the assignments that a spec asks for, each once.

    Args:
        scope: ARM id of the gallery or the definition.
        entries: ``spec.roleAssignments``.
        owner: Who asks for them, for the description.
    """
    found: dict[str, Wanted] = {}
    for entry in entries:
        name = assignment_name(scope, entry.role_guid, entry.principal_id)
        own = f"({MARK} {owner})"
        description = f"{entry.description} {own}" if entry.description else own
        found.setdefault(name, Wanted(name, entry.principal_id, entry.principal_type, entry.role_guid, description))
    return tuple(found.values())


def is_ours(scope: str, assignment: Mapping[str, Any]) -> bool:
    """Whether the operator made an assignment, by its name and its description."""
    there = assignment.get("properties") or {}
    name = assignment_name(scope, _guid(there.get("roleDefinitionId")), str(there.get("principalId") or ""))
    return str(assignment.get("name") or "").lower() == name and MARK in str(there.get("description") or "")


def plan(scope: str, entries: Sequence[Wanted], found: Iterable[Mapping[str, Any]]) -> Plan:
    """Compare what is wanted with what Azure has.

    Args:
        scope: ARM id of the gallery or the definition.
        entries: What is wanted.
        found: Assignments that hold there; those inherited from above are nobody's business here.
    """
    here = [each for each in found if _same(str((each.get("properties") or {}).get("scope") or ""), scope)]
    by_name = {str(each.get("name")).lower(): each for each in here}
    granted = {_grant(each["properties"]) for each in here}
    put, assigned, by_others = [], set(), set()
    for entry in entries:
        existing = by_name.get(entry.name)
        if existing is not None and existing["properties"].get("description") == entry.description:
            assigned.add(entry.name)
        elif existing is None and (entry.principal_id.lower(), entry.role) in granted:
            by_others.add(entry.name)
        else:
            put.append(entry)
    names = {entry.name for entry in entries}
    delete = [each for name, each in by_name.items() if name not in names and is_ours(scope, each)]
    return Plan(tuple(put), tuple(delete), frozenset(assigned), frozenset(by_others))


def existing_properties(found: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """Return ``properties`` of the assignment of a name, or None."""
    for each in found:
        if str(each.get("name")).lower() == name:
            properties: Mapping[str, Any] = each.get("properties") or {}
            return properties
    return None


def is_overdue(since: datetime | None, now: datetime) -> bool:
    """Whether a principal should be known by now: Entra ID takes some minutes to tell all of Azure of a new one.

    Args:
        since: When the assignment failed first.
        now: Present time.
    """
    return since is not None and now - since >= REPLICATION_GRACE


def row(entry: Wanted, state: str, **more: Any) -> dict[str, Any]:
    """Return the entry of ``status.roleAssignments`` of an assignment that is wanted, in wire form."""
    return {
        "name": entry.name,
        "principalId": entry.principal_id,
        "roleDefinitionId": entry.role,
        "state": state,
        **more,
    }


def removing(assignment: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the entry of ``status.roleAssignments`` of one that could not be removed yet, in wire form."""
    there = assignment.get("properties") or {}
    return {
        "name": str(assignment.get("name")),
        "principalId": str(there.get("principalId") or ""),
        "roleDefinitionId": _guid(there.get("roleDefinitionId")),
        "state": "Removing",
        **more,
    }


def failed_since(before: Iterable[RoleAssignmentStatus], name: str) -> datetime | None:
    """Return when an assignment failed first, or None when it did not fail at the last try."""
    return next((each.since for each in before if each.name == name), None)


def _guid(role_definition_id: object) -> str:
    return str(role_definition_id or "").rstrip("/").rsplit("/", 1)[-1].lower()


def _grant(properties: Mapping[str, Any]) -> tuple[str, str]:
    return str(properties.get("principalId") or "").lower(), _guid(properties.get("roleDefinitionId"))


def _same(one: str, other: str) -> bool:
    return one.rstrip("/").lower() == other.rstrip("/").lower()
