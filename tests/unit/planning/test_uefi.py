"""Keys of secure boot: every form that people have them in becomes base64 of DER, and nothing else passes."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.planning.uefi import UefiKeyError, values

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
CERTIFICATE = (
    x509.CertificateBuilder(NAME, NAME, KEY.public_key(), 1)
    .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    .not_valid_after(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=1))
    .sign(KEY, hashes.SHA256())
)
DER = CERTIFICATE.public_bytes(serialization.Encoding.DER)
PEM = CERTIFICATE.public_bytes(serialization.Encoding.PEM)
PRIVATE = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
TEXT = base64.b64encode(DER)
HASH = hashlib.sha256(b"x").digest()


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (PEM, 1),
        (PEM + PEM, 2),
        (b"subject=test\n" + PEM.replace(b"\n", b"\r\n"), 1),
        (DER, 1),
        (TEXT, 1),
        (TEXT + b"\n", 1),
        (TEXT + b"\n" + TEXT, 2),
    ],
)
def test_certificates(data: bytes, count: int) -> None:
    assert values(data, "x509") == [TEXT.decode()] * count


@pytest.mark.parametrize(
    "data", [HASH, HASH.hex().encode(), HASH.hex().upper().encode() + b"\n", base64.b64encode(HASH)]
)
def test_hashes(data: bytes) -> None:
    assert values(data, "sha256") == [base64.b64encode(HASH).decode()]


@pytest.mark.parametrize(
    ("data", "kind", "told"),
    [
        (b"", "x509", "empty"),
        (b" \n", "sha256", "empty"),
        (PRIVATE, "x509", "private key"),
        (PRIVATE + PEM, "x509", "private key"),
        (b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n", "x509", "without a certificate"),
        (PEM[:-30], "x509", "without a certificate"),
        (DER[:-1], "x509", "not base64"),
        (DER + b"x", "x509", "not base64"),
        (base64.b64encode(DER[:-1]), "x509", "no X.509 certificate"),
        (base64.b64encode(b"hello"), "x509", "no X.509 certificate"),
        (b"hello world!", "x509", "not base64"),
        (HASH.hex()[:-4].encode(), "sha256", "no SHA-256 hash"),
        (b"zz", "sha256", "not base64"),
        (b"a" * 70_000, "x509", "larger than"),
    ],
)
def test_what_is_no_key_is_told_without_showing_it(data: bytes, kind: Literal["x509", "sha256"], told: str) -> None:
    with pytest.raises(UefiKeyError, match=told) as caught:
        values(data, kind)
    assert "BEGIN EC" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.binary(max_size=300), st.sampled_from(["x509", "sha256"]))
def test_any_bytes_are_a_key_or_refused(data: bytes, kind: Literal["x509", "sha256"]) -> None:
    try:
        found = values(data, kind)
    except UefiKeyError:
        return
    assert found
    assert all(base64.b64decode(each) for each in found)
