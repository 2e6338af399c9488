"""Recorded traffic of the real service, played against a simulator and compared.

A recording is a file with one interaction a line: `n`, `method`, `uri`, `request`, `status`, `headers`, `response`.
What a recording takes for granted (a virtual machine, a blob, a disk encryption set) is put into the simulator first;
identifiers are mapped; differences are returned, not raised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Answer", "Difference", "Interaction", "Replay", "compare", "read_recording"]

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|\+00:00)")
_OPERATION = re.compile(r"/(capsOperations|DiskOperations|operations)/([0-9a-f-]{36})", re.IGNORECASE)
_HEADERS = ("azure-asyncoperation", "location", "azure-asyncnotification", "x-ms-failure-cause")
_BUDGETS = "x-ms-ratelimit-remaining-resource"
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Interaction:
    """One recorded request and its answer."""

    n: int
    method: str
    uri: str
    request: Any
    status: int
    headers: Mapping[str, str]
    response: Any

    @property
    def path(self) -> str:
        """Path without the query."""
        return self.uri.split("?", 1)[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the simulator answered; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the simulator differs from the recording."""

    n: int
    where: str
    recorded: Any
    simulated: Any

    def __str__(self) -> str:
        """Say it in one line."""
        return f"#{self.n} {self.where}: recorded {self.recorded!r}, simulated {self.simulated!r}"


def read_recording(lines: Iterable[str]) -> list[Interaction]:
    """Read a recording."""
    rows = []
    for line in lines:
        item = json.loads(line)
        headers = {name.lower(): value for name, value in (item["headers"] or {}).items()}
        rows.append(
            Interaction(
                item["n"], item["method"], item["uri"], item["request"], item["status"], headers, item["response"]
            )
        )
    return rows


Send = Callable[[str, str, Any], Answer]
Put = Callable[[dict[str, Any], list[dict[str, Any]]], None]


