"""The readers against file systems made by their own tools, compared with the folder they were filled from."""

import os
import random
import subprocess
from pathlib import Path

import pytest
from tests.integration.prerequisites.filesystems import MIB, disk_with, lvm_with, make_file_system, need, run

from gallery_operator.contract import GuestProfile
from gallery_operator.prerequisites.disk import FileDisk
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.readers.base import Kind, NotFoundError, UnreadableError
from gallery_operator.prerequisites.readers.layout import open_file_system
from gallery_operator.prerequisites.readers.libyal import LibyalFileSystem
from gallery_operator.prerequisites.readers.region import Region
from gallery_operator.prerequisites.tree import Tree

SIZES = {"ext4": 64 * MIB, "ext2": 64 * MIB, "xfs": 320 * MIB, "btrfs": 128 * MIB, "vfat": 64 * MIB}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with what matters: links of all sorts, modes, a large file, a directory with many names."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("etc", "usr/lib", "usr/bin", "many"):
        (folder / name).mkdir(parents=True)
    (folder / "etc/os-release").write_text("ID=debian\nVERSION_ID=12\n")
    (folder / "etc/passwd").write_text("image")
    (folder / "etc/secret").write_text("x")
    (folder / "etc/secret").chmod(0o600)
    (folder / "usr/bin/tool").write_bytes(random.Random(1).randbytes(3 * MIB + 17))
    (folder / "usr/bin/tool").chmod(0o4755)
    (folder / "usr/lib/empty").write_bytes(b"")
    for number in range(700):
        (folder / f"many/file-with-a-rather-long-name-{number:04}").write_text(str(number))
    links = {"bin": "usr/bin", "absolute": "/etc/passwd", "escape": "../../../../etc/passwd", "loop": "loop"}
    for name, target in {**links, "environ": "/proc/1/environ", "long": "d" * 200}.items():
        (folder / name).symlink_to(target)
    return folder


def guest_on(disk: Path) -> Guest:
    return Guest(FileDisk(disk), GuestProfile())


def assert_same(tree: Tree, folder: Path, *, modes: bool = True, links: bool = True) -> None:
    """Everything below the folder is in the tree with the same bytes, and nothing else."""
    for path, names, files in os.walk(folder):
        inside = "/" + os.path.relpath(path, folder).removeprefix(".")
        expected = [each for each in (*names, *files) if links or not (Path(path) / each).is_symlink()]
        found = [each for each in tree.names(inside) if each != "lost+found"]
        assert sorted(found) == sorted(expected), inside
        for name in expected:
            real, entry = Path(path) / name, f"{inside.rstrip('/')}/{name}"
            facts = tree.stat(entry, follow=False)
            if real.is_symlink():
                assert tree.readlink(entry) == str(real.readlink())
            elif real.is_file():
                assert (facts.kind, facts.size) == (Kind.FILE, real.stat().st_size)
                assert tree.read(entry) == real.read_bytes()
            if modes and not real.is_symlink():
                assert facts.mode == real.stat().st_mode & 0o7777, entry


def assert_links_stay_inside(tree: Tree) -> None:
    assert tree.text("/absolute") == tree.text("/escape") == "image"
    assert tree.real("/bin/tool") == "/usr/bin/tool"
    with pytest.raises(NotFoundError):
        tree.read("/environ")
    with pytest.raises(UnreadableError, match="links"):
        tree.read("/loop")


