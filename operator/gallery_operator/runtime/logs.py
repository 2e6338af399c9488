"""Logging: text for people or JSON for machines; every line is freed of secrets as the last thing before it leaves."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from gallery_operator.redact import redact

_QUIET = {
    # "Handler succeeded" for every event is noise: reconciles are told by their own log.
    "kopf.objects": logging.WARNING,
    # azure-identity warns of every failure with Entra's whole answer; the status tells what matters of it.
    "azure": logging.ERROR,
    "msal": logging.ERROR,
    "aiohttp.access": logging.WARNING,
}


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def configure(log_format: Literal["text", "json"], level: str) -> None:
    """Send all logging of the process to standard error.

    Args:
        log_format: ``text`` or ``json``.
        level: Name of the lowest level to show.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Json() if log_format == "json" else _Text("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))
