"""Small disks in every format, made with qemu-img and the tools themselves."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import random
import struct
import subprocess
from pathlib import Path

import zstandard

MIB = 1024 * 1024

COMPRESSORS = {
    "gzip": (".gz", gzip.compress),
    "xz": (".xz", lzma.compress),
    "zstd": (".zst", lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data)),
    "bzip2": (".bz2", bz2.compress),
}

QEMU_OPTIONS = {
    "qcow2": ["-O", "qcow2"],
    "qcow2-v2": ["-O", "qcow2", "-o", "compat=0.10"],
    "qcow2-compressed": ["-c", "-O", "qcow2", "-o", "compression_type=zstd"],
    "vhd": ["-O", "vpc", "-o", "subformat=fixed,force_size"],
    "vhd-dynamic": ["-O", "vpc", "-o", "subformat=dynamic,force_size"],
    "vhdx": ["-O", "vhdx"],
    "vmdk": ["-O", "vmdk", "-o", "subformat=monolithicSparse"],
    "vmdk-stream": ["-O", "vmdk", "-o", "subformat=streamOptimized"],
}


def disk_bytes(size: int = 9 * MIB, seed: int = 1) -> bytes:
    """A disk with an MBR signature, random data here and there, and zeros between."""
    chance = random.Random(seed)
    disk = bytearray(size)
    disk[0:440] = chance.randbytes(440)
    disk[446:462] = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x83, b"\0\0\0", 2048, size // 512 - 2048)
    disk[510:512] = b"\x55\xaa"
    for _ in range(6):
        start = chance.randrange(1024, size - 70_000)
        length = chance.choice((512, 4096, 65_536))
        disk[start : start + length] = chance.randbytes(length)
    disk[-100:] = chance.randbytes(100)
    return bytes(disk)


def write_disk(path: Path, data: bytes | None = None) -> bytes:
    """Write a raw disk and return its bytes."""
    data = disk_bytes() if data is None else data
    path.write_bytes(data)
    return data


def convert(raw: Path, kind: str, target: Path) -> Path:
    """Convert a raw disk with qemu-img."""
    subprocess.run(["qemu-img", "convert", "-f", "raw", *QEMU_OPTIONS[kind], str(raw), str(target)], check=True)
    return target


def digest(path: Path) -> str:
    """SHA-256 of a file in the form the configuration wants."""
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def fixed_vhd(data: bytes) -> bytes:
    """The fixed VHD that must come out, made by an independent reading of the specification."""
    size = -(-len(data) // MIB) * MIB
    padded = data + bytes(size - len(data))
    from gallery_operator.worker.formats.vhd import build_footer

    return padded + build_footer(size, hashlib.sha256(padded).digest())
