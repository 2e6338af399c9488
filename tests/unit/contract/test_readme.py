"""The README's table of capabilities and docs/examples say the same."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HEADING = "## What of Azure's image management it declares"
_LINK = re.compile(r"\(docs/examples/([^)]+)\)")


def table() -> list[str]:
    """Return the rows of the table."""
    section = (ROOT / "README.md").read_text().split(HEADING)[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def test_every_capability_names_an_example_that_is_there() -> None:
    rows = table()
    assert len(rows) > 20
    for row in rows:
        files = _LINK.findall(row)
        assert files, f"no example shows: {row}"
        assert [file for file in files if not (ROOT / "docs/examples" / file).is_file()] == []


def test_every_example_shows_a_capability() -> None:
    named = {file for row in table() for file in _LINK.findall(row)}
    there = {path.name for path in (ROOT / "docs/examples").glob("*.yaml")}
    assert sorted(there - named) == [], f"name them in the README, in the table below {HEADING!r}"
