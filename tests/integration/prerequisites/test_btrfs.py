"""Btrfs as distributions lay it out, written by the kernel, and read by the kernel as the second witness."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.prerequisites.filesystems import MIB, disk_with, need, run
from tests.integration.prerequisites.test_filesystems import assert_same, guest_on

from gallery_operator.prerequisites.readers import btrfs_extents
from gallery_operator.prerequisites.readers.base import UnreadableError

SIZE = 256 * MIB


@contextmanager
def mounted(image: Path, point: Path, options: str = "") -> Iterator[Path]:
    """The file system mounted by the kernel: as root, and where loop devices may be used."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    point.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-o", f"loop{options}", image, point], capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"this machine mounts no Btrfs: {done.stderr.strip()}")
    try:
        yield point
    finally:
        run("umount", point)


def fill_root(folder: Path, name: str) -> None:
    for each in ("etc", "usr/lib", "var", "home"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    (folder / "etc/os-release").write_text(f'ID={name}\nVERSION_ID="15.6"\n')
    (folder / "etc/absolute").symlink_to("/etc/os-release")
    (folder / "etc/secret").write_text("x")
    (folder / "etc/secret").chmod(0o4600)
    os.chown(folder / "etc/secret", 1234, 567)


def image_of(tmp_path: Path) -> Path:
    need("mkfs.btrfs", "btrfs", "mount")
    image = tmp_path / "fs"
    with image.open("wb") as file:
        file.truncate(SIZE)
    run("mkfs.btrfs", "-q", image)
    return image


def subvolume(path: Path) -> Path:
    run("btrfs", "subvolume", "create", path)
    return path


def make_default(top: Path, path: Path) -> None:
    run("btrfs", "subvolume", "set-default", path)
    assert top in path.parents


def test_every_compression_reads_as_the_kernel_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = image_of(tmp_path)
    point = tmp_path / "mount"
    text = "".join(f"{number}\n" for number in range(90_000))
    with mounted(image, point) as top:
        fill_root(top, "debian")
    for method in ("zlib", "lzo", "zstd"):
        with mounted(image, point, f",compress-force={method}") as top:
            folder = top / method
            folder.mkdir()
            (folder / "text").write_text(text)
            (folder / "inline").write_text("a" * 1500)
            (folder / "noise").write_bytes(os.urandom(300_001))
            with (folder / "holes").open("wb") as file:
                file.truncate(3 * MIB + 5)
                file.seek(MIB)
                file.write(text.encode())
            # Overwritten in the middle: extents are used in part
            with (folder / "text").open("r+b") as file:
                file.seek(200_000)
                file.write(b"-" * 70_000)
            os.sync()
    with mounted(image, point) as top:
        (top / "plain").write_text(text)
        run("fallocate", "-l", "1M", top / "preallocated")
        for number in range(3000):
            (top / f"usr/lib/{number}-{'n' * (number % 200)}").write_text(str(number))
    disk_with(image, tmp_path / "disk")
    seen: Counter[int] = Counter()
    unpack = btrfs_extents.unpack

    def counting(raw: bytes, extent: btrfs_extents.Extent, sector_bytes: int) -> bytes:
        seen[extent.compression] += 1
        return unpack(raw, extent, sector_bytes)

    monkeypatch.setattr(btrfs_extents, "unpack", counting)
    with mounted(image, point, ",ro") as top, guest_on(tmp_path / "disk") as guest:
        assert_same(guest.tree, top)
        assert guest.tree.stat("/etc/secret").uid == 1234
        assert guest.tree.stat("/etc/secret").gid == 567
    assert set(seen) == {0, 1, 2, 3}


def test_the_default_subvolume_of_opensuse_is_the_root(tmp_path: Path) -> None:
    """SLES and openSUSE after a rollback: snapshot 7 is the default, /var and /home are subvolumes beside it."""
    image, point = image_of(tmp_path), tmp_path / "mount"
    with mounted(image, point) as top:
        subvolume(top / "@")
        subvolume(top / "@/var")
        (top / "@/var/marker").write_text("var")
        (top / "@/home").mkdir()
        subvolume(top / "@/.snapshots")
        for number in (1, 7):
            (top / f"@/.snapshots/{number}").mkdir()
            fill_root(subvolume(top / f"@/.snapshots/{number}/snapshot"), f"root{number}")
        root = top / "@/.snapshots/7/snapshot"
        uuid = run("blkid", "-o", "value", "-s", "UUID", image).strip()
        (root / "etc/fstab").write_text(
            f"UUID={uuid} / btrfs defaults 0 0\nUUID={uuid} /var btrfs subvol=/@/var 0 0\n"
            f"UUID={uuid} /gone btrfs subvol=/@/gone 0 0\n"
        )
        make_default(top, root)
    disk_with(image, tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest:
        assert guest.os_release.id == "root7"
        assert guest.tree.text("/var/marker") == "var"
        # An absolute link means the root, not the top level.
        assert guest.tree.text("/etc/absolute").startswith("ID=root7")
        with pytest.raises(UnreadableError, match="no subvolume"):
            guest.tree.names("/gone")
        assert guest.notes == ("/gone: Btrfs has no subvolume /@/gone",)
    with mounted(image, point, ",ro") as seen, guest_on(tmp_path / "disk") as guest:
        assert (seen / "etc/os-release").read_text() == guest.tree.text("/etc/os-release")


def test_fstab_of_ubuntu_names_the_subvolume(tmp_path: Path) -> None:
    """The top level is the default; @ is the root; a snapshot looks like a root, too; /usr by its number."""
    image, point = image_of(tmp_path), tmp_path / "mount"
    with mounted(image, point) as top:
        fill_root(subvolume(top / "before-upgrade"), "old")
        fill_root(subvolume(top / "os"), "new")
        subvolume(top / "system")
        (top / "system/marker").write_text("usr")
        number = run("btrfs", "inspect-internal", "rootid", top / "system").strip()
        label = "LABEL=linux"
        (top / "os/etc/fstab").write_text(
            f"{label} / btrfs subvol=os\n{label} /usr btrfs ro,subvolid={number}\n{label} /mnt btrfs subvolid=5\n"
        )
        shutil.copy(top / "os/etc/fstab", top / "before-upgrade/etc/fstab")
        run("btrfs", "filesystem", "label", top, "linux")
        run("btrfs", "subvolume", "snapshot", top / "os", top / "snapshot")
        subvolume(top / "os/nested")
        (top / "os/nested/file").write_text("nested")
        run("btrfs", "subvolume", "snapshot", top / "os", top / "later")
    disk_with(image, tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest:
        assert guest.os_release.id == "new"
        assert guest.tree.text("/usr/marker") == "usr"
        assert guest.tree.text("/mnt/system/marker") == "usr"
        assert guest.tree.text("/nested/file") == "nested"
        # In a snapshot, a nested subvolume is an empty directory.
        assert guest.tree.names("/mnt/later/nested") == []


def test_two_devices_are_named(tmp_path: Path) -> None:
    need("mkfs.btrfs")
    images = [tmp_path / "fs", tmp_path / "other"]
    for image in images:
        with image.open("wb") as file:
            file.truncate(SIZE)
    if os.geteuid() == 0:
        run("mkfs.btrfs", "-q", "-d", "raid0", *images)
    else:
        pytest.skip("mkfs.btrfs over two files needs root")
    disk_with(images[0], tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest, pytest.raises(UnreadableError, match="Btrfs over 2 devices"):
        guest.tree.exists("/etc")
