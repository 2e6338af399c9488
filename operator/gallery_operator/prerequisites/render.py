"""Reports, rows and explanations as text: for a terminal, and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gallery_operator.contract import CheckedContainer, CheckOutcome, ChecksDocument, CheckStatus
from gallery_operator.prerequisites.container import GIB, MIB
from gallery_operator.prerequisites.model import Levels, Severity
from gallery_operator.prerequisites.registry import LATEST, TOPICS, Row

_HEADINGS: Final[Mapping[CheckStatus, tuple[str, str]]] = {
    "fail": ("Errors", "31;1"),
    "unknown": ("Unknown", "35;1"),
    "warn": ("Warnings", "33;1"),
    "info": ("Information", "36;1"),
    "ignored": ("Ignored", "2"),
    "pass": ("Passed", "32;1"),
    "notApplicable": ("Not applicable", "2"),
}
_ATTENTION: Final = ("fail", "unknown", "warn", "info", "ignored")
_INDENT: Final = 12
_VERDICTS: Final = {"ok": ("ok", "32;1"), "failed": ("failed", "31;1"), "unknown": ("inconclusive", "35;1")}


@dataclass(frozen=True, slots=True)
class Style:
    """How text is laid out.

    Attributes:
        width: Columns.
        colour: Whether escape sequences are written.
    """

    width: int = 100
    colour: bool = False

    def paint(self, text: str, code: str) -> str:
        """Text in a colour (SGR parameters), or plain."""
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def block(self, text: str, indent: int, first: str = "") -> list[str]:
        """Text wrapped to the width; ``first`` stands before its first line inside the indent."""
        margin = " " * indent
        lines = textwrap.wrap(
            text, max(20, self.width - indent - len(first)), break_long_words=False, break_on_hyphens=False
        )
        return [f"{margin}{first if number == 0 else ' ' * len(first)}{line}" for number, line in enumerate(lines)]


def table(document: ChecksDocument, style: Style, *, everything: bool = False, hint: str = "") -> str:
    """The report for a person, grouped by severity and within it by topic.

    Args:
        document: The report.
        style: Width and colour.
        everything: Also what passed or does not apply.
        hint: What to do to learn more, for the last line.
    """
    wanted = document.checked_against
    about = [describe_container(document.container), document.distribution or "distribution unknown"]
    about += [document.architecture] if document.architecture else []
    against = [wanted.os_state, wanted.hyper_v_generation, wanted.architecture]
    if wanted.disk_role == "data":
        about, against = about[:1], ["data disk"]
    against += [f"replication {wanted.replication_mode}"] if wanted.replication_mode != "Full" else []
    against += [f"{name} {value}" for name, value in wanted.features.items()]
    lines = [
        f"{style.paint(document.image, '1')}: {', '.join(about)}",
        f"checked against {', '.join(against)}, level {wanted.level}",
    ]
    lines += [line for note in document.notes if wanted.disk_role == "os" for line in style.block(note, 0, "note: ")]
    lines += ["note: texts or results were cut, there is no room for all"] if document.truncated else []
    for status, (heading, code) in _HEADINGS.items():
        if status not in _ATTENTION and not everything:
            continue
        found = [each for each in document.results if each.status == status]
        if found:
            lines += ["", style.paint(f"{heading} ({len(found)})", code)]
            lines += _by_topic(found, code, style)
    lines += ["", _last_line(document, style, hint)]
    return "\n".join(lines) + "\n"


def _by_topic(results: Sequence[CheckOutcome], code: str, style: Style) -> list[str]:
    lines: list[str] = []
    topic = ""
    for each in results:
        # A worker of a newer version may know topics that this one does not.
        own = TOPICS.get(each.id[:3], each.id[:3])
        if own != topic:
            topic = own
            lines.append(f"  {style.paint(topic, '4')}")
        lines += _result(each, code, style)
    return lines


def _result(result: CheckOutcome, code: str, style: Style) -> list[str]:
    title = style.block(result.title, _INDENT) or [""]
    lines = [f"    {style.paint(result.id, code)}  {title[0].strip()}", *title[1:]]
    lines += style.block(result.message, _INDENT)
    lines += _fix(result.remedy, " " * _INDENT + "fix: ")
    return lines


def _fix(remedy: str, first: str) -> list[str]:
    # Not wrapped: most are commands, and who copies one must not copy a line feed.
    return [first + " ".join(remedy.split())] if remedy else []


def _last_line(document: ChecksDocument, style: Style, hint: str) -> str:
    counts = document.summary
    parts = [
        (counts.passed, "passed"),
        (counts.errors, "errors"),
        (counts.warnings, "warnings"),
        (counts.information, "information"),
        (counts.unknown, "unknown"),
        (counts.ignored, "ignored"),
        (counts.not_applicable, "not applicable"),
    ]
    text = ", ".join(f"{count} {word}" for count, word in parts if count)
    verdict, code = _VERDICTS[document.verdict]
    return f"{style.paint(verdict, code)}: {text}{f'; {hint}' if hint else ''}"


def describe_container(container: CheckedContainer) -> str:
    """For example ``qcow2 (xz), 2.0 GiB``."""
    size = container.virtual_size
    amount = f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.1f} MiB"
    name = container.format + (f" ({container.compression})" if container.compression else "")
    return f"{name}, {amount}"


def as_json(content: Any) -> str:
    """JSON for people and programs."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def as_yaml(content: Any) -> str:
    """YAML in the order of the JSON."""
    # Imported here: the table needs it not.
    import yaml

    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))


