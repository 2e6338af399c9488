"""Partition tables, read by ourselves: the checks want the raw facts, faults included."""

import itertools
import struct
import uuid
import zlib
from dataclasses import dataclass, field
from typing import Final, Literal

from gallery_operator.prerequisites.disk import DiskSource

SECTOR: Final = 512

ESP_TYPE: Final = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
BIOS_BOOT_TYPE: Final = "21686148-6449-6e6f-744e-656564454649"
SWAP_TYPE: Final = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
MBR_ESP: Final = "ef"
MBR_SWAP: Final = "82"
_MBR_PROTECTIVE: Final = 0xEE
_MBR_EXTENDED: Final = frozenset({0x05, 0x0F, 0x85})

_MAX_GPT_ENTRIES: Final = 1024
_MAX_GPT_ENTRY_BYTES: Final = 1024
_MAX_LOGICAL: Final = 128


@dataclass(frozen=True, slots=True)
class Partition:
    """An entry of the table.

    Attributes:
        number: As Linux numbers it.
        start: Offset of its first byte.
        size: Bytes.
        type: GPT: type GUID, lower case; MBR: two hexadecimal digits.
        name: GPT name.
        uuid: PARTUUID, lower case.
        active: MBR active flag, or GPT legacy-BIOS-bootable attribute.
        attributes: GPT attribute bits; 0 in an MBR.
    """

    number: int
    start: int
    size: int
    type: str
    name: str = ""
    uuid: str | None = None
    active: bool = False
    attributes: int = 0

    @property
    def end(self) -> int:
        """Offset after its last byte."""
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Gpt:
    """State of a GPT's two headers.

    Attributes:
        disk_guid: Of the header in use.
        primary_fault: Why the header at LBA 1 is not valid; None when it is.
        backup_fault: Why there is no valid header in the last sector; None when there is.
        used_backup: The primary one was not usable.
    """

    disk_guid: str
    primary_fault: str | None
    backup_fault: str | None
    used_backup: bool = False


@dataclass(frozen=True, slots=True)
class PartitionTable:
    """What the first sectors say.

    Attributes:
        scheme: ``gpt``, ``mbr``, or None without a table.
        partitions: Entries in use, by number.
        faults: What is wrong, each as a sentence.
        gpt: State of the headers.
        has_boot_code: Sector 0 has code before the table.
        grub_core: Sector 0 is GRUB's boot.img, or has its name in it.
        efi_at_4096: A GPT header is where a disk with 4096-byte sectors has it, and none is at 512.
    """

    scheme: Literal["gpt", "mbr"] | None
    partitions: tuple[Partition, ...] = ()
    faults: tuple[str, ...] = ()
    gpt: Gpt | None = None
    has_boot_code: bool = False
    grub_core: bool = False
    efi_at_4096: bool = field(default=False)

    @property
    def is_gpt(self) -> bool:
        """Whether it is a GPT."""
        return self.scheme == "gpt"

    def esp(self) -> Partition | None:
        """The EFI System Partition: by GUID, or MBR type EF."""
        for each in self.partitions:
            if each.type in (ESP_TYPE, MBR_ESP):
                return each
        return None


def read_table(disk: DiskSource) -> PartitionTable:
    """Read MBR and GPT. Nothing on the disk makes this raise."""
    first = disk.pread(SECTOR, 0)
    has_mbr = first[510:512] == b"\x55\xaa"
    types = [first[446 + 16 * index + 4] for index in range(4)] if has_mbr else []
    scheme, partitions, faults, gpt = _read(disk, first, types)
    return PartitionTable(
        scheme,
        partitions,
        (*faults, *_misplaced(partitions, disk)),
        gpt,
        has_boot_code=any(first[:440]),
        grub_core=b"GRUB" in first[:440],
        efi_at_4096=disk.pread(8, 4096) == b"EFI PART" and disk.pread(8, SECTOR) != b"EFI PART",
    )


def _read(
    disk: DiskSource, first: bytes, types: list[int]
) -> tuple[Literal["gpt", "mbr"] | None, tuple[Partition, ...], tuple[str, ...], Gpt | None]:
    primary, primary_fault = _gpt_header(disk, 1)
    if primary is not None or _MBR_PROTECTIVE in types:
        partitions, faults, gpt = _gpt(disk, primary, primary_fault)
        if _MBR_PROTECTIVE not in types:
            faults = (*faults, "there is a GPT but no protective MBR (type EE)")
        return ("gpt" if gpt is not None else None), partitions, faults, gpt
    if not any(types) or _is_file_system_sector(first):
        return None, (), ("there is neither an MBR nor a GPT",), None
    partitions, faults = _mbr(disk, first)
    return "mbr", partitions, faults, None


def _is_file_system_sector(first: bytes) -> bool:
    """A FAT or NTFS boot sector ends with 55AA as well; its 'entries' are code."""
    return first[54:57] == b"FAT" or first[82:87] == b"FAT32" or first[3:11] == b"NTFS    "


@dataclass(frozen=True, slots=True)
class _Header:
    guid: str
    lba: int
    entries_lba: int
    count: int
    entry_bytes: int
    array_crc: int
    first_usable: int
    last_usable: int


