"""Removal of secrets from any text that leaves the process: logs, events, status, exceptions."""

import re

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ in any URL
    (re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s@?#]+@"), r"\g<scheme>***@"),
    # the query of any URL: a SAS is nothing else, and signed links of other clouds are alike
    (re.compile(r"(?P<url>[a-zA-Z][a-zA-Z0-9+.-]*://[^\s?#\"'<>]+)\?[^\s\"'<>]*"), r"\g<url>?***"),
    (
        re.compile(
            r"(?i)\b(sig|se|sp|skoid|sktid|sv|code|access_token|client_secret|client_assertion)(=|%3D)[^&\s\"',;]+"
        ),
        r"\1\2***",
    ),
    (
        re.compile(
            r"(?i)\b(AccountKey|SharedAccess(?:Signature|Key)|accessSAS|Password|client_secret|(?:access|refresh|id)_token)(\"?\s*[=:]\s*\"?)[^;\s\"',}]+"
        ),
        r"\1\2***",
    ),
    (
        re.compile(r"(?i)\b(authorization\"?\s*[:=]\s*\"?)(?:(Bearer|Basic|SharedKey)\s+)?[^\s\"',}]+"),
        r"\1***",
    ),
    (re.compile(r"(?i)\b(Bearer|SharedKey)\s+[A-Za-z0-9._~+/=:-]{8,}"), r"\1 ***"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){1,4}"), "***"),
)


def redact(text: object) -> str:
    """Return text without anything that could open a door.

    Args:
        text: A message, an exception, or anything with a string form.

    Returns:
        The text with user info, query strings, SAS parameters, tokens and keys replaced by ``***``.
    """
    result = str(text)
    for pattern, replacement in _RULES:
        result = pattern.sub(replacement, result)
    return result
