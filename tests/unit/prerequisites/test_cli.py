"""The command line: output, exit codes, mistakes."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.unit.prerequisites.machine import Machine, vhd_footer

from gallery_operator.prerequisites import cli
from gallery_operator.prerequisites.catalogue import find, rows
from gallery_operator.prerequisites.checker import check_disk
from gallery_operator.prerequisites.cli import check_main, checks_main
from gallery_operator.prerequisites.container import GIB, MIB

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def data_disk(tmp_path: Path) -> Path:
    path = tmp_path / "data.raw"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk with a table and without any file system that could be read."""
    machine = Machine(tmp_path / "machine")
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(2 * GIB)
        for number, data in machine.disk._sectors.items():
            file.seek(number * 512)
            file.write(data)
    return path


def test_ok(data_disk: Path, capsys: Capture) -> None:
    assert check_main(["--disk-role", "data", str(data_disk)]) == 0
    out = capsys.readouterr().out
    assert "raw, 64.0 MiB" in out
    assert out.splitlines()[-1].startswith("ok: ")
    assert "\033" not in out


def test_findings(data_disk: Path, capsys: Capture) -> None:
    assert check_main(["--disk-role", "data", "--as-is", str(data_disk)]) == 1
    out = capsys.readouterr().out
    assert "Errors (2)" in out
    assert "VHD001" in out
    assert "fix: " in out
    assert "Passed" not in out
    assert (
        check_main(["--disk-role", "data", "--as-is", "--ignore", "VHD001", "--ignore", "vhd012", str(data_disk)]) == 0
    )
    assert "Ignored (2)" in capsys.readouterr().out


def test_inconclusive(disk: Path, capsys: Capture) -> None:
    ignored = ["PRT003", "PRT004", "PRT005", "PRT006", "PRT008", "FST001"]
    arguments = [word for each in ignored for word in ("--ignore", each)] + [str(disk)]
    assert check_main(arguments) == 3
    out = capsys.readouterr().out
    assert "note: no root file system was found" in out
    assert "inconclusive: " in out
    assert check_main(["--on-unknown", "Allow", *arguments]) == 0


def test_everything_and_json_agree(disk: Path, capsys: Capture) -> None:
    check_main(["--all", str(disk)])
    text = capsys.readouterr().out
    assert all(row.id in text for row in rows())
    assert check_main(["-o", "json", str(disk)]) == 3
    document = json.loads(capsys.readouterr().out)
    assert [each["id"] for each in document["results"]] == [row.id for row in rows()]
    assert document["verdict"] == "unknown"
    assert sum(document["summary"].values()) == len(rows())
    check_main(["-o", "yaml", str(disk)])
    assert yaml.safe_load(capsys.readouterr().out) == document


def test_a_fixed_vhd_is_read_in_place(data_disk: Path, capsys: Capture) -> None:
    with data_disk.open("ab") as file:
        file.write(vhd_footer(64 * MIB))
    assert check_main(["--disk-role", "data", "--as-is", "-o", "json", str(data_disk)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["container"] == {"format": "vhd", "compression": None, "virtualSize": 64 * MIB}


def test_a_truncated_vhd_is_a_finding_and_no_crash(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "short.vhd"
    path.write_bytes(bytes(MIB) + vhd_footer(64 * MIB))
    assert check_main(["--disk-role", "data", str(path)]) == 1
    assert "VHD006" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ["-O", "qcow2"],
        ["-c", "-O", "qcow2"],
        ["-O", "vhdx"],
        ["-O", "vmdk"],
        ["-O", "vpc", "-o", "subformat=dynamic,force_size"],
    ],
)
def test_an_image_of_any_format_is_read_where_it_lies(
    options: list[str], disk: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "image"
    subprocess.run(["qemu-img", "convert", "-f", "raw", *options, str(disk), str(image)], check=True)

    def statuses() -> dict[str, str]:
        found = json.loads(capsys.readouterr().out)["results"]
        return {each["id"]: each["status"] for each in found if not each["id"].startswith("VHD")}

    check_main(["-o", "json", str(disk)])
    expected = statuses()
    work, left = tmp_path / "work", []
    work.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(work))

    def look(*arguments: object) -> object:
        left.extend(each for each in work.rglob("*") if each.is_file())
        return check_disk(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cli, "check_disk", look)
    assert check_main(["-o", "json", str(image)]) == 3
    assert statuses() == expected
    assert left == [], "something was converted"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name an image"),
        (["/nowhere/disk.raw"], "cannot be opened"),
        (["--ignore", "KRN0002", "x"], "did you mean KRN002"),
        (["--explain", "XYZ"], "there is no check XYZ"),
        (["--generation", "V3", "x"], "invalid choice"),
        (["--feature", "SecurityType", "x"], "is not NAME=VALUE"),
        (["--feature", "=x", "x"], "is not NAME=VALUE"),
        (["--replication-mode", "Deep", "x"], "invalid choice"),
        (["/dev/null"], "neither a regular file nor a block device"),
        (["."], "neither a regular file nor a block device"),
    ],
)
def test_mistakes(arguments: list[str], says: str, capsys: Capture) -> None:
    assert check_main(arguments) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""


