"""Comparison of two answers: what is different every time counts as equal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .interaction import GUID, OPERATION, Answer, Interaction

__all__ = ["compare", "differences", "unmapped"]

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")
_HEADERS = ("azure-asyncoperation", "location", "azure-asyncnotification", "x-ms-failure-cause")
_BUDGETS = "x-ms-ratelimit-remaining-resource"


def differences(item: Interaction, answer: Answer) -> list[tuple[str, Any, Any]]:
    """Return the places (`where`, recorded, simulated) where an answer differs from the recorded one."""
    found: list[tuple[str, Any, Any]] = []
    if item.status != answer.status:
        found.append(("status", item.status, answer.status))
    for name in _HEADERS:
        recorded, simulated = _shape(item.headers.get(name)), _shape(answer.headers.get(name))
        if recorded != simulated:
            found.append((f"header {name}", recorded, simulated))
    budgets = [_budget_names(headers.get(_BUDGETS)) for headers in (item.headers, answer.headers)]
    if budgets[0] != budgets[1]:
        found.append((f"header {_BUDGETS}", budgets[0], budgets[1]))
    return [*found, *compare(item.response, answer.body)]


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
    if "sig=" in text and "?" in text:
        return "signed " + "&".join(sorted(pair.split("=")[0] for pair in text.split("?", 1)[1].split("&")))
    text = _TIME.sub("<time>", text)
    text = re.sub(r"(<id>|" + GUID.pattern + r")-[A-Z0-9_.]+", "<unique>", text)
    text = GUID.sub("<id>", text)
    return re.sub(r"(?i)/resourceGroups/[^/]+", "/resourceGroups/<group>", text)


def _shape(header: str | None) -> str | None:
    """Return the form of a header value: an operation URL without what differs every time."""
    if header is None:
        return None
    found = OPERATION.search(header)
    if not found:
        return header
    url = urlsplit(header)
    location = url.path.split("/locations/")[1].split("/")[0] if "/locations/" in url.path else ""
    names = [pair.split("=", 1)[0] for pair in url.query.split("&")]
    return f"{location}/{found[1]}?{'&'.join(names)}"


def _budget_names(header: str | None) -> list[str]:
    return [part.split(";")[0] for part in header.split(",")] if header else []


def unmapped(text: str, names: Mapping[str, str]) -> str:
    """Return a text with simulated names (values of `names`) replaced by the recorded ones (keys)."""
    for old, new in sorted(names.items(), key=lambda pair: -len(pair[1])):
        text = text.replace(new, old)
    return text
