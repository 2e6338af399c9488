"""The control endpoint (`/_control/…`): what tests and people use, and Azure does not have."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from .authorization.service import Authorization
from .blobs import BlobError, BlobPath
from .engine import Engine, group_key
from .errors import ArmError
from .faults import parse_fault
from .ids import parse_id
from .journal import Journal
from .quotas import Quotas
from .store import Resource
from .vhd import FOOTER_BYTES, GIB, build_footer

__all__ = ["Control"]


class Control:
    """Handlers of the control endpoint."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        """Work on an engine and its journal."""
        self.engine = engine
        self.journal = journal
        self.authorization = Authorization(engine)
        self.quotas = Quotas(engine)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to the application."""
        return [
            web.get("/_control/state", _guard(self._state)),
            web.get("/_control/requests", _guard(self._requests)),
            web.delete("/_control/requests", _guard(self._clear_requests)),
            web.get("/_control/log", _guard(self._log)),
            web.get("/_control/faults", _guard(self._faults)),
            web.post("/_control/faults", _guard(self._add_fault)),
            web.delete("/_control/faults", _guard(self._clear_faults)),
            web.delete("/_control/faults/{id}", _guard(self._remove_fault)),
            web.get("/_control/clock", _guard(self._clock)),
            web.put("/_control/clock", _guard(self._set_clock)),
            web.get("/_control/digest", _guard(self._digest)),
            web.put("/_control/resources", _guard(self._put_resource)),
            web.patch("/_control/resources", _guard(self._patch_resource)),
            web.put("/_control/blobs", _guard(self._put_blob)),
            web.get("/_control/quotas", _guard(self._quotas)),
            web.put("/_control/quotas", _guard(self._set_quotas)),
            web.put("/_control/principals", _guard(self._put_principal)),
            web.put("/_control/roles", _guard(self._put_role)),
            web.post("/_control/reset", _guard(self._reset)),
        ]

    async def _state(self, request: web.Request) -> Any:
        """Everything there is; operations and timers too with `?full=true`."""
        self.engine.settle()
        document: dict[str, Any] = {
            "clock": self._now(),
            "resources": [
                {"id": resource.id, "type": resource.body["type"], "body": resource.body, "internal": resource.internal}
                for resource in self.engine.store.all()
            ],
            "principals": self.authorization.principals(),
            "faults": self.engine.faults.listing(),
        }
        if request.query.get("full", "").lower() == "true":
            document["operations"] = self.engine.store.operations()
            document["timers"] = [
                {"due": timer.due, "kind": timer.kind, "payload": timer.payload} for timer in self.engine.store.timers()
            ]
        return document

    async def _requests(self, request: web.Request) -> Any:
        return self.journal.counts()

    async def _clear_requests(self, request: web.Request) -> Any:
        self.journal.reset()
        return {}

    async def _log(self, request: web.Request) -> Any:
        return {"entries": self.journal.entries()}

    async def _faults(self, request: web.Request) -> Any:
        return {"faults": self.engine.faults.listing()}

    async def _add_fault(self, request: web.Request) -> Any:
        return {"id": self.engine.faults.add(parse_fault(await _document(request)))}

    async def _clear_faults(self, request: web.Request) -> Any:
        self.engine.faults.clear()
        return {}

    async def _remove_fault(self, request: web.Request) -> Any:
        if not self.engine.faults.remove(int(request.match_info["id"])):
            raise ValueError("there is no such fault")
        return {}

    async def _clock(self, request: web.Request) -> Any:
        return self._now()

    async def _set_clock(self, request: web.Request) -> Any:
        """Change the scale (`scale`), or jump forward (`skip`, in Azure seconds)."""
        document = await _document(request)
        unknown = set(document) - {"scale", "skip"}
        if unknown:
            raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
        self.engine.settle()
        if "scale" in document:
            self.engine.set_scale(float(document["scale"]))
        if "skip" in document:
            self.engine.skip(float(document["skip"]))
        self.engine.settle()
        return self._now()

    async def _digest(self, request: web.Request) -> Any:
        """SHA-256 of the bytes behind a resource (`?id=`), disk by disk, or of a blob (`?url=`)."""
        if "url" in request.query:
            place = self.engine.blobs.locate(request.query["url"])
            if place is None:
                raise ValueError("the URL is not in the simulator's blob service")
            return {"sha256": await self.engine.blobs.sha256(place)}
        resource = self.engine.store.get(request.query.get("id", ""))
        if resource is None:
            raise ValueError("there is no such resource")
        rows = []
        for disk in resource.internal.get("disks", []):
            place = BlobPath(self.engine.config.disk_account, disk["container"], disk["name"])
            row = {"lun": disk.get("lun"), "size": disk["size"], "origin": disk.get("origin")}
            rows.append({**row, "sha256": await self.engine.blobs.sha256(place)})
        return {"id": resource.id, "disks": rows}

    async def _put_resource(self, request: web.Request) -> Any:
        """Put a resource into the state as it is, for what the simulator cannot make (virtual machines).

        `body` is what ARM answers; `disks` (optional) is a list of {lun, sizeGB, caching}: empty disks to back it.
        """
        document = await _document(request)
        body = dict(document["body"])
        rid = parse_id(body.get("id"))
        if rid is None:
            raise ValueError("body.id is no resource id")
        body.setdefault("name", rid.name)
        body.setdefault("type", rid.type)
        body.setdefault("properties", {}).setdefault("provisioningState", "Succeeded")
        rows = []
        for disk in document.get("disks", []):
            place = self.engine.disk_path()
            size = int(disk["sizeGB"]) * GIB
            await self.engine.blobs.create(place, size + FOOTER_BYTES, build_footer(size))
            row = {"container": place.container, "name": place.name, "size": size + FOOTER_BYTES}
            rows.append({**row, "lun": disk.get("lun"), "caching": disk.get("caching", "None")})
        parent = rid.parent.key if rid.parent else group_key(rid.subscription, rid.group)
        self.engine.require_group(rid.subscription, rid.group)
        existing = self.engine.store.get(rid.key)
        # A change of what is there keeps what Azure knows of it (where its bytes are, its replication).
        internal = existing.internal if existing is not None and not rows else {"disks": rows}
        self.engine.store.put(Resource(rid.key, rid.type.lower(), parent, body, internal))
        return {"id": rid.path}

    async def _put_blob(self, request: web.Request) -> Any:
        """Put an empty fixed VHD into a storage account: `{"url": …, "sizeGB": 1}`."""
        document = await _document(request)
        place = self.engine.blobs.locate(str(document["url"]))
        if place is None:
            raise ValueError("the URL is not in the simulator's blob service")
        size = int(document["sizeGB"]) * GIB
        await self.engine.blobs.create(place, size + FOOTER_BYTES, build_footer(size))
        return {"url": self.engine.blobs.url(place)}

    async def _patch_resource(self, request: web.Request) -> Any:
        """Change what Azure says of a resource: `{"id": …, "properties": {…}}`, merged; null takes a value away."""
        document = await _document(request)
        resource = self.engine.store.get(str(document["id"]))
        if resource is None:
            raise ValueError("there is no such resource")
        resource.body["properties"] = _merged(resource.properties, dict(document["properties"]))
        self.engine.store.put(resource)
        return {"id": resource.id}

    async def _quotas(self, request: web.Request) -> Any:
        return self.quotas.limits()

    async def _set_quotas(self, request: web.Request) -> Any:
        """Set limits by name: `{"GalleryImageVersion": 10}`."""
        self.quotas.set_limits(await _document(request))
        return self.quotas.limits()

    async def _put_principal(self, request: web.Request) -> Any:
        """Put a principal into the directory: `{"id": object id, "type": "User"}`."""
        document = await _document(request)
        self.authorization.add_principal(str(document["id"]), str(document["type"]))
        return {}

    async def _put_role(self, request: web.Request) -> Any:
        """Let a custom role exist: `{"name": GUID, "roleName": ..., "actions": [...]}`."""
        document = await _document(request)
        actions = [str(action) for action in document.get("actions", [])]
        self.authorization.add_role(str(document["name"]), str(document["roleName"]), actions)
        return {}

    async def _reset(self, request: web.Request) -> Any:
        self.engine.reset()
        self.journal.reset()
        await self.engine.sweep()
        return {}

    def _now(self) -> dict[str, float]:
        clock = self.engine.clock
        return {"azure": clock.now(), "wall": clock.wall(), "scale": clock.scale}


def _merged(stored: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object with another merged into it (RFC 7386)."""
    result = dict(stored)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = result.get(name)
            result[name] = _merged(old if isinstance(old, dict) else {}, value)
        else:
            result[name] = value
    return result


async def _document(request: web.Request) -> dict[str, Any]:
    document = await request.json()
    if not isinstance(document, dict):
        raise TypeError("a JSON object is expected")
    return document


def _guard(
    handler: Callable[[web.Request], Awaitable[Any]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Turn mistakes of the caller into 400 and answer JSON."""

    async def wrapped(request: web.Request) -> web.Response:
        try:
            return web.json_response(await handler(request))
        except (ValueError, KeyError, TypeError, ArmError, BlobError) as error:
            text = f"missing field {error}" if isinstance(error, KeyError) else str(error)
            return web.Response(status=400, text=json.dumps({"error": text}), content_type="application/json")

    return wrapped
