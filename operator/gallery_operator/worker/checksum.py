"""Checksums that users give."""

import hashlib
import re
from pathlib import Path
from typing import Self

from gallery_operator.contract import FailureCode
from gallery_operator.worker.errors import WorkerError

_CHUNK = 1024 * 1024
_FORM = re.compile(r"(sha256):([0-9a-fA-F]{64})|(sha512):([0-9a-fA-F]{128})")


class Checksum:
    """A digest to be met, fed with the bytes as they come.

    Args:
        text: ``sha256:<hex>`` or ``sha512:<hex>``; None expects nothing.

    Raises:
        WorkerError: ``BadConfiguration`` for any other form.
    """

    def __init__(self, text: str | None) -> None:
        self.text = text
        self._name, self._wanted = "", ""
        if text is not None:
            match = _FORM.fullmatch(text)
            if match is None:
                message = "source checksum must be sha256:<64 hex digits> or sha512:<128 hex digits>."
                raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
            self._name, self._wanted = match[1] or match[3], (match[2] or match[4]).lower()
        self._hash = hashlib.new(self._name) if self._name else None

    @property
    def expected(self) -> bool:
        """Whether there is anything to meet."""
        return self._hash is not None

    def restart(self) -> Self:
        """Forget the bytes so far."""
        self._hash = hashlib.new(self._name) if self._name else None
        return self

    def update(self, data: bytes, /) -> None:
        """Take bytes."""
        if self._hash is not None:
            self._hash.update(data)

    def update_from_file(self, path: Path, length: int) -> None:
        """Take the first ``length`` bytes of a file."""
        if self._hash is None:
            return
        with path.open("rb") as file:
            while length > 0 and (data := file.read(min(_CHUNK, length))):
                self._hash.update(data)
                length -= len(data)

    def mismatch(self) -> str | None:
        """Return a sentence when the bytes so far do not meet the digest, else None."""
        if self._hash is None or self._hash.hexdigest() == self._wanted:
            return None
        return f"{self._name} is {self._hash.hexdigest()}, but {self._wanted} was asked for"
