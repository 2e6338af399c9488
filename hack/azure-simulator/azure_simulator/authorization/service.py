"""Microsoft.Authorization: role definitions (read) and role assignments at any scope that exists here.

An assignment is a resource of its own below its scope and goes when the scope goes. Shapes are recorded traffic
(azure-cli, test_role_assignment_create_update; gallery_e2e #80); errors are real unless marked inferred.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ..compute.base import as_object
from ..engine import Engine
from ..errors import ArmError, bad_parameter, resource_not_found
from ..ids import Extension, parse_path
from ..operations import Call, Reply
from ..store import Resource, extensions_of
from .roles import BUILT_IN, Role

__all__ = ["Authorization"]

_TYPE = "Microsoft.Authorization/roleAssignments"
_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_PRINCIPALS = ("User", "Group", "ServicePrincipal", "ForeignGroup", "Device")
_VERSIONS = {
    "roleassignments": frozenset(
        {"2015-07-01", "2018-01-01-preview", "2020-04-01-preview", "2020-08-01-preview", "2020-10-01-preview"}
    )
    | {"2022-04-01"},
    "roledefinitions": frozenset({"2015-07-01", "2018-01-01-preview", "2022-04-01", "2022-05-01-preview"}),
}
_CLAUSE = re.compile(
    r"(?P<scope>atScope\(\)|exactScope\(\))|principalId\s+eq\s+'?(?P<who>[^'\s)]+)'?|assignedTo\('(?P<to>[^']+)'\)",
    re.IGNORECASE,
)
_ROLE_NAME = re.compile(r"roleName\s+eq\s+'(?P<name>[^']+)'", re.IGNORECASE)


class Authorization:
    """The resource provider, and the directory it asks for principals."""

    def __init__(self, engine: Engine) -> None:
        """Work on an engine's state."""
        self.engine = engine
        self.store = engine.store

    def answer(self, method: str, call: Call, target: Extension, body: dict[str, Any]) -> Reply:
        """Answer a request below `{scope}/providers/Microsoft.Authorization`.

        Raises:
            ArmError: Azure would refuse it.
        """
        kind = target.type.lower()
        if kind not in _VERSIONS:
            raise ArmError(
                404,
                "InvalidResourceType",
                f"The resource type '{target.type}' could not be found in the namespace 'Microsoft.Authorization' for "
                f"api version '{call.api_version}'.",
                gateway=True,
            )
        if call.api_version not in _VERSIONS[kind]:
            raise ArmError(
                400,
                "NoRegisteredProviderFound",
                f"No registered resource provider found for API version '{call.api_version}' for type "
                f"'{target.type}'. The supported api-versions are '{', '.join(sorted(_VERSIONS[kind]))}'.",
                gateway=True,
            )
        if kind == "roledefinitions":
            return self._role(method, call, target)
        self._require_scope(target.scope)
        if target.name is None:
            if method != "GET":
                raise ArmError(405, "MethodNotAllowed", f"{method} is not supported here.")
            return self._list(call, target.scope)
        if method == "PUT":
            return self._put(call, target, body)
        found = self.store.get(f"{target.scope}/providers/{_TYPE}/{target.name}")
        if method == "DELETE":
            if found is None:
                return Reply(204)
            self.store.delete(found.key)
            return Reply(200, found.body)
        if method != "GET":
            raise ArmError(405, "MethodNotAllowed", f"{method} is not supported for resource type '{_TYPE}'.")
        if found is None:
            raise ArmError(404, "RoleAssignmentNotFound", f"The role assignment '{target.name}' is not found.")
        return Reply(200, found.body)

    def add_principal(self, identity: str, kind: str) -> None:
        """Let a principal be in the directory.

        Args:
            identity: object id.
            kind: `User`, `Group`, `ServicePrincipal`, `ForeignGroup` or `Device`.

        Raises:
            ValueError: the id is no GUID, or the kind is none of those.
        """
        if not _GUID.fullmatch(identity):
            raise ValueError("id is no GUID")
        if kind not in _PRINCIPALS:
            raise ValueError(f"type is one of {', '.join(_PRINCIPALS)}")
        self.store.set_meta("principals", {**self.principals(), identity.lower(): kind})

    def principals(self) -> dict[str, str]:
        """Return the kind of every principal of the directory by its object id in lower case."""
        return dict(self.store.meta("principals") or {})

    def add_role(self, name: str, title: str, actions: list[str]) -> None:
        """Let a custom role exist in every subscription.

        Raises:
            ValueError: the name is no GUID.
        """
        if not _GUID.fullmatch(name):
            raise ValueError("name is no GUID")
        role = Role(name.lower(), title, "", tuple(actions), kind="CustomRole")
        self.store.set_meta("roles", {**(self.store.meta("roles") or {}), role.name: asdict(role)})

    def _roles(self) -> dict[str, Role]:
        custom = self.store.meta("roles") or {}
        return {**BUILT_IN, **{name: _restored(row) for name, row in custom.items()}}

    def _role(self, method: str, call: Call, target: Extension) -> Reply:
        if method != "GET":
            raise ArmError(405, "MethodNotAllowed", "The Azure simulator has the built-in roles only.")
        parsed = parse_path(target.scope)
        subscription = (parsed.subscription if parsed else None) or self.engine.config.subscriptions[0]
        roles = self._roles()
        if target.name is not None:
            role = roles.get(target.name.lower())
            if role is None:
                raise ArmError(
                    404,
                    "RoleDefinitionDoesNotExist",
                    f"The specified role definition with ID '{target.name.replace('-', '')}' does not exist.",
                )
            return Reply(200, role.body(subscription))
        wanted = _ROLE_NAME.search(call.query.get("$filter", ""))
        rows = [
            role.body(subscription)
            for role in roles.values()
            if wanted is None or role.title.lower() == wanted["name"].lower()
        ]
        return Reply(200, {"value": rows})

    def _require_scope(self, scope: str) -> None:
        """Check that a scope exists.

        Raises:
            ArmError: 404, of the kind that tells what is missing.
        """
        target = parse_path(scope)
        if target is None:
            raise ArmError(404, "NotFound", "The Azure simulator has no scopes above a subscription.")
        if target.subscription is None or target.subscription.lower() not in map(
            str.lower, self.engine.config.subscriptions
        ):
            raise ArmError(
                404,
                "SubscriptionNotFound",
                f"The subscription '{target.subscription}' could not be found.",
                gateway=True,
            )
        if target.group is None:
            return
        self.engine.require_group(target.subscription, target.group)
        if not target.types:
            return
        rid = target.resource
        if self.store.get(rid.key) is None:
            raise resource_not_found(rid.type, "/".join(rid.names), rid.group)

    def _put(self, call: Call, target: Extension, body: dict[str, Any]) -> Reply:
        assert target.name is not None
        if not _GUID.fullmatch(target.name):
            raise ArmError(
                400,
                "InvalidRoleAssignmentId",
                f"The role assignment ID '{target.name}' is not valid. The role assignment ID must be a GUID.",
            )
        sent = {
            name: value for name, value in as_object(body.get("properties"), "properties").items() if value is not None
        }
        for name in ("roleDefinitionId", "principalId"):
            if not sent.get(name):
                raise bad_parameter(f"Required parameter 'properties.{name}' is missing (null).", f"properties.{name}")
        role, principal = str(sent["roleDefinitionId"]), str(sent["principalId"])
        if not _GUID.fullmatch(principal):
            # Inferred: the words for an id that is none were not found.
            raise ArmError(400, "InvalidPrincipalId", f"A valid principal ID must be provided, not '{principal}'.")
        self._require_role(role)
        kind = self._kind(principal, sent.get("principalType"))
        path = f"{target.scope}/providers/{_TYPE}/{target.name}"
        existing = self.store.get(path)
        others = [one for one in self._below(target.scope) if one.parent == extensions_of(target.scope)]
        for other in others:
            if existing is not None and other.key == existing.key:
                if _triple(other.properties) != (principal.lower(), _role_name(role)):
                    raise ArmError(
                        400,
                        "RoleAssignmentUpdateNotPermitted",
                        "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
                    )
            elif _triple(other.properties) == (principal.lower(), _role_name(role)):
                raise ArmError(409, "RoleAssignmentExists", "The role assignment already exists.")
        if existing is not None and not _changed(existing.properties, sent):
            return Reply(200, existing.body)
        shown = self._body(call, target, path, sent, role, principal, kind)
        if existing is not None:
            shown["properties"]["createdOn"] = existing.properties["createdOn"]
        self.store.put(Resource(path.lower(), _TYPE.lower(), extensions_of(target.scope), shown))
        answer = deepcopy(shown)
        if existing is None:
            answer["properties"]["createdBy"] = None
        return Reply(201 if existing is None else 200, answer)

    def _body(
        self, call: Call, target: Extension, path: str, sent: dict[str, Any], role: str, principal: str, kind: str
    ) -> dict[str, Any]:
        parsed = parse_path(target.scope)
        assert parsed is not None
        moment = datetime.fromtimestamp(self.engine.clock.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
        prefix = f"/subscriptions/{parsed.subscription}/providers/Microsoft.Authorization/roleDefinitions"
        return {
            "properties": {
                "roleDefinitionId": f"{prefix}/{_role_name(role)}",
                "principalId": principal,
                "principalType": kind,
                "scope": target.scope,
                "condition": sent.get("condition"),
                "conditionVersion": sent.get("conditionVersion"),
                "createdOn": moment,
                "updatedOn": moment,
                "createdBy": call.caller,
                "updatedBy": call.caller,
                "delegatedManagedIdentityResourceId": sent.get("delegatedManagedIdentityResourceId"),
                "description": sent.get("description"),
            },
            "id": path,
            "type": _TYPE,
            "name": target.name,
        }

    def _require_role(self, role: str) -> None:
        name = _role_name(role)
        if not _GUID.fullmatch(name):
            raise ArmError(400, "InvalidRoleDefinitionId", f"The role definition ID '{name}' is not valid.")
        if name not in self._roles():
            raise ArmError(
                404,
                "RoleDefinitionDoesNotExist",
                f"The specified role definition with ID '{name.replace('-', '')}' does not exist.",
            )

    def _kind(self, principal: str, said: object) -> str:
        """Return a principal's kind; saying it skips the look-up of one that is not there (yet)."""
        known = self.principals().get(principal.lower())
        if said is not None:
            for kind in _PRINCIPALS:
                if str(said).lower() == kind.lower():
                    if known not in (None, kind):
                        raise ArmError(
                            400,
                            "UnmatchedPrincipalType",
                            f"The PrincipalId '{principal.replace('-', '')}' has type '{known}' , which is different "
                            f"from specified PrinciaplType '{kind}'.",
                        )
                    return kind
            raise ArmError(400, "InvalidPrincipalType", f"The principal type '{said}' is not valid.")  # inferred
        if known is None:
            raise ArmError(
                400,
                "PrincipalNotFound",
                f"Principal {principal.replace('-', '')} does not exist in the directory {self.engine.config.tenant}. "
                "Check that you have the correct principal ID. If you are creating this principal and then immediately "
                "assigning a role, this error might be related to a replication delay. In this case, set the role "
                "assignment principalType property to a value, such as ServicePrincipal, User, or Group.  See "
                "https://aka.ms/docs-principaltype",
            )
        return known

    def _below(self, scope: str) -> list[Resource]:
        """Return the assignments at a scope and below it."""
        parsed = parse_path(scope)
        assert parsed is not None and parsed.subscription is not None
        prefix = scope.lower()
        return [
            one
            for one in self.store.by_type(parsed.subscription, _TYPE)
            if _at(one) == prefix or _at(one).startswith(f"{prefix}/")
        ]

    def _list(self, call: Call, scope: str) -> Reply:
        parsed = parse_path(scope)
        assert parsed is not None and parsed.subscription is not None
        here = scope.lower()
        above = [one for one in self.store.by_type(parsed.subscription, _TYPE) if here.startswith(f"{_at(one)}/")]
        clauses = list(_CLAUSE.finditer(call.query.get("$filter", "")))
        if call.query.get("$filter") and not clauses:
            raise ArmError(400, "UnsupportedQuery", "The query specified in '$filter' is not supported.")
        found = [*above, *self._below(scope)]
        for clause in clauses:
            if clause["scope"] and clause["scope"].lower().startswith("exact"):
                found = [one for one in found if _at(one) == here]
            elif clause["scope"]:
                found = [one for one in found if here == _at(one) or here.startswith(f"{_at(one)}/")]
            else:
                who = (clause["who"] or clause["to"]).lower()
                found = [one for one in found if str(one.properties["principalId"]).lower() == who]
        return Reply(200, {"value": [one.body for one in found]})


def _restored(row: dict[str, Any]) -> Role:
    lists = {name: tuple(row[name]) for name in ("actions", "not_actions", "data_actions")}
    return Role(row["name"], row["title"], row["description"], **lists, kind=row["kind"])


def _at(assignment: Resource) -> str:
    return str(assignment.properties["scope"]).lower()


def _role_name(identity: str) -> str:
    return identity.rstrip("/").rsplit("/", 1)[-1].lower()


def _triple(properties: dict[str, Any]) -> tuple[str, str]:
    return str(properties["principalId"]).lower(), _role_name(str(properties["roleDefinitionId"]))


def _changed(stored: dict[str, Any], sent: dict[str, Any]) -> bool:
    return any(stored.get(name) != sent.get(name) for name in ("description", "condition", "conditionVersion"))
