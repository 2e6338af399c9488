"""What a report says, how rows are chosen, and that nothing makes the checker raise."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.prerequisites.machine import Machine, MemoryDisk, vhd_footer

from gallery_operator.contract import GuestProfile, PrerequisitesConfig
from gallery_operator.prerequisites.checker import check_disk
from gallery_operator.prerequisites.container import MIB, ContainerFacts, parse_footer, recognise
from gallery_operator.prerequisites.model import (
    EE,
    WW,
    CheckReport,
    CheckResult,
    Severity,
    Status,
    failed,
    gravest,
    unknown,
)


def result(status: Status, severity: Severity = Severity.ERROR, check_id: str = "X") -> CheckResult:
    return CheckResult(check_id, "t", status, severity, "m", "r", "s")


@pytest.mark.parametrize(
    ("results", "verdict"),
    [
        ([], "ok"),
        ([result(Status.PASS), result(Status.WARN, Severity.WARNING)], "ok"),
        ([result(Status.UNKNOWN, Severity.WARNING)], "ok"),
        ([result(Status.UNKNOWN)], "unknown"),
        ([result(Status.UNKNOWN), result(Status.FAIL)], "failed"),
        ([result(Status.IGNORED)], "ok"),
    ],
)
def test_verdict(results: list[CheckResult], verdict: str) -> None:
    assert CheckReport(tuple(results)).verdict == verdict


def test_summary_has_the_gravest_first() -> None:
    report = CheckReport(
        (
            result(Status.INFO, Severity.INFO, "I"),
            result(Status.PASS),
            result(Status.WARN, Severity.WARNING, "W"),
            result(Status.UNKNOWN, Severity.ERROR, "U"),
            result(Status.FAIL, Severity.ERROR, "F"),
            result(Status.IGNORED),
            result(Status.NOT_APPLICABLE),
        )
    )
    summary = report.summary()
    assert [(each.id, each.severity) for each in summary.findings] == [
        ("F", "error"), ("U", "unknown"), ("W", "warning"), ("I", "info"),
    ]  # fmt: skip
    assert (summary.passed, summary.failures, summary.warnings, summary.unknown, summary.ignored) == (1, 1, 1, 1, 1)


def test_the_gravest_of_several() -> None:
    outcome = gravest([failed("small", WW), unknown("?"), failed("large", EE)], WW)
    assert (outcome.message, outcome.levels) == ("large; small", EE)
    assert gravest([unknown("?")], WW).message == "?"


def test_ignored_rows_do_not_count(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.remove("/usr/sbin/sshd")
    assert machine.check().verdict == "failed"
    report = machine.check(ignore=("ssh001",))
    assert report.verdict == "ok"
    assert [each.id for each in report.results if each.status is Status.IGNORED] == ["SSH001"]


def test_a_data_disk_gets_the_container_rows_only() -> None:
    disk = MemoryDisk(64 * MIB)
    profile = GuestProfile(disk_role="data")
    report = check_disk(disk, profile, PrerequisitesConfig(), ContainerFacts("raw", disk.size))
    judged = {each.id for each in report.results if each.status is not Status.NOT_APPLICABLE}
    assert judged
    assert {each[:3] for each in judged} == {"VHD"}
    assert report.verdict == "ok"


def test_an_empty_disk_fails_without_a_crash() -> None:
    report = check_disk(MemoryDisk(64 * MIB), GuestProfile(), PrerequisitesConfig(), None)
    assert report.verdict == "failed"
    assert report.distribution is None
    statuses = {each.id: each.status for each in report.results}
    assert statuses["PRT001"] is Status.FAIL
    assert statuses["KRN002"] is statuses["DPR005"] is Status.UNKNOWN
    assert statuses["VHD001"] is Status.NOT_APPLICABLE


def test_text_of_the_image_carries_no_control_characters(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nevil\033[2J\u202e:x:1000:1::/home/evil:/bin/sh\n")
    message = machine.result("DPR006").message
    assert "evil" in message
    assert message.isprintable()


def test_a_check_that_breaks_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path)

    def broken(*_: Any) -> None:
        raise RecursionError

    monkeypatch.setattr("gallery_operator.prerequisites.guest.read_users", broken)
    found = machine.result("DPR005")
    assert (found.status, found.message) == (
        Status.UNKNOWN,
        "could not be decided: RecursionError while reading the disk",
    )


def test_flatcar_fills_etc_at_boot(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.write("/usr/lib/os-release", "ID=flatcar\nVERSION_ID=4000.0.0\n")
    machine.remove("/usr/sbin/sshd")
    assert machine.result("SSH001").status is Status.NOT_APPLICABLE
    assert machine.result("KRN002").status is Status.NOT_APPLICABLE, "its initramfs is part of the kernel"
    assert machine.result("KRN005").status is Status.PASS


def test_remedies_are_those_of_the_distribution(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.remove("/usr/sbin/sshd")
    assert "apt-get" in machine.result("SSH001").remedy
    machine.write("/usr/lib/os-release", "ID=rocky\n")
    assert "dnf" in machine.result("SSH001").remedy
    machine.remove("/usr/lib/os-release")
    assert "systemctl enable sshd" in machine.result("SSH001").remedy


@pytest.mark.parametrize(
    ("head", "tail", "name"),
    [
        (b"QFI\xfb", b"", "qcow2"),
        (b"vhdxfile", b"", "vhdx"),
        (b"KDMV", b"", "vmdk"),
        (b"\x1f\x8b", b"", "gzip"),
        (b"\xfd7zXZ\0", b"", "xz"),
        (b"\x28\xb5\x2f\xfd", b"", "zstd"),
        (b"BZh9", b"", "bzip2"),
        (b"conectix", b"", "vhd"),
        (b"\xeb\x63", vhd_footer(MIB), "vhd"),
        (bytes(32769) + b"CD001", b"", "iso"),
        (b"\xeb\x63", bytes(512), "raw"),
        (b"", b"", "raw"),
    ],
)
def test_formats(head: bytes, tail: bytes, name: str) -> None:
    assert recognise(head, tail) == name


def test_footer() -> None:
    footer = parse_footer(vhd_footer(3 * MIB))
    assert footer is not None
    assert (footer.current_size, footer.disk_type, footer.version) == (3 * MIB, 2, 0x10000)
    assert footer.checksum == footer.computed_checksum
    assert parse_footer(b"conectix") is parse_footer(None) is parse_footer(bytes(512)) is None
