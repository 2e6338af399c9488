"""Read Azure's code, text and waiting time out of an answer. Pure; takes bodies and headers, not clients."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from gallery_operator.redact import redact

MAX_MESSAGE = 1024
"""Longest message kept, in characters: a condition and an event hold little more."""
_MAX_RETRY_AFTER = 24 * 3600.0
_MAX_DEPTH = 8

# What differs from one attempt to the next has no place in a status: it would be written for ever.
_VOLATILE = re.compile(
    r"""\s*(?:
        (?:Trace|Correlation|Request)\s?ID:?\s*'?[0-9a-f-]{36}'?
      | RequestId:\S+ | \bTime:?\s?\d{4}-\d\d-\d\dT\S+ | Timestamp:\s*\d{4}-\d\d-\d\d[\sT][\d:.]+Z?
      | ,?\s*(?:with\s+)?(?:the\s+)?(?:tracking|correlation|activity|request)\s?id
        (?:\s+is|\s*:)?\s*['"]?[0-9a-f-]{36}['"]?
    )\.?""",
    re.IGNORECASE | re.VERBOSE,
)
_AADSTS = re.compile(r"\b(AADSTS\d{4,9})\b")
_TRY_AGAIN = re.compile(r"(?:try again|retry) after\s+'?(\d{1,5})'?\s*seconds", re.IGNORECASE)


@dataclass(frozen=True)
class ErrorBody:
    """An error as Azure said it.

    Attributes:
        codes: The codes, the outermost first, then the nested ones; empty when the body has none.
        message: Outer and nested texts, redacted, one line; empty when there is none.
    """

    codes: tuple[str, ...] = ()
    message: str = ""


def clean(text: object) -> str:
    """Return a text as one short line without secrets and without what changes at every attempt."""
    whole = str(text).encode("utf-8", "replace").decode()  # no lone surrogates: they cannot be written anywhere
    line = " ".join(redact(_VOLATILE.sub("", whole)).split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def parse(body: bytes | str | None) -> ErrorBody:
    """Read the body of an answer of Resource Manager, Entra ID or the blob service.

    Args:
        body: JSON (Resource Manager, Entra ID) or XML (storage); anything else gives an empty result.

    Returns:
        Codes and text; never raises, whatever the body is.
    """
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body or ""
    text = text.lstrip("\ufeff \r\n\t")
    if text.startswith("<"):
        return _parse_xml(text)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ErrorBody()
    return parse_document(document)


def parse_document(document: object) -> ErrorBody:
    """Read the error out of a decoded JSON document, such as that of a failed long-running operation."""
    if not isinstance(document, Mapping):
        return ErrorBody()
    description = document.get("error_description")
    if isinstance(description, str):  # Entra ID: {"error": "invalid_client", "error_description": "AADSTS…: …"}
        found = _AADSTS.search(description)
        outer = str(document.get("error", ""))
        codes = (outer, found.group(1)) if found else (outer,)
        return ErrorBody(tuple(code for code in codes if code), clean(description))
    root = document.get("error", document)
    if not isinstance(root, Mapping):
        return ErrorBody((root,) if isinstance(root, str) and root else ())
    pairs = list(_walk(root, 0))
    texts: list[str] = []
    for _, text in pairs:
        # Compute puts JSON with the measured rates into a nested message: of no use to a reader, and it changes.
        if text and not text.startswith("{") and not any(text in known for known in texts):
            texts.append(text)
    return ErrorBody(tuple(dict.fromkeys(code for code, _ in pairs if code)), clean(" ".join(texts)))


def _walk(node: Mapping[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    code, message = node.get("code"), node.get("message")
    nested = _embedded(message)
    yield (code if isinstance(code, str) else ""), ("" if nested else message if isinstance(message, str) else "")
    if depth >= _MAX_DEPTH:
        return
    details = node.get("details")
    children = [*(details if isinstance(details, list) else []), nested]
    for child in children:
        if isinstance(child, Mapping):
            yield from _walk(child, depth + 1)


def _embedded(message: object) -> Mapping[str, Any] | None:
    """Return the error that some resource providers put as JSON text into the message of another one."""
    if not isinstance(message, str) or not message.lstrip().startswith("{"):
        return None
    try:
        document = json.loads(message)
    except (ValueError, RecursionError):
        return None
    inner = document.get("error") if isinstance(document, Mapping) else None
    return inner if isinstance(inner, Mapping) else None


def _parse_xml(text: str) -> ErrorBody:
    # Two flat elements of a short document: no XML parser is let loose on what a proxy may have written.
    code = re.search(r"<Code>([A-Za-z0-9_.]{1,128})</Code>", text)
    message = re.search(r"<Message>(.{1,4096}?)</Message>", text, re.DOTALL)
    if code is None:
        return ErrorBody()
    return ErrorBody((code.group(1),), clean(message.group(1)) if message else "")


def retry_after(headers: Mapping[str, str], message: str, now: datetime | None = None) -> float | None:
    """Say how long Azure asks to wait.

    Args:
        headers: Header names to values; names are compared without case.
        message: The text of the error, which names the seconds when a header is missing.
        now: The present, for a Retry-After that is a date.

    Returns:
        Seconds (0 to one day), or None when nothing is said.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    for name, factor in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = lower.get(name, "").strip()
        if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", value):
            return min(float(value) * factor, _MAX_RETRY_AFTER)
    date = lower.get("retry-after", "").strip()
    if date:
        try:
            when = parsedate_to_datetime(date)
        except (TypeError, ValueError):
            when = None
        if when is not None:
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            return min(max((when - (now or datetime.now(UTC))).total_seconds(), 0.0), _MAX_RETRY_AFTER)
    found = _TRY_AGAIN.search(message)
    return float(found.group(1)) if found else None
