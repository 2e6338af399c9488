"""Footer of a fixed VHD: read, check, write.

Layout: microsoft/azure-vhd-utils vhdcore/footer; all numbers are big endian.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

__all__ = ["FOOTER_BYTES", "GIB", "MIB", "Footer", "build_footer", "footer_problem", "parse_footer"]

FOOTER_BYTES = 512
MIB = 1024 * 1024
GIB = 1024 * MIB

_FIELDS = struct.Struct(">8sIIQI4sI4sQQHBBII16sB")
_FIXED = 2
_NO_OFFSET = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class Footer:
    """What is read from a footer.

    Attributes:
        cookie: `conectix` in a VHD.
        current_size: virtual size in bytes.
        disk_type: 2 fixed, 3 dynamic, 4 differencing.
        checksum_ok: whether the stored checksum fits the footer's bytes.
    """

    cookie: bytes
    current_size: int
    disk_type: int
    checksum_ok: bool


def _checksum(raw: bytes) -> int:
    return ~(sum(raw[:64]) + sum(raw[68:FOOTER_BYTES])) & 0xFFFFFFFF


def parse_footer(raw: bytes) -> Footer:
    """Read the last 512 bytes of a VHD.

    Raises:
        ValueError: `raw` is not 512 bytes long.
    """
    if len(raw) != FOOTER_BYTES:
        raise ValueError(f"a VHD footer has {FOOTER_BYTES} bytes, not {len(raw)}")
    fields = _FIELDS.unpack_from(raw)
    return Footer(fields[0], fields[9], fields[13], fields[14] == _checksum(raw))


def footer_problem(raw: bytes, blob_bytes: int, name: str, url: str) -> str | None:
    """Return Azure's complaint about a page blob that should be a fixed VHD, or None if it is one.

    Args:
        raw: the blob's last 512 bytes.
        blob_bytes: length of the blob in bytes, footer included.
        name: the blob's name as Azure's text shows it.
        url: the blob's URL without a signature.
    """
    footer = parse_footer(raw)
    if footer.cookie != b"conectix":
        return (
            f"The specified cookie value in VHD footer indicates that disk '{name}' with blob {url} is not a "
            "supported VHD. Disk is expected to have cookie value 'conectix'."
        )
    # Azure's words for the next two were not found; that both are refused is documented.
    if footer.disk_type != _FIXED or not footer.checksum_ok:
        return f"The VHD {url} is not a supported VHD. Only fixed VHDs with a valid footer are supported."
    if footer.current_size % MIB or footer.current_size + FOOTER_BYTES != blob_bytes:
        return (
            f"The VHD {url} has an unsupported virtual size of {footer.current_size} bytes. "
            "The size must be a whole number (in MBs)."
        )
    return None


def build_footer(size: int) -> bytes:
    """Return the footer of a fixed VHD of `size` bytes (without the footer)."""
    geometry = (65535, 16, 255)
    fields = (
        b"conectix",
        2,
        0x00010000,
        _NO_OFFSET,
        0,
        b"azsm",
        0x00010000,
        b"Wi2k",
        size,
        size,
        *geometry,
        _FIXED,
        0,
        uuid.uuid4().bytes,
        0,
    )
    raw = bytearray(FOOTER_BYTES)
    _FIELDS.pack_into(raw, 0, *fields)
    struct.pack_into(">I", raw, 64, _checksum(bytes(raw)))
    return bytes(raw)
