"""``gallery-operator check`` and ``gallery-operator checks list``: the checks from a shell, without a cluster."""

from __future__ import annotations

import argparse
import difflib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import Final, TextIO

from gallery_operator.contract import ChecksDocument, GuestProfile, PrerequisitesConfig
from gallery_operator.prerequisites import output, render
from gallery_operator.prerequisites import report as reports
from gallery_operator.prerequisites.catalogue import find, rows
from gallery_operator.prerequisites.checker import check_disk
from gallery_operator.prerequisites.imagefile import ImageFileError, open_image_file
from gallery_operator.prerequisites.model import CheckReport

_HINT: Final = "--all shows every check, --explain ID says what one is for"

OUTPUTS: Final = ("table", "json", "yaml", "sarif", "junit")
"""Values of ``--output``."""


class CheckExit(IntEnum):
    """Exit codes of ``check``.

    Attributes:
        OK: No check found an error, and none that could be one is undecided.
        FINDINGS: At least one error.
        USAGE: The command line is wrong, or the image cannot be opened.
        UNKNOWN: No error, but a check that could be one is undecided.
    """

    OK = 0
    FINDINGS = 1
    USAGE = 2
    UNKNOWN = 3


_EPILOG = """\
exit codes:
  0  no errors (there may be warnings)
  1  at least one error
  2  wrong usage, or the image cannot be opened
  3  no errors, but a check that could be one is undecided; --on-unknown Allow makes it 0

examples:
  gallery-operator check debian.raw
  gallery-operator check --generation V1 --os-state Specialized disk.vhd
  gallery-operator check -o json image.qcow2.xz | jq '.results[] | select(.status == "fail")'
  gallery-operator check -o sarif disk.vhd > check.sarif      (code scanning)
  gallery-operator check -o junit disk.vhd > check.xml        (test report of a pipeline)
  gallery-operator check --explain KRN002
"""


def check_main(argv: Sequence[str] | None = None) -> int:
    """Run ``gallery-operator check``.

    Args:
        argv: Arguments after ``check``; None: none.

    Returns:
        A ``CheckExit``.
    """
    try:
        options = _check_parser().parse_args(list(argv or ()))
        if options.explain and find(options.explain) is None:
            return _complain(_no_such_check(options.explain))
        if options.image is None and not options.explain:
            return _complain("name an image (see: gallery-operator check --help)")
        try:
            profile, config = judgement(options)
        except ValueError as error:
            return _complain(str(error))
        return _check(options, profile, config)
    except SystemExit as end:  # argparse has said what is wrong, or printed the help
        return int(end.code or 0)
    except BrokenPipeError:
        # The reader of a pipe (head, less) is gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CheckExit.USAGE
    except KeyboardInterrupt:
        return 130


