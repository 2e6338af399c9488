"""What is not read is called by its name: made by its own tools where they are installed."""

import subprocess
from pathlib import Path

import pytest
from tests.integration.prerequisites.filesystems import MIB, copy_sparse, disk_with, empty, make_file_system, need, run
from tests.integration.prerequisites.test_filesystems import guest_on

from gallery_operator.prerequisites.readers.base import UnreadableError


def make_luks(image: Path) -> None:
    need("cryptsetup")
    run("cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
        image, "-", input="secret")  # fmt: skip


def make_f2fs(image: Path) -> None:
    need("mkfs.f2fs")
    run("mkfs.f2fs", "-q", image)


def make_squashfs(image: Path) -> None:
    need("mksquashfs")
    folder = image.with_suffix(".folder")
    (folder / "etc").mkdir(parents=True)
    run("mksquashfs", folder, image, "-noappend", "-quiet")


def make_ntfs(image: Path) -> None:
    need("mkfs.ntfs")
    run("mkfs.ntfs", "-q", "-F", image)


def make_erofs(image: Path) -> None:
    need("mkfs.erofs")
    run("mkfs.erofs", image, image.parent)


def make_swap(image: Path) -> None:
    need("mkswap")
    run("mkswap", image)


MAKERS = {
    "luks": make_luks,
    "f2fs": make_f2fs,
    "squashfs": make_squashfs,
    "ntfs": make_ntfs,
    "erofs": make_erofs,
    "swap": make_swap,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_made_by_its_own_tool_it_is_named(kind: str, tmp_path: Path) -> None:
    image = empty(tmp_path / "fs", 128 * MIB)
    MAKERS[kind](image)
    if image.stat().st_size < 4 * MIB:
        with image.open("r+b") as file:
            file.truncate(4 * MIB)
    disk_with(image, tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest:
        assert guest.layout.volumes[0].probe.type == kind
        with pytest.raises(UnreadableError) as caught:
            guest.tree.exists("/etc")
        assert kind == "swap" or kind in str(caught.value)


@pytest.mark.parametrize("version", ["0.90", "1.0", "1.1", "1.2"])
def test_a_member_of_an_md_array_is_named(version: str, tmp_path: Path) -> None:
    """The superblocks as md(4) lays them out; mdadm itself needs block devices."""
    size = 64 * MIB
    image = empty(tmp_path / "fs", size)
    offset = {"0.90": (size & ~0xFFFF) - 65536, "1.0": (size & ~0xFFF) - 8192, "1.1": 0, "1.2": 4096}[version]
    with image.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xfc\x4e\x2b\xa9" + (0 if version == "0.90" else 1).to_bytes(4, "little"))
    disk_with(image, tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest:
        assert guest.layout.volumes[0].probe.type == "mdraid"
        with pytest.raises(UnreadableError, match="mdraid is recognised, but not read"):
            guest.tree.exists("/etc")


@pytest.mark.parametrize("devices", [1, 2])
def test_a_group_made_by_lvm_itself(devices: int, tmp_path: Path) -> None:
    """Metadata as lvm writes it (its device-mapper is not asked): one disk is read, a group over two is named."""
    need("lvm", "losetup")
    make_file_system("ext4", root_folder(tmp_path), tmp_path / "root", 32 * MIB)
    images = [empty(tmp_path / f"pv{number}", 64 * MIB) for number in range(devices)]
    loops: list[str] = []
    try:
        for image in images:
            done = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"no loop device here: {done.stderr.strip()}")
            loops.append(done.stdout.strip())
        accept = ",".join(f'"a|^{each}$|"' for each in loops)
        config = f'devices {{ filter=[{accept},"r|.*|"] use_devicesfile=0 }} backup {{ backup=0 archive=0 }}'
        driver = ("--driverloaded", "n", "--config", config)
        run("lvm", "pvcreate", *driver, "--dataalignment", "1m", *loops)
        run("lvm", "vgcreate", *driver, "vg", *loops)
        run("lvm", "lvcreate", *driver, "--activate", "n", "--zero", "n", "--wipesignatures", "n", "--size", "32m",
            "--name", "root", "vg", loops[0])  # fmt: skip
    finally:
        for each in loops:
            run("losetup", "--detach", each)
    copy_sparse(tmp_path / "root", images[0], MIB)
    disk_with(images[0], tmp_path / "disk")
    with guest_on(tmp_path / "disk") as guest:
        if devices == 1:
            assert guest.mounted.volume.mapper == "vg-root"
            assert guest.os_release.id == "debian"
        else:
            with pytest.raises(UnreadableError, match="spread over 2 physical volumes"):
                guest.tree.exists("/etc")


def root_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "etc").mkdir(parents=True)
    (folder / "usr").mkdir()
    (folder / "etc/os-release").write_text("ID=debian\n")
    return folder
