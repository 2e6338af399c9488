"""Trees laid out as Flatcar documents them: an empty root, and /usr on the one of two partitions that is active."""

from pathlib import Path

import pytest
from tests.integration.prerequisites.filesystems import MIB, copy_sparse, empty, make_file_system, run
from tests.integration.prerequisites.test_filesystems import guest_on

from gallery_operator.prerequisites.readers.base import UnreadableError

USR = "5DFBF5F4-2848-4BAC-AA5E-0D9A20B745A6"
TABLE = (
    "label: gpt\n"
    "start=1MiB, size=64MiB, type=U, name=EFI-SYSTEM\n"
    "start=66MiB, size=2MiB, type=21686148-6449-6E6F-744E-656564454649, name=BIOS-BOOT\n"
    f'start=70MiB, size=128MiB, type={USR}, name=USR-A, attrs="{{a}}"\n'
    f'start=200MiB, size=128MiB, type={USR}, name=USR-B, attrs="{{b}}"\n'
    "start=440MiB, size=128MiB, name=OEM\n"
    "start=570MiB, size=64MiB, name=OEM-CONFIG\n"
    "start=640MiB, size=128MiB, type=3884DD41-8582-4404-B9A8-E9B84F2DF50E, name=ROOT\n"
)
# Attributes of flatcar/scripts' disk_util for a fresh image: priority 1, started with success; and none.
FRESH = "GUID:48,56"
NONE = ""


def flatcar(tmp_path: Path, kind: str = "btrfs", a: str = FRESH, b: str = NONE, *, broken: str = "") -> Path:
    """A disk as flatcar/scripts' disk_layout.json says; both /usr say which they are; USR-B only where it is used."""
    disk = empty(tmp_path / "disk", 770 * MIB)
    run("sfdisk", "--quiet", disk, input=TABLE.format(a=a, b=b))
    usr = {"lib/os-release": 'ID=flatcar\nVERSION_ID="{}"\n', "bin/true": "", "share/x": ""}
    parts: list[tuple[str, dict[str, str], str, int, int]] = [
        ("esp", {"flatcar/first_boot": "", "EFI/boot/x": ""}, "vfat", 64, 1),
        ("oem", {"oem-release": "ID=azure\n"}, kind, 128, 440),
        ("root", {}, "ext4", 128, 640),
    ]
    for name, start, used in (("USR-A", 70, True), ("USR-B", 200, b)):
        if used and name != broken:
            parts.append((name, {each: text.format(name) for each, text in usr.items()}, kind, 128, start))
    for name, files, file_system, mebibytes, start in parts:
        folder = tmp_path / name
        folder.mkdir()
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        make_file_system(file_system, folder, tmp_path / f"{name}.img", mebibytes * MIB)
        copy_sparse(tmp_path / f"{name}.img", disk, start * MIB)
    return disk


@pytest.mark.parametrize("kind", ["btrfs", "ext4"])
def test_tree_laid_out_as_flatcar_documents_it(kind: str, tmp_path: Path) -> None:
    """An empty root, /usr on USR-A, the ESP on /boot, the OEM partition."""
    with guest_on(flatcar(tmp_path, kind)) as guest:
        assert guest.mounted.volume.partition is not None
        assert guest.mounted.volume.partition.name == "ROOT"
        assert guest.os_release.id == "flatcar"
        assert guest.os_release.version == "USR-A"
        assert guest.tree.text("/oem/oem-release") == "ID=azure\n"
        assert guest.tree.is_file("/boot/flatcar/first_boot")
        assert guest.notes == ()


@pytest.mark.parametrize(
    ("a", "b", "active"),
    [
        # After an update: B has the higher priority and may be tried once
        ("GUID:48,56", "GUID:49,52", "USR-B"),
        # The try was used up without success: A again
        ("GUID:48,56", "GUID:49", "USR-A"),
        # B was started with success
        ("GUID:48,56", "GUID:49,56", "USR-B"),
        # A has the higher priority of two good ones
        ("GUID:48,49,56", "GUID:48,56", "USR-A"),
        # No attribute at all, as a table that was copied by a tool that knows none
        (NONE, "GUID:63", "USR-A"),
    ],
)
def test_the_partition_that_grub_starts_is_usr(a: str, b: str, active: str, tmp_path: Path) -> None:
    with guest_on(flatcar(tmp_path, "ext4", a, b)) as guest:
        assert guest.os_release.version == active


def test_an_active_partition_that_cannot_be_read_is_not_replaced_by_the_other(tmp_path: Path) -> None:
    with guest_on(flatcar(tmp_path, "ext4", "GUID:48,56", "GUID:49,56", broken="USR-B")) as guest:
        with pytest.raises(UnreadableError, match="partition 4: no file system"):
            guest.tree.exists("/usr/lib/os-release")
        assert guest.notes == ("/usr: partition 4: no file system is recognised",)