def checks_main(argv: Sequence[str] | None = None) -> int:
    """Run ``gallery-operator checks``.

    Args:
        argv: Arguments after ``checks``.

    Returns:
        0, or 2 for wrong usage.
    """
    parser = argparse.ArgumentParser(prog="gallery-operator checks", description="The catalogue of checks.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="list every check")
    listing.add_argument("-o", "--output", choices=["table", "json", "yaml", "markdown"], default="table")
    try:
        options = parser.parse_args(list(argv or ()))
    except SystemExit as end:
        return int(end.code or 0)
    documents = [render.row_document(row) for row in rows()]
    texts = {
        "table": lambda: render.catalogue_table(rows(), style_of(sys.stdout)),
        "json": lambda: render.as_json(documents),
        "yaml": lambda: render.as_yaml(documents),
        "markdown": lambda: render.catalogue_markdown(rows()),
    }
    sys.stdout.write(texts[options.output]())
    return CheckExit.OK


def _check_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gallery-operator check",
        description="Checks a Linux disk image for Azure, without booting or mounting it and without a cluster. Reads "
        "raw, VHD, qcow2, VHDX and VMDK where they lie; compressed files are decompressed into the temporary folder "
        "($TMPDIR) first.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("image", nargs="?", type=Path, metavar="IMAGE", help="file or block device")
    add_judgement(parser)
    parser.add_argument(
        "--as-is", action="store_true", help="judge the file as if it were uploaded unchanged, without gallery-operator"
    )
    parser.add_argument(
        "--replication-mode", choices=["Full", "Shallow"], default="Full", help="of the image version: limits the size"
    )
    parser.add_argument("--all", action="store_true", help="also show what passed or does not apply")
    parser.add_argument("--explain", metavar="ID", help="say what a check is for, and how to mend it")
    parser.add_argument("-o", "--output", choices=list(OUTPUTS), default="table", help="default: table")
    parser.add_argument(
        "--color", choices=["auto", "always", "never"], default="auto", help="default: on a terminal, unless $NO_COLOR"
    )
    return parser


def add_judgement(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a disk shall be and how findings are judged."""
    parser.add_argument("--os-state", choices=["Generalized", "Specialized"], default="Generalized")
    parser.add_argument("--generation", choices=["V1", "V2"], default="V2", help="V1: BIOS, V2: UEFI (default)")
    parser.add_argument("--architecture", choices=["x64", "Arm64"], default="x64")
    parser.add_argument("--disk-role", choices=["os", "data"], default="os")
    parser.add_argument(
        "--level", choices=["Default", "Strict"], default="Default", help="Strict: as marketplace certification"
    )
    parser.add_argument("--ignore", action="append", default=[], metavar="ID", help="do not heed a check (repeatable)")
    parser.add_argument("--on-unknown", choices=["Block", "Allow"], default="Block", help="decides the exit code 3")
    parser.add_argument(
        "--feature",
        action="append",
        default=[],
        type=_feature,
        metavar="NAME=VALUE",
        help="what the image definition claims, for example DiskControllerTypes=SCSI,NVMe (repeatable)",
    )


def judgement(options: argparse.Namespace) -> tuple[GuestProfile, PrerequisitesConfig]:
    """Read the options of ``add_judgement``.

    Raises:
        ValueError: There is no such check as one of ``--ignore``.
    """
    for each in options.ignore:
        if find(each) is None:
            raise ValueError(_no_such_check(each))
    profile = GuestProfile(
        os_state=options.os_state,
        hyper_v_generation=options.generation,
        architecture=options.architecture,
        disk_role=options.disk_role,
        features=dict(options.feature),
    )
    return profile, PrerequisitesConfig(
        level=options.level, on_unknown=options.on_unknown, ignore=tuple(options.ignore)
    )


def _check(options: argparse.Namespace, profile: GuestProfile, config: PrerequisitesConfig) -> int:
    style = style_of(sys.stdout, options.color)
    row = find(options.explain) if options.explain else None
    if row is not None and options.image is None:
        sys.stdout.write(render.explanation(row, style))
        return CheckExit.OK
    try:
        with open_image_file(options.image, as_is=options.as_is, progress=_progress(sys.stderr)) as image:
            container = replace(image.container, replication_mode=options.replication_mode)
            report = check_disk(image.disk, profile, config, container)
    except ImageFileError as error:
        return _complain(str(error))
    name = str(options.image)
    if row is not None:
        report = _only(report, row.id)
    document = reports.whole(report, name, container, profile, config)
    if options.output == "table":
        everything = options.all or row is not None
        text = render.explanation(row, style) + "\n" if row is not None else ""
        text += render.table(document, style, everything=everything, hint="" if everything else _HINT)
    else:
        text = _for_programs(options.output, report, name, document)
    sys.stdout.write(text)
    return exit_code(report, config)


def _for_programs(kind: str, report: CheckReport, name: str, document: ChecksDocument) -> str:
    if kind == "sarif":
        return render.as_json(output.sarif(report, name))
    if kind == "junit":
        return output.junit(report, name)
    content = document.model_dump(mode="json", by_alias=True)
    return render.as_json(content) if kind == "json" else render.as_yaml(content)


def exit_code(report: CheckReport, config: PrerequisitesConfig) -> CheckExit:
    """The exit code that a report means."""
    if report.verdict == "failed":
        return CheckExit.FINDINGS
    if report.verdict == "unknown" and config.on_unknown == "Block":
        return CheckExit.UNKNOWN
    return CheckExit.OK


def _only(report: CheckReport, check_id: str) -> CheckReport:
    kept = tuple(each for each in report.results if each.id == check_id)
    return CheckReport(kept, report.distribution, report.architecture, report.notes)


def _feature(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, for example SecurityType=TrustedLaunch")
    return name, value


def style_of(stream: TextIO, colour: str = "auto") -> render.Style:
    """Return width and colours for a stream; colour as ``--color`` says it."""
    terminal = stream.isatty()
    width = max(60, min(120, shutil.get_terminal_size((100, 24)).columns)) if terminal else 100
    # https://no-color.org: any value that is not empty
    wanted = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    if colour != "auto":
        wanted = colour == "always"
    return render.Style(width, wanted)


def _progress(stream: TextIO) -> Callable[[str], None]:
    """One line that is written over; only where somebody sees it."""
    if not stream.isatty():
        return lambda _: None

    def show(text: str) -> None:
        stream.write(f"\r\033[K{text}")
        stream.flush()

    return show


def _no_such_check(check_id: str) -> str:
    close = difflib.get_close_matches(check_id.upper(), [row.id for row in rows()], n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"there is no check {check_id}{hint} (see: gallery-operator checks list)"


def _complain(message: str) -> CheckExit:
    sys.stderr.write(f"gallery-operator check: {message}\n")
    return CheckExit.USAGE