@pytest.mark.parametrize("kind", ["ext4", "ext2", "xfs", "btrfs"])
def test_a_root_on_a_partition(kind: str, source: Path, tmp_path: Path) -> None:
    make_file_system(kind, source, tmp_path / "fs", SIZES[kind])
    disk_with(tmp_path / "fs", tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest:
        assert guest.table.faults == ()
        assert guest.mounted.file_system.type == ("ext4" if kind == "ext2" else kind)
        # mkfs.xfs -p makes links as it is told, but knows no set-user-ID bit
        assert_same(guest.tree, source, modes=kind != "xfs")
        assert_links_stay_inside(guest.tree)
        assert guest.os_release.name == "debian 12"


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_root_on_a_logical_volume(kind: str, source: Path, tmp_path: Path) -> None:
    make_file_system(kind, source, tmp_path / "fs", SIZES[kind])
    lvm_with(tmp_path / "fs", tmp_path / "pv")
    disk_with(tmp_path / "pv", tmp_path / "disk", "E6D6D379-F507-44C2-A23C-238F2A3DF928")
    with guest_on(tmp_path / "disk") as guest:
        assert guest.mounted.volume.mapper == "vg-root"
        assert_same(guest.tree, source, modes=kind != "xfs")


@pytest.mark.parametrize(("stripes", "kind"), [(2, "striped"), (1, "thin"), (1, "raid1")])
def test_a_volume_that_is_not_linear_is_said_to_be_one(stripes: int, kind: str, source: Path, tmp_path: Path) -> None:
    make_file_system("ext4", source, tmp_path / "fs", SIZES["ext4"])
    lvm_with(tmp_path / "fs", tmp_path / "pv", kind=kind, stripes=stripes)
    disk_with(tmp_path / "pv", tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest, pytest.raises(UnreadableError, match=kind):
        guest.tree.exists("/etc")


def test_a_group_over_two_disks_is_said_to_be_one(source: Path, tmp_path: Path) -> None:
    make_file_system("ext4", source, tmp_path / "fs", SIZES["ext4"])
    lvm_with(tmp_path / "fs", tmp_path / "pv", volumes=2)
    disk_with(tmp_path / "pv", tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest, pytest.raises(UnreadableError, match="LVM"):
        guest.tree.exists("/etc")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_grub_reads_the_same(kind: str, source: Path, tmp_path: Path) -> None:
    """A second witness that needs no privilege: GRUB's own readers, by its program grub-fstest."""
    need("grub-fstest")
    make_file_system(kind, source, tmp_path / "fs", SIZES[kind])
    disk_with(tmp_path / "fs", tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest:
        for path in ("/etc/passwd", "/usr/bin/tool", "/usr/lib/empty", "/many/file-with-a-rather-long-name-0699"):
            done = subprocess.run(
                ["grub-fstest", tmp_path / "disk", "cat", f"(loop0,gpt1){path}"], capture_output=True, check=True
            )
            assert guest.tree.read(path) == done.stdout, path
        listed = run("grub-fstest", tmp_path / "disk", "ls", "(loop0,gpt1)/many/").split()
        assert sorted(each for each in listed if each not in ("./", "../")) == guest.tree.names("/many")


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_large_directory_is_gone_through_once(kind: str, source: Path, tmp_path: Path) -> None:
    """By path, libyal begins anew for every name: a directory of 100,000 names would take hours."""
    make_file_system(kind, source, tmp_path / "fs", SIZES[kind])
    with FileDisk(tmp_path / "fs") as disk:
        opened = LibyalFileSystem(Region.of_disk(disk), kind)
        many = opened.root().child("many")
        assert many is not None

        class NoLookUp:
            def get_file_entry_by_path(self, path: str) -> None:
                raise AssertionError(path)

        opened.volume = NoLookUp()
        for number in range(700):
            node = many.child(f"file-with-a-rather-long-name-{number:04}")
            assert node is not None
            assert node.pread(10, 0) == str(number).encode()
        assert many.child("file-with-a-rather-long-name-0700") is None


def test_fat_knows_no_case(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "esp"
    (folder / "EFI/BOOT").mkdir(parents=True)
    (folder / "EFI/BOOT/BOOTX64.EFI").write_bytes(random.Random(2).randbytes(100_000))
    (folder / "EFI/Long Name of a Distribution").mkdir()
    make_file_system("vfat", folder, tmp_path / "fs", SIZES["vfat"])
    disk_with(tmp_path / "fs", tmp_path / "disk", "U")
    with guest_on(tmp_path / "disk") as guest:
        assert_same(guest.esp.tree, folder, modes=False)
        assert guest.esp.tree.read("/efi/boot/bootx64.efi") == (folder / "EFI/BOOT/BOOTX64.EFI").read_bytes()
        assert guest.esp.loader("x64") is not None
        assert guest.esp.loader("Arm64") is None


def test_boot_on_a_partition_of_its_own(source: Path, tmp_path: Path) -> None:
    """fstab of the root decides what is mounted; a mount that cannot be read makes what is below it unreadable."""
    need("sfdisk")
    boot, root = tmp_path / "boot", tmp_path / "root"
    boot.mkdir()
    (boot / "vmlinuz-1").write_text("kernel")
    for name in ("etc", "usr", "boot", "srv"):
        (root / name).mkdir(parents=True)
    (root / "boot/hidden").write_text("x")
    (root / "etc/fstab").write_text(
        "PARTUUID=11111111-1111-1111-1111-111111111111 / ext4 defaults 0 1\n"
        "PARTLABEL=boot /boot ext4 defaults 0 2\nPARTLABEL=luks /srv ext4 defaults 0 2\n"
    )
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(200 * MIB)
    table = (
        "label: gpt\nstart=1MiB, size=32MiB, name=boot\n"
        "start=40MiB, size=32MiB, uuid=11111111-1111-1111-1111-111111111111\nstart=80MiB, size=8MiB, name=luks\n"
    )
    run("sfdisk", "--quiet", disk, input=table)
    for folder, offset in ((boot, 1), (root, 40)):
        run("mkfs.ext4", "-q", "-F", "-E", f"offset={offset * MIB}", "-d", folder, disk, "32768k")
    with disk.open("r+b") as file:
        file.seek(80 * MIB)
        file.write(b"LUKS\xba\xbe\0\2")
    with guest_on(disk) as guest:
        assert guest.mounted.volume.name == "partition 2"
        assert guest.tree.text("/boot/vmlinuz-1") == "kernel"
        assert not guest.tree.exists("/boot/hidden")
        with pytest.raises(UnreadableError, match="luks"):
            guest.tree.names("/srv")
        assert guest.notes == ("/srv: partition 3: luks is recognised, but not read",)


def test_a_file_system_that_is_not_read_is_named(tmp_path: Path) -> None:
    image = tmp_path / "fs"
    with image.open("wb") as file:
        file.truncate(16 * MIB)
        file.write(b"LUKS\xba\xbe\0\2")
    disk_with(image, tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest:
        with pytest.raises(UnreadableError, match="luks is recognised, but not read"):
            guest.tree.exists("/etc")
        with pytest.raises(UnreadableError):
            open_file_system(guest.layout.volumes[0])
