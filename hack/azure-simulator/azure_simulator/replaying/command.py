"""Command line of the replay."""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .explained import explain
from .formats import FORMATS, RecordingError, read
from .interaction import Difference, Interaction
from .player import Replay, subscriptions_of
from .stage import Stage

__all__ = ["main", "play"]


def play(recording: list[Interaction]) -> tuple[list[Difference], dict[int, str]]:
    """Play a recording against a simulator of its own.

    Returns:
        every difference, and why interactions were not played by their number.
    """
    with Stage(subscriptions_of(recording)) as stage:
        replay = Replay(stage)
        return replay.play(recording), replay.skipped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0: as recorded, 1: differences without a reason, 2: a file cannot be read."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    worst = 0
    for path in options.files:
        try:
            recording = read(path, options.format)
        except RecordingError as error:
            print(f"error: {error}", file=sys.stderr)
            worst = 2
            continue
        found, skipped = play(recording)
        unexplained = _report(path, recording, found, skipped, explain_known=options.explain)
        if unexplained:
            worst = max(worst, 1)
    return worst


def _report(
    path: Path,
    recording: list[Interaction],
    found: list[Difference],
    skipped: dict[int, str],
    *,
    explain_known: bool,
) -> int:
    """Print what one recording showed and return the number of differences without a reason."""
    known = [(row, reason) for row in found if (reason := explain(row))]
    unexplained = [row for row in found if explain(row) is None]
    played = len(recording) - len(skipped)
    print(f"{path.name}: {played} of {len(recording)} interactions played, {len(unexplained)} differences", end="")
    print(f", {len(known)} known" if known else "")
    last = None
    for row in unexplained:
        if row.n != last:
            print(f"  #{row.n} {row.request}")
            last = row.n
        print(f"     {row.where}: recorded {row.recorded!r}, simulated {row.simulated!r}")
    if explain_known:
        for row, reason in known:
            print(f"  known: {row}\n     {reason}")
        for reason, number in Counter(skipped.values()).most_common():
            print(f"  not played: {number} x {reason}")
    return len(unexplained)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="replay",
        description="Plays recorded traffic of Azure against the simulator, which it starts itself, and prints every "
        "difference in status, headers that matter and body. What is not simulated (networks, machines, key vaults, "
        "other services) is not played; its resources are taken over as recorded.",
        epilog="Exit status: 0 no difference without a known reason, 1 differences, 2 a file is no recording.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a recording")
    parser.add_argument(
        "--format",
        choices=["auto", *FORMATS],
        default="auto",
        help="jsonl: one interaction a line; cassette: VCR's YAML, as azure-cli records; session: session records of "
        "Azure's SDKs for Java and .NET (default: told by the content)",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print known differences with their reasons, too, and what was not played",
    )
    return parser