def _gpt_header(disk: DiskSource, lba: int) -> tuple[_Header | None, str | None]:
    """A header and why it is faulty; the header is None when it cannot be used at all."""
    raw = disk.pread(SECTOR, lba * SECTOR)
    if raw[:8] != b"EFI PART":
        return None, "there is no GPT header"
    size, crc = struct.unpack_from("<II", raw, 12)
    if not 92 <= size <= SECTOR:
        return None, f"the header says it is {size} bytes long"
    if zlib.crc32(raw[:16] + bytes(4) + raw[20:size]) != crc:
        return None, "the CRC of the header is wrong"
    my_lba, _, first_usable, last_usable = struct.unpack_from("<QQQQ", raw, 24)
    guid = str(uuid.UUID(bytes_le=raw[56:72]))
    entries_lba, count, entry_bytes, array_crc = struct.unpack_from("<QIII", raw, 72)
    if my_lba != lba:
        return None, f"the header says it is at LBA {my_lba}"
    if not 0 < count <= _MAX_GPT_ENTRIES or not 128 <= entry_bytes <= _MAX_GPT_ENTRY_BYTES:
        return None, f"the header has {count} entries of {entry_bytes} bytes"
    return _Header(guid, my_lba, entries_lba, count, entry_bytes, array_crc, first_usable, last_usable), None


def _gpt(
    disk: DiskSource, primary: _Header | None, primary_fault: str | None
) -> tuple[tuple[Partition, ...], tuple[str, ...], Gpt | None]:
    last = disk.size // SECTOR - 1
    backup, backup_fault = _gpt_header(disk, last)
    for header, used_backup in ((primary, False), (backup, True)):
        if header is None:
            continue
        array = disk.pread(header.count * header.entry_bytes, header.entries_lba * SECTOR)
        if zlib.crc32(array) != header.array_crc:
            if used_backup:
                backup_fault = "the CRC of its entries is wrong"
            else:
                primary_fault = "the CRC of its entries is wrong"
            if not used_backup and backup is not None:
                continue
        partitions = _gpt_entries(array, header)
        gpt = Gpt(header.guid, primary_fault, backup_fault, used_backup)
        return partitions, (), gpt
    return (), (f"the GPT cannot be used: {primary_fault}; backup: {backup_fault}",), None


def _gpt_entries(array: bytes, header: _Header) -> tuple[Partition, ...]:
    partitions = []
    for index in range(min(header.count, len(array) // header.entry_bytes)):
        raw = array[index * header.entry_bytes :][:128]
        if not any(raw[:16]):
            continue
        first, last, attributes = struct.unpack_from("<QQQ", raw, 32)
        partitions.append(
            Partition(
                number=index + 1,
                start=first * SECTOR,
                size=(last - first + 1) * SECTOR,
                type=str(uuid.UUID(bytes_le=raw[:16])),
                name=raw[56:128].decode("utf-16-le", "replace").split("\0", 1)[0],
                uuid=str(uuid.UUID(bytes_le=raw[16:32])),
                active=bool(attributes & 4),
                attributes=attributes,
            )
        )
    return tuple(partitions)


def _mbr(disk: DiskSource, first: bytes) -> tuple[tuple[Partition, ...], tuple[str, ...]]:
    (disk_id,) = struct.unpack_from("<I", first, 440)
    partitions: list[Partition] = []
    faults: list[str] = []
    for index in range(4):
        flag, kind, start, count = _mbr_entry(first, index)
        if kind == 0 or count == 0:
            continue
        if flag not in (0, 0x80):
            faults.append(f"partition {index + 1} has the boot flag {flag:#04x}")
        partitions.append(_mbr_partition(index + 1, flag, kind, start, count, disk_id))
        if kind in _MBR_EXTENDED:
            logical, fault = _logical(disk, start, disk_id)
            partitions += logical
            faults += fault
    return tuple(partitions), tuple(faults)


def _mbr_entry(sector: bytes, index: int) -> tuple[int, int, int, int]:
    raw = sector[446 + 16 * index :][:16]
    start, count = struct.unpack_from("<II", raw, 8)
    return raw[0], raw[4], start, count


def _mbr_partition(number: int, flag: int, kind: int, start: int, count: int, disk_id: int) -> Partition:
    return Partition(
        number=number,
        start=start * SECTOR,
        size=count * SECTOR,
        type=f"{kind:02x}",
        uuid=f"{disk_id:08x}-{number:02x}",
        active=flag == 0x80,
    )


def _logical(disk: DiskSource, extended: int, disk_id: int) -> tuple[list[Partition], list[str]]:
    """Follow the chain of extended boot records, at most ``_MAX_LOGICAL`` of them, never twice the same."""
    found: list[Partition] = []
    seen: set[int] = set()
    record = extended
    while record not in seen and len(seen) < _MAX_LOGICAL:
        seen.add(record)
        sector = disk.pread(SECTOR, record * SECTOR)
        if sector[510:512] != b"\x55\xaa":
            return found, [f"the extended boot record at sector {record} is not valid"]
        flag, kind, start, count = _mbr_entry(sector, 0)
        if kind and count:
            found.append(_mbr_partition(5 + len(found), flag, kind, record + start, count, disk_id))
        _, next_kind, next_start, _ = _mbr_entry(sector, 1)
        if next_kind not in _MBR_EXTENDED or next_start == 0:
            return found, []
        record = extended + next_start
    return found, ["the chain of extended boot records has no end"]


def _misplaced(partitions: tuple[Partition, ...], disk: DiskSource) -> list[str]:
    faults = [
        f"partition {each.number} (bytes {each.start} to {each.end}) is not inside the disk of {disk.size} bytes"
        for each in partitions
        if each.size <= 0 or each.end > disk.size or each.start < SECTOR
    ]
    extended = {f"{kind:02x}" for kind in _MBR_EXTENDED}
    real = sorted((each for each in partitions if each.type not in extended), key=lambda each: each.start)
    faults += [
        f"partitions {before.number} and {after.number} overlap"
        for before, after in itertools.pairwise(real)
        if after.start < before.end
    ]
    return faults
