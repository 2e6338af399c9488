"""Reports, rows and explanations as text: for a terminal, and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gallery_operator.contract import GuestProfile, PrerequisitesConfig
from gallery_operator.prerequisites.container import GIB, MIB, ContainerFacts
from gallery_operator.prerequisites.model import CheckReport, CheckResult, Levels, Severity, Status
from gallery_operator.prerequisites.registry import LATEST, Row

_HEADINGS: Final[Mapping[Status, tuple[str, str]]] = {
    Status.FAIL: ("Errors", "31;1"),
    Status.UNKNOWN: ("Unknown", "35;1"),
    Status.WARN: ("Warnings", "33;1"),
    Status.INFO: ("Information", "36;1"),
    Status.IGNORED: ("Ignored", "2"),
    Status.PASS: ("Passed", "32;1"),
    Status.NOT_APPLICABLE: ("Not applicable", "2"),
}
_ATTENTION: Final = (Status.FAIL, Status.UNKNOWN, Status.WARN, Status.INFO, Status.IGNORED)
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


def table(
    report: CheckReport, image: str, container: ContainerFacts, profile: GuestProfile, level: str, style: Style,
    *, everything: bool = False,
) -> str:  # fmt: skip
    """The report for a person, grouped by severity.

    Args:
        report: The outcome.
        image: Name of the file.
        container: The file.
        profile: What it was checked against.
        level: ``Default`` or ``Strict``.
        style: Width and colour.
        everything: Also what passed or does not apply.
    """
    about = [describe_container(container), report.distribution or "distribution unknown"]
    about += [report.architecture] if report.architecture else []
    against: list[str] = [profile.os_state, profile.hyper_v_generation, profile.architecture]
    if profile.disk_role == "data":
        about, against = about[:1], ["data disk"]
    lines = [
        f"{style.paint(image, '1')}: {', '.join(about)}",
        f"checked against {', '.join(against)}, level {level}",
    ]
    lines += [line for note in report.notes if profile.disk_role == "os" for line in style.block(note, 0, "note: ")]
    for status, (heading, code) in _HEADINGS.items():
        if status not in _ATTENTION and not everything:
            continue
        found = [each for each in report.results if each.status is status]
        if found:
            lines += ["", style.paint(f"{heading} ({len(found)})", code)]
            for each in found:
                lines += _result(each, code, style)
    lines += ["", _last_line(report, style, everything=everything)]
    return "\n".join(lines) + "\n"


def _result(result: CheckResult, code: str, style: Style) -> list[str]:
    title = style.block(result.title, 10)
    lines = [f"  {style.paint(result.id, code)}  {title[0].strip()}", *title[1:]]
    lines += style.block(result.message, 10)
    lines += style.block(result.remedy, 10, "fix: ")
    return lines


def _last_line(report: CheckReport, style: Style, *, everything: bool) -> str:
    counts = [
        (Status.PASS, "passed"),
        (Status.FAIL, "errors"),
        (Status.WARN, "warnings"),
        (Status.INFO, "information"),
        (Status.UNKNOWN, "unknown"),
        (Status.IGNORED, "ignored"),
        (Status.NOT_APPLICABLE, "not applicable"),
    ]
    text = ", ".join(f"{report.count(status)} {word}" for status, word in counts if report.count(status))
    verdict, code = _VERDICTS[report.verdict]
    hint = "" if everything else "; --all shows every check, --explain ID says what one is for"
    return f"{style.paint(verdict, code)}: {text}{hint}"


def describe_container(container: ContainerFacts) -> str:
    """For example ``qcow2 (xz), 2.0 GiB``."""
    size = container.virtual_size
    amount = f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.1f} MiB"
    name = container.format + (f" ({container.compression})" if container.compression else "")
    return f"{name}, {amount}"


def document(
    report: CheckReport, image: str, container: ContainerFacts, profile: GuestProfile, config: PrerequisitesConfig
) -> dict[str, Any]:
    """The report for a program: all rows, in the catalogue's order."""
    summary = report.summary()
    return {
        "image": image,
        "verdict": report.verdict,
        "distribution": report.distribution,
        "architecture": report.architecture,
        "container": {
            "format": container.format,
            "compression": container.compression,
            "virtualSize": container.virtual_size,
        },
        "checkedAgainst": {
            "osState": profile.os_state,
            "hyperVGeneration": profile.hyper_v_generation,
            "architecture": profile.architecture,
            "diskRole": profile.disk_role,
            "level": config.level,
        },
        "summary": {
            "passed": summary.passed,
            "errors": summary.failures,
            "warnings": summary.warnings,
            "information": report.count(Status.INFO),
            "unknown": summary.unknown,
            "ignored": summary.ignored,
            "notApplicable": report.count(Status.NOT_APPLICABLE),
        },
        "notes": list(report.notes),
        "results": [
            {
                "id": each.id,
                "status": each.status.value,
                "severity": each.severity.value,
                "title": each.title,
                "message": each.message,
                "remedy": each.remedy,
                "source": each.source,
            }
            for each in report.results
        ],
    }


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
            lines += style.block(text, 0, f"fix ({family}): " if family else "fix: ")
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
