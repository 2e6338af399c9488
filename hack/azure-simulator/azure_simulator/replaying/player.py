"""Plays a recording: sends what was sent, in the order and at the time it was, and compares what comes back.

What is not simulated is not played and said so; what a recording takes for granted is put into the simulator first. A
recording's own identifiers are kept; names that the service makes up are mapped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from ..ids import parse_extension, parse_path
from .compare import differences, unmapped
from .interaction import OPERATION, Answer, Difference, Interaction
from .presuppose import Presupposition
from .stage import Stage

__all__ = ["Replay", "subscriptions_of"]

_HOUR = 3600.0
_MOVING = re.compile(r'"(?:provisioningState|status|aggregatedState)": "(?:Creating|Updating|Deleting|InProgress)"')
_SIMULATED = frozenset(
    f"microsoft.compute/{kind}"
    for kind in (
        "galleries",
        "galleries/images",
        "galleries/images/versions",
        "galleries/softdeletedartifacttypes/artifacts/versions",
        "disks",
        "snapshots",
        "images",
    )
)
_LOCATIONS = frozenset({"sharedgalleries", "communitygalleries"})
_NO_ANSWER = ("InvalidResourceType", "NoRegisteredProviderFound", "NotSimulated")


def subscriptions_of(recording: list[Interaction]) -> list[str]:
    """Return the subscriptions that a recording's requests name, in their order."""
    found = [match[1] for item in recording if (match := re.match(r"/subscriptions/([^/?]+)", item.uri, re.IGNORECASE))]
    return list(dict.fromkeys(found)) or ["00000000-0000-0000-0000-000000000000"]


@dataclass
class Replay:
    """Plays one recording.

    Attributes:
        stage: the simulator.
        skipped: interactions that were not played, with the reason.
    """

    stage: Stage
    skipped: dict[int, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _operations: dict[str, str] = field(default_factory=dict)
    _missing: list[str] = field(default_factory=list)

    def play(self, recording: list[Interaction]) -> list[Difference]:
        """Play a recording from its beginning and return every difference."""
        scenery = Presupposition(self.stage, recording)
        found: list[Difference] = []
        for item in recording:
            reason = self._unplayable(item)
            if reason:
                self.skipped[item.n] = reason
                scenery.adopt(item)
                continue
            scenery.before(item)
            answer = self._ask(item)
            reason = _refused(item, answer)
            if reason:
                self.skipped[item.n] = reason
                scenery.adopt(item)
                continue
            body = json.loads(unmapped(json.dumps(answer.body), self._names))
            rows = differences(item, Answer(answer.status, answer.headers, body))
            request = f"{item.method} {item.path}"
            found.extend(Difference(item.n, *row, request, item.api_version) for row in rows)
        return found

    def _ask(self, item: Interaction) -> Answer:
        operation = OPERATION.search(item.path)
        if operation:
            return self._poll(item, operation[2].lower())
        if item.method != "GET" or not _MOVING.search(json.dumps(item.response)):
            self.stage.skip(_HOUR)
        answer = self.stage.send(item.method, _encoded(self._map(item.uri)), _mapped(item.request, self._map))
        for header in ("azure-asyncoperation", "location"):
            begun = OPERATION.search(item.headers.get(header, ""))
            url = answer.headers.get("azure-asyncoperation") or answer.headers.get("location")
            if begun and url:
                self._operations[begun[2].lower()] = url
        self._learn(item, answer)
        return answer

    def _poll(self, item: Interaction, operation: str) -> Answer:
        status = item.response.get("status") if isinstance(item.response, dict) else None
        if status != "InProgress" and item.status != 202:
            self.stage.skip(_HOUR)
        url = urlsplit(self._operations[operation])
        query = url.query.replace("monitor=true&", "")
        if "monitor=true" in item.uri:
            query = query.replace("api-version=", "monitor=true&api-version=")
        return self.stage.send("GET", f"{url.path}?{query}", None)

    def _learn(self, item: Interaction, answer: Answer) -> None:
        """Remember names that the service makes up and that later requests use."""
        for pick in (_public_name, _unique_name):
            recorded, simulated = pick(item.response), pick(answer.body)
            if recorded and simulated and recorded != simulated:
                self._names[recorded] = simulated

    def _unplayable(self, item: Interaction) -> str | None:
        if "://" in item.uri:
            return f"another service: {urlsplit(item.uri).hostname}"
        operation = OPERATION.search(item.path)
        if operation:
            return None if operation[2].lower() in self._operations else "poll of an operation that is not known here"
        if item.method in ("PUT", "PATCH") and item.request is None:
            self._missing.append(item.path.lower().rstrip("/"))
        if any(item.path.lower() == path or item.path.lower().startswith(f"{path}/") for path in self._missing):
            return "made by a request whose body is not in the recording"
        extension = parse_extension(item.path)
        if extension is not None:
            simulated = extension.type.lower() in ("roleassignments", "roledefinitions")
            return None if simulated else f"not simulated: Microsoft.Authorization/{extension.type}"
        target = parse_path(item.path)
        if target is None or target.namespace is None or not target.namespace:
            return "scenery: tenants, subscriptions and resource groups"
        kind = "/".join((target.namespace, *target.types))
        if kind.lower() in _SIMULATED:
            return None
        if len(target.types) > 1 and target.types[0].lower() == "locations" and target.types[1].lower() in _LOCATIONS:
            return None
        return f"not simulated: {kind}"

    def _map(self, text: str) -> str:
        for old, new in self._names.items():
            text = text.replace(old, new)
        return text


def _refused(item: Interaction, answer: Answer) -> str | None:
    """Return what the simulator says it does not have, where the recording has an answer; else None."""
    error = answer.body.get("error") if isinstance(answer.body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    if code not in _NO_ANSWER or item.status == answer.status:
        return None
    return f"not simulated: {error['message']}" if isinstance(error, dict) else None


def _encoded(uri: str) -> str:
    return quote(uri, safe="/?&=%$:,'()+~*@!;-._")


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    return None if value is None else json.loads(change(json.dumps(value)))


def _public_name(body: Any) -> str | None:
    try:
        return str(body["properties"]["sharingProfile"]["communityGalleryInfo"]["publicNames"][0])
    except (KeyError, TypeError, IndexError):
        return None


def _unique_name(body: Any) -> str | None:
    try:
        return str(body["properties"]["identifier"]["uniqueName"])
    except (KeyError, TypeError):
        return None