@dataclass
class Replay:
    """Plays one recording.

    Attributes:
        send: sends method, path with query, and body to the simulator's ARM.
        put: puts a resource (body and empty disks) into the simulator's state.
        make_blob: makes a fixed VHD of so many GiB under a name and returns its URL.
        skip: jumps forward by Azure seconds.
        subscription: the simulator's subscription.
        account: name of the simulator's storage account.
        skipped: interactions that were not played, with the reason.
    """

    send: Send
    put: Put
    make_blob: Callable[[str, int], str]
    skip: Callable[[float], None]
    subscription: str
    account: str
    skipped: dict[int, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _operations: dict[str, str] = field(default_factory=dict)

    def play(self, recording: list[Interaction]) -> list[Difference]:
        """Play a recording from its beginning and return every difference."""
        self._prepare(recording)
        found: list[Difference] = []
        for item in recording:
            reason = self._unplayable(item)
            if reason:
                self.skipped[item.n] = reason
                continue
            answer = self._ask(item)
            found.extend(self._differences(item, answer))
        return found

    def _ask(self, item: Interaction) -> Answer:
        operation = _OPERATION.search(item.path)
        if operation:
            status = (item.response or {}).get("status") if isinstance(item.response, dict) else None
            if status != "InProgress":
                self.skip(_HOUR)
            url = urlsplit(self._operations[operation[2]])
            path, query = url.path, url.query
            if "monitor=true" in item.uri and "monitor=true" not in query:
                query = query.replace("api-version=", "monitor=true&api-version=")
            return self.send("GET", f"{path}?{query}", None)
        if item.method != "GET":
            self.skip(_HOUR)
        answer = self.send(item.method, self._map(item.uri), _mapped(item.request, self._map))
        begun = _OPERATION.search(item.headers.get("azure-asyncoperation", ""))
        if begun and "azure-asyncoperation" in answer.headers:
            self._operations[begun[2]] = answer.headers["azure-asyncoperation"]
        self._learn(item, answer)
        return answer

    def _learn(self, item: Interaction, answer: Answer) -> None:
        """Remember names that the service makes up and that later requests use."""
        for pick in (_public_names, _unique_name):
            recorded, simulated = pick(item.response), pick(answer.body)
            if recorded and simulated:
                self._names[recorded] = simulated

    def _unplayable(self, item: Interaction) -> str | None:
        operation = _OPERATION.search(item.path)
        if operation and operation[2] not in self._operations:
            return "poll of an operation whose beginning is not recorded"
        if "/providers/Microsoft.Authorization/" in item.path:
            return "role assignments are not simulated"
        return None

    def _map(self, text: str) -> str:
        for old, new in self._names.items():
            text = text.replace(old, new)
        return text

    def _prepare(self, recording: list[Interaction]) -> None:
        """Put what the recording takes for granted into the simulator."""
        subscription = re.search(r"/subscriptions/([^/?]+)", recording[0].uri)
        assert subscription is not None
        self._names[subscription[1]] = self.subscription
        for item in recording:
            group = re.search(r"/resourceGroups/([^/?]+)", item.uri)
            location = (item.request or {}).get("location") if item.method == "PUT" else None
            if group and location:
                place = f"/subscriptions/{self.subscription}/resourceGroups/{group[1]}"
                self.send("PUT", f"{place}?api-version=2024-03-01", {"location": location})
                self._presuppose(item, recording, place, location)

    def _presuppose(self, item: Interaction, recording: list[Interaction], place: str, location: str) -> None:
        final = _final_body(item, recording)
        properties = (item.request or {}).get("properties") or {}
        if "sourceVirtualMachine" in properties:
            self._machine(self._map(properties["sourceVirtualMachine"]["id"]), final, location)
        sizes = _sizes(final)
        storage = properties.get("storageProfile") or {}
        disks = [
            (None, storage.get("osDiskImage")),
            *((row.get("lun"), row) for row in storage.get("dataDiskImages", [])),
        ]
        for lun, row in disks:
            source = (row or {}).get("source") or {}
            if source.get("uri"):
                self._blob(source, place, location, sizes.get(lun, 1))
        for identity in re.findall(r'"(/[^"]*/diskEncryptionSets/[^"]*)"', json.dumps(item.request)):
            self.put({"id": self._map(identity), "location": location}, [])

    def _machine(self, identity: str, image: Any, location: str) -> None:
        storage = image["properties"]["storageProfile"]
        main, data = storage["osDisk"], storage.get("dataDisks", [])
        for disk in (main, *data):
            body = {"id": self._map(disk["managedDisk"]["id"]), "location": location}
            self.put({**body, "properties": {"diskState": "Unattached"}}, [{"sizeGB": disk["diskSizeGB"]}])
        mapped = json.loads(self._map(json.dumps({"osDisk": main, "dataDisks": data})))
        for disk in (mapped["osDisk"], *mapped["dataDisks"]):
            disk.pop("diskSizeGB")
        self.put({"id": identity, "location": location, "properties": {"storageProfile": mapped}}, [])

    def _blob(self, source: Mapping[str, str], place: str, location: str, size: int) -> None:
        account = source.get("storageAccountId") or source["id"]
        mine = f"{place}/providers/Microsoft.Storage/storageAccounts/{self.account}"
        self.put({"id": mine, "location": location}, [])
        url = self.make_blob(source["uri"].rsplit("/", 1)[1], size)
        self._names[source["uri"]] = url
        self._names[account.rsplit("/", 1)[1]] = self.account

    def _differences(self, item: Interaction, answer: Answer) -> list[Difference]:
        found = []
        if item.status != answer.status:
            found.append(Difference(item.n, "status", item.status, answer.status))
        for name in _HEADERS:
            recorded, simulated = item.headers.get(name), answer.headers.get(name)
            if _shape(recorded) != _shape(simulated):
                found.append(Difference(item.n, f"header {name}", _shape(recorded), _shape(simulated)))
        budgets = [_budget_names(headers.get(_BUDGETS)) for headers in (item.headers, answer.headers)]
        if budgets[0] != budgets[1]:
            found.append(Difference(item.n, f"header {_BUDGETS}", budgets[0], budgets[1]))
        back = {new: old for old, new in self._names.items()}
        body = json.loads(_unmap(json.dumps(answer.body), back))
        found.extend(Difference(item.n, *rest) for rest in compare(item.response, body))
        return found


def _unmap(text: str, names: Mapping[str, str]) -> str:
    for new, old in sorted(names.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(new, old)
    return text


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    return None if value is None else json.loads(change(json.dumps(value)))


def _shape(header: str | None) -> str | None:
    """Return the form of a header value: an operation URL without what differs every time."""
    if header is None:
        return None
    found = _OPERATION.search(header)
    if not found:
        return header
    url = urlsplit(header)
    location = url.path.split("/locations/")[1].split("/")[0]
    names = [pair.split("=", 1)[0] for pair in url.query.split("&")]
    return f"{location}/{found[1]}?{'&'.join(names)}"


def _budget_names(header: str | None) -> list[str]:
    return [part.split(";")[0] for part in header.split(",")] if header else []


def compare(recorded: Any, simulated: Any, where: str = "body") -> list[tuple[str, Any, Any]]:
    """Return the places where two JSON values differ in more than times, generated ids and signatures."""
    if isinstance(recorded, dict) and isinstance(simulated, dict):
        found: list[tuple[str, Any, Any]] = []
        for key in sorted({*recorded, *simulated}):
            if key not in recorded:
                found.append((f"{where}.{key}", None, simulated[key]))
            elif key not in simulated:
                found.append((f"{where}.{key}", recorded[key], None))
            else:
                found.extend(compare(recorded[key], simulated[key], f"{where}.{key}"))
        return found
    if isinstance(recorded, list) and isinstance(simulated, list):
        if len(recorded) != len(simulated):
            return [(f"{where} (length)", len(recorded), len(simulated))]
        return [
            row
            for number, pair in enumerate(zip(recorded, simulated, strict=True))
            for row in compare(*pair, where=f"{where}[{number}]")
        ]
    if isinstance(recorded, str) and isinstance(simulated, str):
        return [] if _plain(recorded) == _plain(simulated) else [(where, recorded, simulated)]
    return [] if recorded == simulated and type(recorded) is type(simulated) else [(where, recorded, simulated)]


def _plain(text: str) -> str:
    """Return a text without what is different every time, and without ARM's freedom in casing of resource groups."""
    if "sig=" in text:
        return "signed " + "&".join(sorted(pair.split("=")[0] for pair in text.split("?", 1)[1].split("&")))
    text = _TIME.sub("<time>", text)
    text = re.sub(r"(<id>|" + _GUID.pattern + r")-[A-Z0-9_.]+", "<unique>", text)
    text = _GUID.sub("<id>", text)
    return re.sub(r"(?i)/resourceGroups/[^/]+", "/resourceGroups/<group>", text)


def _final_body(item: Interaction, recording: list[Interaction]) -> Any:
    """Return the last recorded body of a resource after its PUT, when it was complete."""
    bodies = [
        row.response
        for row in recording
        if row.n >= item.n and row.path == item.path and row.method in ("PUT", "GET") and row.status < 300
    ]
    complete = [body for body in bodies if body["properties"].get("provisioningState") == "Succeeded"]
    return (complete or bodies)[0]


def _sizes(body: Any) -> dict[int | None, int]:
    storage = body["properties"].get("storageProfile") or {}
    found: dict[int | None, int] = {}
    if "sizeInGB" in (storage.get("osDiskImage") or {}):
        found[None] = storage["osDiskImage"]["sizeInGB"]
    for row in storage.get("dataDiskImages", []):
        found[row["lun"]] = row.get("sizeInGB", 1)
    return found


def _public_names(body: Any) -> str | None:
    try:
        return str(body["properties"]["sharingProfile"]["communityGalleryInfo"]["publicNames"][0])
    except (KeyError, TypeError):
        return None


def _unique_name(body: Any) -> str | None:
    try:
        return str(body["properties"]["identifier"]["uniqueName"])
    except (KeyError, TypeError):
        return None
