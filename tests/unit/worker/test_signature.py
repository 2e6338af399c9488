"""OpenPGP signatures, with keys made here."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pysequoia import Cert, Sig, SignatureMode, Tsk, sign

from gallery_operator.worker import signature
from gallery_operator.worker.signature import SignatureError, read_keys, verify_clear, verify_detached

DATA = b"0123  disk.img\n"


def key(**options: object) -> Tsk:
    return Tsk.generate(user_id="Publisher <p@example.org>", **options)  # type: ignore[arg-type]


def public(secret: Tsk) -> Cert:
    return secret.extract_certificate()


def detached(secret: Tsk, data: bytes = DATA) -> bytes:
    return sign(secret.signer(), data, mode=SignatureMode.DETACHED)


@pytest.fixture(scope="module")
def ours() -> Tsk:
    return key()


@pytest.fixture(scope="module")
def theirs() -> Tsk:
    return key()


def binary(armoured: bytes) -> bytes:
    return bytes(Sig.from_bytes(armoured))


def test_a_good_signature(ours: Tsk, theirs: Tsk) -> None:
    armoured = detached(ours)
    for form in (armoured, binary(armoured)):
        assert verify_detached(DATA, form, [public(theirs), public(ours)]) == public(ours).fingerprint


def test_one_of_several_is_enough(ours: Tsk, theirs: Tsk) -> None:
    armoured = detached(theirs) + b"\n" + detached(ours)
    assert verify_detached(DATA, armoured, [public(ours)]) == public(ours).fingerprint
    both = binary(detached(theirs)) + binary(detached(ours))
    assert verify_detached(DATA, both, [public(ours)]) == public(ours).fingerprint


def test_what_proves_nothing(ours: Tsk, theirs: Tsk) -> None:
    for data, proof, keys, says in (
        (DATA + b"x", detached(ours), [public(ours)], "was changed"),
        (DATA, detached(theirs), [public(ours)], "which is not among the given keys"),
        (DATA, b"garbage", [public(ours)], "no OpenPGP signature"),
        (DATA, str(public(ours)).encode(), [public(ours)], "something else"),
        (DATA, b"", [public(ours)], "no OpenPGP signature"),
    ):
        with pytest.raises(SignatureError, match=says):
            verify_detached(data, proof, keys)


def test_a_key_that_was_revoked(ours: Tsk) -> None:
    made = detached(ours)
    revoked = Cert.from_bytes(bytes(public(ours)) + bytes(public(ours).revoke(ours.certifier())))
    with pytest.raises(SignatureError, match="revoked"):
        verify_detached(DATA, made, [revoked])


def gpg(home: Path, *arguments: str, data: bytes | None = None) -> bytes:
    command = ["gpg", "--homedir", str(home), "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""]
    for _ in range(2):  # its agent gives itself five seconds to start, which a busy machine has not always
        done = subprocess.run([*command, *arguments], input=data, check=False, capture_output=True)
        if done.returncode == 0:
            return done.stdout
    return subprocess.run([*command, *arguments], input=data, check=True, capture_output=True).stdout


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    if subprocess.run(["sh", "-c", "command -v gpg"], check=False, capture_output=True).returncode:
        pytest.skip("GnuPG makes what is needed here, and is not installed")
    folder = tmp_path / "gnupg"
    folder.mkdir(mode=0o700)
    yield folder
    subprocess.run(["gpgconf", "--homedir", str(folder), "--kill", "all"], check=False)


def test_a_key_that_has_expired(ours: Tsk, monkeypatch: pytest.MonkeyPatch) -> None:
    until = datetime.now(UTC) + timedelta(days=30)
    expiring = public(ours).set_expiration(until, ours.certifier())
    signed = sign(ours.signer(), DATA, mode=SignatureMode.CLEAR)
    assert verify_detached(DATA, detached(ours), [expiring])
    monkeypatch.setattr(signature, "now", lambda: until + timedelta(seconds=1))
    with pytest.raises(SignatureError, match=f"expired on {until:%Y-%m-%d}: get it anew"):
        verify_detached(DATA, detached(ours), [expiring])
    with pytest.raises(SignatureError, match="expired on"):
        verify_clear(signed, [expiring])


def test_weak_digests_and_subkeys(home: Path) -> None:
    gpg(home, "--quick-gen-key", "sub@example.org", "rsa3072", "cert", "0")
    fingerprint = next(
        line.split(":")[9] for line in gpg(home, "--with-colons", "-K").decode().splitlines() if line.startswith("fpr:")
    )
    gpg(home, "--quick-add-key", fingerprint, "rsa3072", "sign", "0")
    keys = read_keys(gpg(home, "--armor", "--export", "sub@example.org"))
    good = gpg(home, "--digest-algo", "SHA512", "--armor", "--detach-sign", data=DATA)
    assert verify_detached(DATA, good, keys) == fingerprint.lower(), "made by a subkey, told by its primary key"
    for digest in ("SHA1", "RIPEMD160"):
        weak = gpg(home, "--digest-algo", digest, "--allow-weak-digest-algos", "--detach-sign", data=DATA)
        with pytest.raises(SignatureError, match="too weak"):
            verify_detached(DATA, weak, keys)


def test_clear_signed(ours: Tsk, theirs: Tsk) -> None:
    message = sign(ours.signer(), DATA + b"- dash\n", mode=SignatureMode.CLEAR)
    text, who = verify_clear(b"evil  disk.img\n" + message + b"evil  disk.img\n", [public(ours)])
    assert (text, who) == (DATA + b"- dash\n", public(ours).fingerprint)
    for data, keys, says in (
        (message.replace(b"0123", b"0124"), [public(ours)], "was changed"),
        (message, [public(theirs)], "not among the given keys"),
        (DATA, [public(ours)], "not signed in clear"),
        (message[: message.index(b"-----BEGIN PGP SIGNATURE")], [public(ours)], "no signature"),
    ):
        with pytest.raises(SignatureError, match=says):
            verify_clear(data, keys)


def test_keys(ours: Tsk, theirs: Tsk) -> None:
    armoured = str(public(ours)).encode() + b"\n" + str(public(theirs)).encode()
    raw = bytes(public(ours)) + bytes(public(theirs))
    for data in (armoured, raw, b"Debian's keys\n" + armoured):
        assert {each.fingerprint for each in read_keys(data)} == {public(ours).fingerprint, public(theirs).fingerprint}
    for data in (b"", b"garbage", detached(ours)):
        with pytest.raises(SignatureError, match="OpenPGP public key"):
            read_keys(data)
