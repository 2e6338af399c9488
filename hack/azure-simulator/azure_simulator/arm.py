"""From a request of ARM's form to the resource type that answers it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from .authorization.service import Authorization
from .compute.base import Kind
from .compute.definitions import Definitions
from .compute.disks import Disks, Snapshots
from .compute.galleries import Galleries
from .compute.images import Images
from .compute.machines import EncryptionSets, Machines
from .compute.softdelete import SoftDeleted
from .compute.versions import Versions
from .consumers import Consumers
from .engine import Engine
from .entra import read_claims
from .errors import ArmError
from .groups import Groups
from .ids import ResourceId, Target, parse_extension, parse_path
from .operations import NOBODY, Call, Reply
from .quotas import Quotas
from .storage import StorageAccounts
from .throttle import budgets_for

__all__ = ["Arm", "template"]

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_LOCATION_FAMILIES = ("capsoperations", "diskoperations", "operations")
_STORAGE_AUDIENCE = "https://storage.azure.com"


def template(path: str) -> str:
    """Return a path with its names replaced, so that counts stay few: `/subscriptions/{}/resourceGroups/{}/...`."""
    extension = parse_extension(path)
    if extension is not None and extension.scope.lower().startswith("/subscriptions"):
        name = "/{}" if extension.name else ""
        return f"{template(extension.scope)}/providers/Microsoft.Authorization/{extension.type}{name}"
    target = parse_path(path)
    if target is None:
        parts = path.strip("/").split("/")
        if len(parts) > 1 and "oauth2" in parts:
            parts[0] = "{}"
        return "/" + "/".join(parts)
    if not target.namespace:
        return re.sub(r"(?<=/subscriptions/)[^/]+|(?<=/resourcegroups/)[^/]+", "{}", path, flags=re.IGNORECASE)
    prefix = "/subscriptions/{}" + ("/resourceGroups/{}" if target.group else "")
    pairs = "".join(f"/{kind}/{{}}" for kind in target.types[: len(target.names)])
    rest = f"/{target.types[-1]}" if target.is_list else ""
    action = f"/{target.action}" if target.action else ""
    return f"{prefix}/providers/{target.namespace}{pairs}{rest}{action}"


class Arm:
    """Azure Resource Manager's front door."""

    def __init__(self, engine: Engine) -> None:
        """Know every resource type."""
        self.engine = engine
        self.groups = Groups(engine)
        self.consumers = Consumers(engine)
        self.authorization = Authorization(engine)
        self.quotas = Quotas(engine)
        kinds: list[Kind] = [
            Galleries(engine),
            Definitions(engine),
            Versions(engine),
            SoftDeleted(engine),
            Disks(engine),
            Snapshots(engine),
            Images(engine),
            Machines(engine),
            EncryptionSets(engine),
            StorageAccounts(engine),
        ]
        self.kinds = {kind.type.lower(): kind for kind in kinds}

    def authorise(self, header: str | None) -> str:
        """Check a bearer token as far as a simulator can: it is there, not expired, and meant for ARM.

        Returns:
            object id of who asks.

        Raises:
            ArmError: 401.
        """
        if not header or not header.startswith("Bearer "):
            raise _unauthenticated(
                "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
            )
        claims = read_claims(header.removeprefix("Bearer "))
        if claims is None:
            return NOBODY
        if float(claims.get("exp", 0)) < time.time():
            raise _unauthenticated(
                "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time."
            )
        if str(claims.get("aud", "")).rstrip("/") == _STORAGE_AUDIENCE:
            raise _unauthenticated(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource '{claims['aud']}'.",
            )
        return str(claims.get("oid") or NOBODY)

    def charge(self, method: str, path: str) -> dict[str, str]:
        """Count a request against Resource Manager's own limits and return the headers that tell what is left.

        Raises:
            ArmError: 429, the limit is used up.
        """
        found = re.match(r"/subscriptions/([^/]+)", path, re.IGNORECASE)
        return self.engine.arm_throttle.charge(found[1], method) if found else {}

    async def answer(self, method: str, path: str, call: Call, body: dict[str, Any]) -> Reply:
        """Carry out one request.

        Raises:
            ArmError: Azure would answer with an error.
        """
        extension = parse_extension(path)
        target = parse_path(path) if extension is None else None
        if target is None and extension is None:
            raise ArmError(404, "NotFound", "No HTTP resource was found that matches the request URI.", gateway=True)
        if not _VERSION.fullmatch(call.api_version):
            raise ArmError(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
                gateway=True,
            )
        if extension is not None:
            return self.authorization.answer(method, call, extension, body)
        assert target is not None
        known = [subscription.lower() for subscription in self.engine.config.subscriptions]
        if target.subscription is not None and target.subscription.lower() not in known:
            raise ArmError(
                404,
                "SubscriptionNotFound",
                f"The subscription '{target.subscription}' could not be found.",
                gateway=True,
            )
        if not target.namespace:
            return self.groups.answer(call, method, target, body)
        if target.types and target.types[0].lower() == "locations":
            return self._location(method, call, target)
        return await self._resource(method, call, target, body)

    async def _resource(self, method: str, call: Call, target: Target, body: dict[str, Any]) -> Reply:
        assert target.subscription is not None and target.namespace is not None
        kind = self._kind(target, call)
        charged = self._charge(target.subscription, target.namespace, method, "/".join(kind.types), target)
        try:
            reply = await self._dispatch(method, call, target, kind, body)
        except ArmError as error:
            if charged and not error.gateway:
                error.headers.setdefault("x-ms-ratelimit-remaining-resource", charged)
            raise
        if charged:
            reply.headers["x-ms-ratelimit-remaining-resource"] = charged
        return reply

    async def _dispatch(self, method: str, call: Call, target: Target, kind: Kind, body: dict[str, Any]) -> Reply:
        assert target.subscription is not None
        if target.is_list:
            if method != "GET":
                raise ArmError(405, "MethodNotAllowed", f"{method} is not supported here.")
            return kind.listing(call, target.subscription, target.group, target.names)
        if target.group is None:
            raise ArmError(404, "NotFound", "No HTTP resource was found that matches the request URI.")
        rid = ResourceId(target.subscription, target.group, kind.namespace, kind.types, target.names)
        if target.action is not None:
            if method != ("GET" if target.action.lower() == "instanceview" else "POST"):
                raise ArmError(405, "MethodNotAllowed", f"{method} is not supported for actions.")
            return await kind.act(call, rid, target.action, body)
        if method == "PUT":
            if self.engine.store.get(rid.key) is None and body.get("location"):
                self.quotas.check(rid.subscription, kind.type, str(body["location"]))
            return await kind.put(call, rid, body)
        if method == "PATCH":
            return await kind.patch(call, rid, body)
        if method == "DELETE":
            return await kind.delete(call, rid)
        if method in ("GET", "HEAD"):
            return await kind.get(call, rid)
        raise ArmError(405, "MethodNotAllowed", f"{method} is not supported for resource type '{kind.type}'.")

    def _kind(self, target: Target, call: Call) -> Kind:
        name = "/".join((target.namespace or "", *target.types))
        kind = self.kinds.get(name.lower())
        if kind is None:
            raise ArmError(
                404,
                "InvalidResourceType",
                f"The resource type '{'/'.join(target.types)}' could not be found in the namespace "
                f"'{target.namespace}' for api version '{call.api_version}'.",
                gateway=True,
            )
        if call.api_version not in kind.api_versions:
            raise ArmError(
                400,
                "NoRegisteredProviderFound",
                f"No registered resource provider found for API version '{call.api_version}' for type "
                f"'{'/'.join(kind.types)}'. The supported api-versions are '{', '.join(sorted(kind.api_versions))}'.",
                gateway=True,
            )
        return kind

    def _location(self, method: str, call: Call, target: Target) -> Reply:
        """Answer the poll of an operation, or a consumer's view of what is shared."""
        assert target.subscription is not None
        if self.quotas.serves(target):
            return self.quotas.answer(method, call, target)
        if self.consumers.serves(target):
            types = "/".join(target.types[1:])
            charged = self._charge(target.subscription, "Microsoft.Compute", method, types, target)
            reply = self.consumers.answer(method, call, target)
            if charged:
                reply.headers["x-ms-ratelimit-remaining-resource"] = charged
            return reply
        if method != "GET" or len(target.types) != 2 or target.types[1].lower() not in _LOCATION_FAMILIES:
            raise ArmError(
                404,
                "InvalidResourceType",
                f"The resource type '{'/'.join(target.types)}' could not be found in the namespace "
                f"'{target.namespace}' for api version '{call.api_version}'.",
                gateway=True,
            )
        budgets = budgets_for("GET", target.types[1], is_list=False, action=None)
        charged = self.engine.throttle.charge(target.subscription, budgets)
        reply = self.engine.operations.show(call, target.types[1], target.names[1])
        if charged:
            reply.headers["x-ms-ratelimit-remaining-resource"] = charged
        return reply

    def _charge(self, subscription: str, namespace: str, method: str, types: str, target: Target) -> str | None:
        if namespace.lower() != "microsoft.compute":
            return None
        budgets = budgets_for(method, types, is_list=target.is_list, action=target.action, whole=target.group is None)
        return self.engine.throttle.charge(subscription, budgets)


def _unauthenticated(code: str, message: str) -> ArmError:
    challenge: Mapping[str, str] = {
        "WWW-Authenticate": 'Bearer authorization_uri="https://login.microsoftonline.com/", error="invalid_token"'
    }
    return ArmError(401, code, message, gateway=True, headers=challenge)