def test_explain(data_disk: Path, capsys: Capture) -> None:
    assert check_main(["--explain", "vhd010"]) == 0
    out = capsys.readouterr().out
    assert "a VHD must have 20 MiB" in out.lower() or "20 MiB" in out
    assert "source: " in out
    assert "applies to: OS and data disks" in out
    assert check_main(["--explain", "VHD010", "--disk-role", "data", str(data_disk)]) == 0
    out = capsys.readouterr().out
    assert "source: " in out
    assert "Passed (1)" in out


def test_findings_are_grouped_by_severity_and_topic(disk: Path, capsys: Capture) -> None:
    check_main(["--all", str(disk)])
    lines = capsys.readouterr().out.splitlines()
    severity, topic, seen = "", "", []
    for line in lines:
        if line and not line.startswith(" "):
            severity, topic = line.split(" (")[0], ""
        elif line.startswith("  ") and not line.startswith("   "):
            topic = line.strip()
            seen.append((severity, topic))
        elif line.startswith("    ") and not line.startswith("     "):
            row = find(line.split()[0])
            assert row is not None
            assert row.topic == topic
    assert len(seen) == len(set(seen)), "a topic has one heading in each severity"


def test_a_remedy_stays_in_one_line_to_be_copied(disk: Path, capsys: Capture) -> None:
    check_main(["--as-is", str(disk)])
    found = [line.strip().removeprefix("fix: ") for line in capsys.readouterr().out.splitlines() if "  fix: " in line]
    assert found
    whole = {" ".join(text.split()) for row in rows() for text in row.remedies.values()}
    assert set(found) <= whole
    assert max(map(len, found)) > 80


def test_what_the_definition_claims(disk: Path, data_disk: Path, capsys: Capture) -> None:
    check_main(["-o", "json", "--generation", "V1", "--feature", "SecurityType=TrustedLaunch", str(disk)])
    document = json.loads(capsys.readouterr().out)
    found = {each["id"]: each for each in document["results"]}["DEF002"]
    assert found["status"] in ("warn", "unknown")
    assert document["checkedAgainst"]["features"] == {"SecurityType": "TrustedLaunch"}
    check_main(["--feature", "IsAcceleratedNetworkSupported=True", "--disk-role", "data", str(data_disk)])
    assert "IsAcceleratedNetworkSupported True" in capsys.readouterr().out


@pytest.mark.parametrize(("mode", "code"), [("Full", 1), ("Shallow", 0)])
def test_size_by_replication_mode(mode: str, code: int, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "large.raw"
    with path.open("wb") as file:
        file.truncate(2049 * GIB)
    ignored = ["--ignore", "VHD014", "--disk-role", "data", "--level", "Strict"]
    assert check_main([*ignored, "--replication-mode", mode, str(path)]) == code
    assert ("VHD009" in capsys.readouterr().out) == bool(code)


@pytest.mark.parametrize(("when", "colour"), [("always", True), ("never", False), ("auto", False)])
def test_colour_on_demand(when: str, colour: bool, data_disk: Path, capsys: Capture) -> None:
    check_main(["--color", when, "--disk-role", "data", str(data_disk)])
    assert ("\033[" in capsys.readouterr().out) is colour
    check_main(["--color", when, "-o", "json", "--disk-role", "data", str(data_disk)])
    assert "\033" not in capsys.readouterr().out


def test_help_names_the_exit_codes(capsys: Capture) -> None:
    assert check_main(["--help"]) == 0
    assert "exit codes:" in capsys.readouterr().out


@pytest.mark.parametrize("output", ["table", "json", "yaml", "markdown"])
def test_list(output: str, capsys: Capture) -> None:
    assert checks_main(["list", "-o", output]) == 0
    out = capsys.readouterr().out
    assert all(row.id in out for row in rows())
    if output == "json":
        assert len(json.loads(out)) == len(rows())


def test_list_mistakes(capsys: Capture) -> None:
    assert checks_main([]) == 2
    assert "COMMAND" in capsys.readouterr().err


class Terminal:
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours(environment: dict[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cli.style_of(Terminal()).colour is colour  # type: ignore[arg-type]
