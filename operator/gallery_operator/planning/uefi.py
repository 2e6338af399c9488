"""Keys of secure boot as Azure takes them: base64 of a certificate's DER, base64 of a SHA-256 hash. Pure."""

import base64
import binascii
import re
from typing import Literal

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_HEX = re.compile(rb"[0-9A-Fa-f]{64}")
_HASH_BYTES = 32
_MAX_BYTES = 64 * 1024
_SEQUENCE = 0x30


class UefiKeyError(ValueError):
    """What was given is no key of secure boot; the message says why, and holds nothing of it."""


def values(data: bytes, kind: Literal["x509", "sha256"]) -> list[str]:
    """Return what a Secret or ConfigMap holds as Azure takes it.

    Args:
        data: For x509: PEM with one or more certificates, DER, or base64 of DER, one a line. For sha256: hashes in
            hex or base64, one a line, or the 32 bytes themselves.
        kind: Of the key.

    Raises:
        UefiKeyError: It is nothing of the kind.
    """
    if len(data) > _MAX_BYTES:
        raise UefiKeyError(f"it is larger than {_MAX_BYTES // 1024} KiB")
    if not data.strip():
        raise UefiKeyError("it is empty")
    found = _certificates(data) if kind == "x509" else _hashes(data)
    return [base64.b64encode(each).decode() for each in found]


def _certificates(data: bytes) -> list[bytes]:
    blocks = _PEM.findall(data)
    if any(b"PRIVATE KEY" in label for label, _ in blocks):
        raise UefiKeyError("it holds a private key: put the certificate there, and keep the private key elsewhere")
    if b"-----BEGIN" in data:
        found = [_decoded(body) for label, body in blocks if label == b"CERTIFICATE"]
        if not found:
            raise UefiKeyError("it is PEM without a certificate (BEGIN CERTIFICATE)")
    elif data[0] == _SEQUENCE and _der_length(data) == len(data):
        found = [data]
    else:
        found = [_decoded(line) for line in data.split()]
    for each in found:
        if not each or each[0] != _SEQUENCE or _der_length(each) != len(each):
            raise UefiKeyError("it is no X.509 certificate in PEM, DER or base64 of DER")
    return found


def _hashes(data: bytes) -> list[bytes]:
    if len(data) == _HASH_BYTES:
        return [data]
    found = []
    for line in data.split():
        raw = bytes.fromhex(line.decode()) if _HEX.fullmatch(line) else _decoded(line)
        if len(raw) != _HASH_BYTES:
            raise UefiKeyError("it is no SHA-256 hash: 64 hexadecimal digits, or base64 of 32 bytes")
        found.append(raw)
    return found


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        raise UefiKeyError("it is not base64") from None


def _der_length(data: bytes) -> int | None:
    """Return the length in bytes that the outer DER element claims to have, header included."""
    if len(data) < 2:
        return None
    first = data[1]
    if first < 0x80:
        return 2 + first
    count = first & 0x7F
    if not 1 <= count <= 4 or len(data) < 2 + count:
        return None
    return 2 + count + int.from_bytes(data[2 : 2 + count], "big")
