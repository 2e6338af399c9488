"""The catalogue: complete, described, cheap to import."""

import subprocess
import sys
from pathlib import Path

import pytest

from gallery_operator.prerequisites.catalogue import find, remedy_of, rows
from gallery_operator.prerequisites.model import EE, passed
from gallery_operator.prerequisites.registry import DuplicateRowError, check

ROOT = Path(__file__).resolve().parents[3]

COUNTS = {"VHD": 15, "PRT": 19, "KRN": 30, "CMD": 14, "FST": 7, "NET": 16, "SSH": 7, "AGT": 20, "CLD": 19, "DPR": 20,
          "TIM": 5, "REP": 8, "DST": 3, "SEC": 3, "FLC": 6, "DEF": 2}  # fmt: skip


def test_the_rows_are_there() -> None:
    wanted = [f"{topic}{number:03}" for topic, count in COUNTS.items() for number in range(1, count + 1)]
    assert [row.id for row in rows()] == wanted
    assert len(wanted) == 194


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.id)
def test_a_row_is_described(row: object) -> None:
    assert row.title  # type: ignore[attr-defined]
    assert not row.title.endswith(".")  # type: ignore[attr-defined]
    for text in (row.why, row.source, row.remedy()):  # type: ignore[attr-defined]
        assert len(text) > 7


def test_the_page_of_the_checks_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "hack/generate_checks.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs/checks.md").read_text()
    for row in rows():
        assert f"### {row.id}: {row.title}" in page


def test_importing_the_catalogue_loads_no_reader() -> None:
    program = (
        "import sys; from gallery_operator.prerequisites.catalogue import remedy_of; assert remedy_of('KRN002');"
        "bad = [m for m in sys.modules if m.startswith(('pyfs', 'pyvs', 'zstandard', 'yaml'))]; assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(ROOT / "operator")})


def test_remedies() -> None:
    assert "update-initramfs" in remedy_of("krn002", "debian 12")
    assert "dracut" in remedy_of("KRN002", "rocky 9.4")
    assert remedy_of("KRN002") == remedy_of("KRN002", "gentoo")
    assert remedy_of("NOPE") == ""
    assert find(" vhd001 ") is not None


def test_an_id_is_taken_once() -> None:
    for check_id in ("VHD001", "XYZ001"):
        with pytest.raises(DuplicateRowError):
            check(check_id, "x", levels=EE, source="x")(lambda _: passed())