def severity_text(levels: Levels) -> str:
    """``error``, or both levels where they differ."""
    if levels.default is levels.strict:
        return levels.default.value
    return f"{levels.default.value} ({levels.strict.value} at level Strict)"


def applies_text(row: Row) -> str:
    """Which disks a row is for, as a phrase."""
    applies = row.applies
    parts = []
    if applies.disk_roles == frozenset({"data"}):
        parts.append("data disks")
    elif "data" in applies.disk_roles:
        parts.append("OS and data disks")
    else:
        parts.append("OS disks")
    parts += [
        ", ".join(sorted(each)) for each in (applies.os_states, applies.generations, applies.architectures) if each
    ]
    if applies.distributions:
        parts.append("on " + ", ".join(sorted(applies.distributions)))
    for family, (low, high) in sorted(applies.versions.items()):
        parts.append(f"{family} {low} and later" if high == LATEST else f"{family} {low} to {high}")
    if applies.except_distributions:
        parts.append("not on " + ", ".join(sorted(applies.except_distributions)))
    if applies.when:
        parts.append(applies.when)
    return "; ".join(parts)


def explanation(row: Row, style: Style) -> str:
    """Everything the catalogue knows about a row."""
    lines = [f"{style.paint(row.id, '1')}  {row.title}", ""]
    lines += [*style.block(row.why, 0), ""]
    lines += style.block(severity_text(row.levels), 0, "severity: ")
    lines += [line for levels, when in row.cases for line in style.block(f"{severity_text(levels)}: {when}", 10)]
    lines += style.block(applies_text(row), 0, "applies to: ")
    for family, text in row.remedies.items():
        if text:
            lines += _fix(text, f"fix ({family}): " if family else "fix: ")
    lines += style.block(row.source, 0, "source: ")
    return "\n".join(lines) + "\n"


def row_document(row: Row) -> dict[str, Any]:
    """A row of the catalogue for a program."""
    return {
        "id": row.id,
        "topic": row.topic,
        "title": row.title,
        "why": row.why,
        "severity": {"default": row.levels.default.value, "strict": row.levels.strict.value},
        "cases": [
            {"default": levels.default.value, "strict": levels.strict.value, "when": when} for levels, when in row.cases
        ],
        "appliesTo": applies_text(row),
        "remedies": {family or "*": text for family, text in row.remedies.items() if text},
        "source": row.source,
    }


def catalogue_table(rows: Sequence[Row], style: Style) -> str:
    """All rows, one line each, by topic."""
    colours: dict[Severity, str] = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "36"}
    lines: list[str] = []
    topic = ""
    for row in rows:
        if row.topic != topic:
            topic = row.topic
            lines += ["", style.paint(topic, "1")] if lines else [style.paint(topic, "1")]
        severity = row.levels.default
        lines.append(f"  {row.id}  {style.paint(f'{severity.value:7}', colours[severity])}  {row.title}")
    return "\n".join(lines) + "\n"


def catalogue_markdown(rows: Sequence[Row]) -> str:
    """The page ``docs/checks.md``."""
    quote: Callable[[str], str] = lambda text: text.replace("|", "\\|")  # noqa: E731
    lines = [
        "# Checks",
        "",
        "<!-- Generated by hack/generate_checks.py from the catalogue; do not edit. -->",
        "",
        f"The {len(rows)} prerequisites that `gallery-operator check` and every import look at. *Severity* is what a "
        "finding is at level `Default` / `Strict`: an **error** refuses the disk when `spec.prerequisites.policy` is "
        "`Enforce`. A check that could not be decided is *unknown*, never passed; `spec.prerequisites.onUnknown` says "
        "what that means. `spec.prerequisites.ignore` (or `--ignore ID`) leaves a row out.",
        "",
    ]
    topic = ""
    for row in rows:
        if row.topic != topic:
            topic = row.topic
            lines += [f"## {topic}", ""]
        lines += [
            f"### {row.id}: {row.title}",
            "",
            row.why,
            "",
            "| | |",
            "| --- | --- |",
            f"| severity | {row.levels.default.value} / {row.levels.strict.value} |",
        ]
        lines += [f"| … when {quote(when)} | {each.default.value} / {each.strict.value} |" for each, when in row.cases]
        lines.append(f"| applies to | {applies_text(row)} |")
        for family, text in row.remedies.items():
            if text:
                lines.append(f"| remedy{f' on {family}' if family else ''} | {quote(text)} |")
        lines += [f"| source | {quote(row.source)} |", ""]
    return "\n".join(lines)
