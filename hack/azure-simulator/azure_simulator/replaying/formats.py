"""Readers of recordings: this project's lines, VCR cassettes (azure-cli), session records (Java and .NET SDKs)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from .interaction import Interaction

__all__ = ["FORMATS", "RecordingError", "read", "read_recording"]

# Resource Manager's hosts in the clouds, and the stand-ins that recorders write; other hosts are other services.
_HOSTS = re.compile(r"management\.(?:[a-z0-9.-]+)|localhost|127\.0\.0\.1", re.IGNORECASE)


class RecordingError(Exception):
    """A file is no recording of a known format; the text says what was expected."""


def read(path: Path, form: str = "auto") -> list[Interaction]:
    """Read a recording.

    Args:
        path: the file.
        form: a key of `FORMATS`, or `auto` to tell by the content.

    Raises:
        RecordingError: the file is no recording of this (or any) format.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read: {error}") from None
    name = _guess(text) if form == "auto" else form
    try:
        return list(FORMATS[name](text))
    except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise RecordingError(f"{path}: is no recording of format '{name}': {type(error).__name__}: {error}") from None


def read_recording(lines: Iterable[str]) -> list[Interaction]:
    """Read a recording that has one interaction a line: `n`, `method`, `uri`, `request`, `status`, ...

    Raises:
        KeyError: a field is missing.
        ValueError: a line is no JSON.
    """
    rows = []
    for line in lines:
        if not line.strip():
            continue
        item = json.loads(line)
        rows.append(
            _interaction(
                item["n"],
                item["method"],
                item["uri"],
                item["request"],
                item["status"],
                item["headers"],
                item["response"],
            )
        )
    return rows


def _guess(text: str) -> str:
    start = text.lstrip()
    if start.startswith("{"):
        first = start.split("\n", 1)[0]
        return "jsonl" if '"uri"' in first and '"method"' in first else "session"
    return "cassette"


def _cassette(text: str) -> list[Interaction]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(text, Loader=loader)  # a safe loader
    rows = []
    for number, item in enumerate(document["interactions"], 1):
        request, response = item["request"], item["response"]
        body = response.get("body")
        raw = body.get("string", body.get("base64_string")) if isinstance(body, Mapping) else body
        status = response["status"]
        code = status["code"] if isinstance(status, Mapping) else status
        rows.append(
            _interaction(
                number, request["method"], request["uri"], request.get("body"), code, response.get("headers"), raw
            )
        )
    return rows


def _session(text: str) -> list[Interaction]:
    document = json.loads(text)
    rows = []
    if "networkCallRecords" in document:
        for number, item in enumerate(document["networkCallRecords"], 1):
            answer = dict(item["Response"])
            status, body = int(answer.pop("StatusCode")), answer.pop("Body", None)
            rows.append(_interaction(number, item["Method"], item["Uri"], item.get("Body"), status, answer, body))
        return _in_order(rows)
    for number, item in enumerate(document["Entries"], 1):
        uri = item.get("RequestUri") or base64.b64decode(item["EncodedRequestUri"]).decode()
        rows.append(
            _interaction(
                number,
                item["RequestMethod"],
                uri,
                item.get("RequestBody"),
                int(item["StatusCode"]),
                item.get("ResponseHeaders"),
                item.get("ResponseBody"),
            )
        )
    return _in_order(rows)


def _in_order(rows: list[Interaction]) -> list[Interaction]:
    """Return interactions by the time of their answers: one recorder groups them by request."""
    times: dict[int, datetime] = {}
    for row in rows:
        try:
            times[row.n] = parsedate_to_datetime(row.headers["date"])
        except (KeyError, TypeError, ValueError):
            return rows
    return sorted(rows, key=lambda row: times[row.n])


FORMATS: dict[str, Callable[[str], list[Interaction]]] = {
    "jsonl": lambda text: read_recording(text.splitlines()),
    "cassette": _cassette,
    "session": _session,
}
"""Reader of a text by name of the format."""


def _interaction(
    number: int, method: str, uri: str, request: Any, status: int, headers: Any, response: Any
) -> Interaction:
    lowered = {}
    for name, value in (headers or {}).items():
        first = value[0] if isinstance(value, list) and value else value
        lowered[str(name).lower()] = str(first)
    return Interaction(
        int(number), str(method).upper(), _uri(uri), _body(request), int(status), lowered, _body(response)
    )


def _uri(uri: str) -> str:
    parts = urlsplit(uri)
    if not parts.netloc or _HOSTS.fullmatch(parts.hostname or ""):
        path = re.sub(r"/{2,}", "/", parts.path)
        return f"{path}?{parts.query}" if parts.query else path
    return uri


def _body(value: Any) -> Any:
    """Return a body as JSON; a text that is none as it is, nothing for an empty one."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except ValueError:
        return value
