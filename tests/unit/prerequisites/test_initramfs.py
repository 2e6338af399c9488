"""Archives of the initramfs: every compression, several in a row, damaged and hostile ones."""

import bz2
import gzip
import lzma
import re
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.prerequisites.machine import cpio, modules

from gallery_operator.prerequisites.facts import initramfs, lz4
from gallery_operator.prerequisites.facts.kernel import module_of
from gallery_operator.prerequisites.readers.base import UnreadableError

MAIN = cpio(["init", *modules("hv_vmbus")])
EARLY = cpio(["kernel/x86/microcode/AuthenticAMD.bin"])


def lz4_legacy(data: bytes) -> bytes:
    """Literals and runs only: a small packer that makes valid blocks."""
    packed = b"\x02\x21\x4c\x18"
    for start in range(0, len(data), 8 << 20):
        block = _lz4_block(data[start : start + (8 << 20)])
        packed += len(block).to_bytes(4, "little") + block
    return packed


def _length(count: int) -> bytes:
    return b"" if count < 15 else b"\xff" * ((count - 15) // 255) + bytes([(count - 15) % 255])


def _lz4_block(data: bytes) -> bytes:
    packed, at = b"", 0
    # The last five bytes of a block are literals, says the format.
    for run in re.finditer(rb"(.)\1{7,}", data[:-5], re.DOTALL):
        literals, match = data[at : run.start() + 1], run.end() - run.start() - 1 - 4
        packed += bytes([min(len(literals), 15) << 4 | min(match, 15)]) + _length(len(literals)) + literals
        packed += b"\1\0" + _length(match)
        at = run.end()
    literals = data[at:]
    return packed + bytes([min(len(literals), 15) << 4]) + _length(len(literals)) + literals


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "zstd": zstandard.compress,
    "lz4": lambda data: lz4_legacy(data),
}


def names(data: bytes) -> set[str]:
    return initramfs.names(lambda length, offset: data[offset : offset + length], len(data))


@pytest.mark.parametrize("codec", CODECS)
def test_codecs(codec: str) -> None:
    data = CODECS[codec](MAIN)
    assert names(data) == {"init", modules("hv_vmbus")[0]}
    assert names(EARLY + bytes(400) + data) == {"kernel/x86/microcode/AuthenticAMD.bin", *names(data)}
    # Padding to the sector, as boot loaders and image tools leave it
    assert names(data + bytes(512)) == names(data)


@pytest.mark.parametrize("first", CODECS)
@pytest.mark.parametrize("second", CODECS)
def test_two_archives_in_a_row(first: str, second: str) -> None:
    if (first, second) == ("lz4", "gzip"):
        pytest.skip("a gzip header is a plausible length of an LZ4 block; the kernel cannot tell them apart either")
    data = CODECS[first](cpio(["a"])) + CODECS[second](cpio(["b"]))
    assert names(data) == {"a", "b"}


@pytest.mark.parametrize("codec", CODECS)
def test_an_archive_that_was_cut_off(codec: str) -> None:
    data = CODECS[codec](cpio([f"file-{number}" for number in range(500)]))
    with pytest.raises(UnreadableError):
        names(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x04\x22\x4d\x18" + bytes(100), "lz4"),
        (b"\x02\x21\x4c\x18" + b"\x10\0\0\0" + b"\xff" * 16, "LZ4"),
        (b"\x02\x21\x4c\x18" + b"\x10\0\0\0" + b"\xff", "LZ4"),
        (b"\x02\x21\x4c\x18" + b"\x05\0\0\0" + b"\x10a\xff\xff\0", "LZ4"),
        (b"\x89\x4c\x5a\x4f" + bytes(100), "lzo"),
        (b"#!/bin/sh\n", "unknown bytes"),
        (b"", "empty"),
        (bytes(4096), "empty"),
        (gzip.compress(b"hello", mtime=0), "no cpio"),
        (cpio(["a"], trailer=False), "middle"),
        (cpio(["a"], trailer=False) + b"x" * 200, "no cpio header"),
        (MAIN[:54] + b"zzzzzzzz" + MAIN[62:], "damaged"),
        (MAIN[:94] + b"ffffffff" + MAIN[102:], "too long"),
    ],
)
def test_what_is_no_initramfs(data: bytes, says: str) -> None:
    with pytest.raises(UnreadableError, match=says):
        names(data)


@pytest.mark.parametrize("codec", [each for each in CODECS if each != "none"])
def test_a_bomb_is_bounded(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initramfs, "MAX_UNPACKED_BYTES", 8 << 20)
    # One file of 16 MiB zeros, which packs to some kilobytes
    header = MAIN[:54] + b"%08x" % (16 << 20) + MAIN[62:116]
    with pytest.raises(UnreadableError, match="more than 8 MiB"):
        names(CODECS[codec](header + bytes(16 << 20)))


@pytest.mark.parametrize("codec", CODECS)
def test_many_parts_are_bounded(codec: str) -> None:
    """Each costs a decoder, and none unpacks to anything that the other bounds would count."""
    if codec == "lz4":
        pytest.skip("an LZ4 archive has no end mark: in a row they are one")
    empty = CODECS[codec](b"" if codec != "none" else cpio([]))
    with pytest.raises(UnreadableError, match="more than 256 parts"):
        names(empty * 300)


def test_trailers_count_as_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initramfs, "_MAX_ENTRIES", 10)
    with pytest.raises(UnreadableError, match="entries"):
        names(gzip.compress(cpio([]) * 20, mtime=0))


def test_one_budget_for_all_files_of_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initramfs, "_MAX_ENTRIES", 10)
    budget = initramfs.Budget()
    data = cpio(["a", "b", "c", "d", "e"])
    initramfs.names(lambda length, offset: data[offset : offset + length], len(data), budget)
    with pytest.raises(UnreadableError, match="entries"):
        initramfs.names(lambda length, offset: data[offset : offset + length], len(data), budget)


def test_an_lz4_archive_of_tiny_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain Python unpacks them one by one: their number is bounded, not only what they unpack to."""
    block = b"\x10a" + b"\1\0\x00" * 5000 + b"\x10b"
    data = b"\x02\x21\x4c\x18" + len(block).to_bytes(4, "little") + block
    monkeypatch.setattr(lz4, "MAX_SEQUENCES", 1000)
    with pytest.raises(UnreadableError, match="too many sequences"):
        names(data)


def test_too_many_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initramfs, "_MAX_ENTRIES", 10)
    with pytest.raises(UnreadableError, match="entries"):
        names(cpio(str(number) for number in range(20)))


@settings(max_examples=200, deadline=None)
@given(codec=st.sampled_from(sorted(CODECS)), at=st.integers(0, 400), noise=st.binary(min_size=1, max_size=8))
def test_corruption_ends_in_names_or_unreadable(codec: str, at: int, noise: bytes) -> None:
    data = bytearray(CODECS[codec](MAIN))
    at %= len(data)
    data[at : at + len(noise)] = noise
    try:
        found = names(bytes(data))
    except UnreadableError:
        return
    assert len(found) < 10


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/hv_vmbus.ko", "hv_vmbus"),
        ("hid-hyperv.ko.xz", "hid_hyperv"),
        ("x/ext4.ko.zst", "ext4"),
        ("x/udf.ko.gz", "udf"),
        ("x/notes.txt", None),
        ("x/ko", None),
    ],
)
def test_names_of_modules(path: str, name: str | None) -> None:
    assert module_of(path) == name
