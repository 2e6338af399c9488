"""Disks with real file systems, made by their own tools in files: no mount, no loop device, no privilege."""

import itertools
import shutil
import struct
import subprocess
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

MIB = 1024 * 1024
PARTITION = MIB
TOOLS = {"ext4": "mkfs.ext4", "ext2": "mkfs.ext2", "xfs": "mkfs.xfs", "btrfs": "mkfs.btrfs", "vfat": "mkfs.vfat"}


def run(*command: str | Path, **more: object) -> str:
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=path, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, (command, done.stderr)
    return str(done.stdout)


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            pytest.skip(f"{tool} is not installed")


def make_file_system(kind: str, source: Path, target: Path, size: int, identifier: str = "") -> None:
    """A file system in a file of its own, filled from a folder; ``identifier`` is its UUID, FAT's eight digits."""
    need(TOOLS[kind])
    with target.open("wb") as file:
        file.truncate(size)
    if kind in ("ext4", "ext2"):
        run(TOOLS[kind], "-q", "-F", *(("-U", identifier) if identifier else ()), "-d", source, target)
    elif kind == "btrfs":
        run("mkfs.btrfs", "-q", *(("-U", identifier) if identifier else ()), "--rootdir", source, target)
    elif kind == "xfs":
        uuid = ("-m", f"uuid={identifier}") if identifier else ()
        run("mkfs.xfs", "-q", *uuid, "-p", write_proto(source, target.with_suffix(".proto")), target)
    else:
        need("mcopy")
        run("mkfs.vfat", "-F", "32", *(("-i", identifier) if identifier else ()), target)
        run("mcopy", "-s", "-i", target, *sorted(source.iterdir()), "::/")


def write_proto(source: Path, target: Path) -> Path:
    """A folder as ``mkfs.xfs -p`` wants it described."""
    target.write_text("/\n0 0\nd--755 0 0\n" + _proto(source) + "$\n")
    return target


def _proto(folder: Path) -> str:
    """A folder in the language of mkfs.xfs -p."""
    lines = ""
    for each in sorted(folder.iterdir()):
        if each.is_symlink():
            lines += f"{each.name} l--777 0 0 {each.readlink()}\n"
        elif each.is_dir():
            lines += f"{each.name} d--{each.stat().st_mode & 0o777:o} 0 0\n{_proto(each)}$\n"
        else:
            lines += f"{each.name} ---{each.stat().st_mode & 0o777:o} 0 0 {each}\n"
    return lines


def disk_with(image: Path, target: Path, kind: str = "L") -> None:
    """A GPT disk with one partition at 1 MiB that holds an image; the table is sfdisk's."""
    need("sfdisk")
    size = image.stat().st_size
    with target.open("wb") as file:
        file.truncate(size + 2 * MIB)
    run("sfdisk", "--quiet", target, input=f"label: gpt\nstart=1MiB, size={size // 512}, type={kind}\n")
    copy_sparse(image, target, PARTITION)


def copy_sparse(source: Path, target: Path, offset: int) -> None:
    with source.open("rb") as read, target.open("r+b") as write:
        at = offset
        zeros = bytes(MIB)
        while data := read.read(MIB):
            if data != zeros[: len(data)]:
                write.seek(at)
                write.write(data)
            at += len(data)


def _crc(data: bytes) -> int:
    # LVM2's own start value; no inversion at the end (lib/misc/crc.c)
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def lvm_with(
    image: Path,
    target: Path,
    *,
    volumes: int = 1,
    kind: str = "striped",
    stripes: int = 1,
    more: Mapping[str, Path] | None = None,
    names: tuple[str, str] = ("vg", "root"),
) -> None:
    """A physical volume with a group and its linear volumes, metadata written by hand.

    ``image`` is volume ``root`` of group ``vg`` (or as ``names`` says); ``more`` are further ones.
    Format: LVM2 label, physical volume header and metadata area as in lib/format_text/layout.h of LVM2.
    """
    extent = 4 * MIB
    images = {names[1]: image, **(more or {})}
    counts = {name: -(-each.stat().st_size // extent) for name, each in images.items()}
    starts = dict(zip(counts, itertools.accumulate(counts.values(), initial=0), strict=False))
    count = sum(counts.values())
    size = MIB + count * extent + MIB
    with target.open("wb") as file:
        file.truncate(size)
    pv = "0123456789abcdefghijklmnopqrstuv"

    def dashed(text: str) -> str:
        cuts = (0, 6, 10, 14, 18, 22, 26, 32)
        return "-".join(text[a:b] for a, b in itertools.pairwise(cuts))

    def logical(number: int, name: str) -> str:
        return f"""{name} {{
id = "{dashed(f"{number:02}" + pv[2:])}"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
segment_count = 1
segment1 {{
start_extent = 0
extent_count = {counts[name]}
type = "{kind}"
stripe_count = {stripes}
stripes = [
"pv0", {starts[name]}
]
}}
}}
"""

    second = (
        f'pv1 {{ id = "{dashed(pv[::-1])}" device = "/dev/y" status = ["ALLOCATABLE"] flags = [] '
        f"dev_size = {size // 512} pe_start = 2048 pe_count = {count} }}\n"
        if volumes > 1
        else ""
    )
    text = (
        f"""{names[0]} {{
id = "{dashed(pv[1:] + "w")}"
seqno = 1
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = {extent // 512}
max_lv = 0
max_pv = 0
metadata_copies = 0
physical_volumes {{
pv0 {{
id = "{dashed(pv)}"
device = "/dev/x"
status = ["ALLOCATABLE"]
flags = []
dev_size = {size // 512}
pe_start = 2048
pe_count = {count}
}}
{second}}}
logical_volumes {{
{"".join(logical(number, name) for number, name in enumerate(images))}}}
}}
contents = "Text Format Volume Group"
version = 1
description = ""
creation_host = "test"
creation_time = 1
""".encode()
        + b"\0"
    )
    mda_start, mda_size = 4096, MIB - 4096
    body = struct.pack("<16sIQQ", b" LVM2 x[5A%r0N*>", 1, mda_start, mda_size)
    body += struct.pack("<QQII", 512, len(text), _crc(text), 0)
    body = body.ljust(508, b"\0")
    header = struct.pack("<32sQ", pv.encode(), size)
    header += struct.pack("<QQQQ", MIB, 0, 0, 0) + struct.pack("<QQQQ", mda_start, mda_size, 0, 0)
    label = struct.pack("<I8s", 32, b"LVM2 001") + header
    label = label.ljust(512 - 20, b"\0")
    with target.open("r+b") as file:
        file.seek(512)
        file.write(struct.pack("<8sQI", b"LABELONE", 1, _crc(label)) + label)
        file.seek(mda_start)
        file.write(struct.pack("<I", _crc(body)) + body + text)
    for name, each in images.items():
        copy_sparse(each, target, MIB + starts[name] * extent)


def empty(path: Path, size: int) -> Path:
    """A sparse file of zeros."""
    with path.open("wb") as file:
        file.truncate(size)
    return path
