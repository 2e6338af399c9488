"""OpenPGP signatures of files of checksums, verified by Sequoia-PGP.

Its policy refuses what is weak (MD5, SHA-1, short RSA keys). A key that has expired or was revoked is refused here, as
apt does it: Sequoia itself asks how the key stood when it signed.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from pysequoia import Cert, Sig, verify
from pysequoia.packet import PacketPile, Tag

_CLEAR_SIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----"
_ARMOUR = b"-----BEGIN PGP "


class SignatureError(ValueError):
    """A signature proves nothing; the message says why, and what is known of it."""


def now() -> datetime:
    """Return the time against which keys are held."""
    return datetime.now(UTC)


def read_keys(data: bytes) -> list[Cert]:
    """Read public keys, binary or armoured, one or more.

    Raises:
        SignatureError: There is none.
    """
    blocks = _blocks(data) if _ARMOUR in data else [data]
    keys: list[Cert] = []
    for block in blocks:
        try:
            keys += Cert.split_bytes(block)
        except RuntimeError as error:
            raise SignatureError(f"the key is no OpenPGP public key ({_first_line(error)})") from None
    if not keys:
        raise SignatureError("there is no OpenPGP public key in it")
    return keys


def verify_detached(data: bytes, signature: bytes, keys: Iterable[Cert]) -> str:
    """Verify a signature that is in a file of its own.

    Args:
        data: What is signed.
        signature: One or more signatures, binary or armoured; one that verifies is enough.
        keys: Who may have made it.

    Returns:
        Fingerprint of the key that did (lower case).

    Raises:
        SignatureError: None of them verifies.
    """
    known = list(keys)
    problems: list[str] = []
    for each in _signatures(signature):
        try:
            return _accepted(verify(bytes=data, store=lambda _ids: known, signature=each).valid_sigs, known)
        except RuntimeError:
            problems.append(_why(each, known))
        except SignatureError as error:
            problems.append(str(error))
    raise SignatureError("; ".join(problems))


def verify_clear(data: bytes, keys: Iterable[Cert]) -> tuple[bytes, str]:
    """Verify a message that is signed in clear, as Fedora's ``CHECKSUM``.

    Args:
        data: The message; what stands before or after its armour is not signed, and not returned.
        keys: Who may have signed it.

    Returns:
        The signed text, and the fingerprint of the key that signed it.

    Raises:
        SignatureError: It is not signed, or not by one of the keys.
    """
    known = list(keys)
    if _CLEAR_SIGNED not in data:
        raise SignatureError("the file is not signed in clear: name the file of its signature (signature.url)")
    try:
        found = verify(bytes=data[data.index(_CLEAR_SIGNED) :], store=lambda _ids: known)
    except RuntimeError:
        at = data.find(b"-----BEGIN PGP SIGNATURE-----")
        problems = [_why(each, known) for each in _signatures(data[at:])] if at >= 0 else ["it has no signature"]
        raise SignatureError("; ".join(problems)) from None
    return found.bytes or b"", _accepted(found.valid_sigs, known)


def _signatures(data: bytes) -> list[Sig]:
    blocks = _blocks(data) if _ARMOUR in data else [data]
    found: list[Sig] = []
    for block in blocks:
        try:
            packets = list(PacketPile.from_bytes(block))
            if any(each.tag != Tag.Signature for each in packets):
                raise SignatureError("it is something else than an OpenPGP signature")
            found += [Sig.from_bytes(bytes(each)) for each in packets]
        except RuntimeError as error:
            raise SignatureError(f"it is no OpenPGP signature ({_first_line(error)})") from None
    if not found:
        raise SignatureError("there is no OpenPGP signature in it")
    return found


def _accepted(valid: Iterable[object], known: list[Cert]) -> str:
    """Return who signed, if one of those that did still may."""
    problem = "it is not valid"
    for each in valid:
        fingerprint = str(getattr(each, "certificate", "")).lower()
        cert = next((key for key in known if key.fingerprint.lower() == fingerprint), None)
        problem = "it was made by a key that is not given" if cert is None else _ended(cert)
        if not problem:
            return fingerprint
    raise SignatureError(problem)


def _ended(cert: Cert) -> str:
    if cert.is_revoked:
        return f"the key {cert.fingerprint.upper()} was revoked by its owner"
    expiration = cert.expiration
    if expiration is not None and _utc(expiration) < now():
        return f"the key {cert.fingerprint.upper()} expired on {_utc(expiration):%Y-%m-%d}: get it anew"
    return ""


def _why(signature: Sig, known: list[Cert]) -> str:
    """Say why a signature does not verify, as far as it can be told."""
    issuer = (signature.issuer_fingerprint or signature.issuer_key_id or "").lower()
    cert = next((key for key in known if any(each.endswith(issuer) for each in _fingerprints(key))), None)
    if not issuer or cert is None:
        who = f"the key {issuer.upper()}" if issuer else "an unknown key"
        return f"it was made by {who}, which is not among the given keys"
    ended = _ended(cert)
    if ended:
        return ended
    return (
        f"it was made by the key {issuer.upper()} and is not valid: the file or the signature was changed, or it is "
        f"too weak ({signature.hash_algorithm}, {signature.key_algorithm})"
    )


def _fingerprints(cert: Cert) -> Iterator[str]:
    for packet in PacketPile.from_bytes(bytes(cert)):
        if packet.tag in (Tag.PublicKey, Tag.PublicSubkey) and packet.fingerprint:
            yield str(packet.fingerprint).lower()


def _blocks(data: bytes) -> list[bytes]:
    """Armoured blocks one by one: several may be written one after the other."""
    starts = [at for at in range(len(data)) if data.startswith(_ARMOUR, at)]
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]
