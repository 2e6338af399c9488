"""Tells whether bytes are those seen before, about twenty times as fast as SHA-256 does."""

import hmac
import os
from typing import Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 16
TAG_BYTES = 16


class Seal:
    """A tag for each piece of a disk: AES-GMAC (NIST SP 800-38D) under a key that only the import knows.

    Nobody without the key can make other bytes with the same tag, which is all that is needed to notice that a source
    was changed: the key is made for one table of pieces, kept beside it on the scratch volume, and never used for
    other bytes. The disk's name to the outside stays its SHA-256.

    Args:
        key: ``KEY_BYTES`` random bytes.
    """

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._cipher = AESGCM(key)

    @classmethod
    def fresh(cls) -> Self:
        """Make one with a key of its own."""
        return cls(os.urandom(KEY_BYTES))

    def tag(self, data: bytes | bytearray | memoryview, offset: int) -> bytes:
        """Return the tag of a piece.

        Args:
            data: Its bytes.
            offset: Where it lies in the disk; one piece of the table has one offset, so no nonce comes twice.
        """
        return self._cipher.encrypt(offset.to_bytes(12, "big"), b"", data)

    def fits(self, data: bytes | bytearray | memoryview, offset: int, tag: bytes) -> bool:
        """Whether a tag is that of these bytes."""
        return hmac.compare_digest(self.tag(data, offset), tag)
