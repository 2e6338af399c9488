"""LZO1X, the decoder only: Btrfs keeps blocks of at most one sector in it.

After the kernel's description, Documentation/staging/lzo.rst.
"""

from __future__ import annotations


class LzoError(Exception):
    """The data is damaged."""


def decompress(data: bytes, limit: int) -> bytes:
    """Decompress one block.

    Args:
        data: The block.
        limit: Bytes it may unpack to.

    Raises:
        LzoError: It is damaged, or unpacks to more.
    """
    try:
        return _decompress(data, limit)
    except IndexError as error:
        raise LzoError("LZO data ends too early") from error


def _decompress(data: bytes, limit: int) -> bytes:
    out = bytearray()
    at = 0
    state = 0

    def long_length(base: int) -> int:
        nonlocal at
        length = base
        while data[at] == 0:
            length += 255
            at += 1
            if length > limit:
                raise LzoError("LZO data unpacks to too much")
        length += data[at]
        at += 1
        return length

    def literals(count: int) -> None:
        nonlocal at
        if at + count > len(data) or len(out) + count > limit:
            raise LzoError("LZO literals are too long")
        out.extend(data[at : at + count])
        at += count

    def copy(distance: int, length: int) -> None:
        if distance > len(out) or len(out) + length > limit:
            raise LzoError("an LZO match points outside")
        start = len(out) - distance
        if distance >= length:
            out.extend(out[start : start + length])
        else:
            for index in range(length):
                out.append(out[start + index])

    first = data[0]
    if first > 17:
        at = 1
        count = first - 17
        literals(count)
        state = min(count, 4)
    while True:
        code = data[at]
        at += 1
        if code >= 64:
            distance = (data[at] << 3) + ((code >> 2) & 7) + 1
            at += 1
            copy(distance, (code >> 5) + 1)
            tail = code & 3
        elif code >= 32:
            length = long_length(31 + 2) if code & 31 == 0 else (code & 31) + 2
            pair = data[at] | data[at + 1] << 8
            at += 2
            copy((pair >> 2) + 1, length)
            tail = pair & 3
        elif code >= 16:
            length = long_length(7 + 2) if code & 7 == 0 else (code & 7) + 2
            pair = data[at] | data[at + 1] << 8
            at += 2
            distance = ((code & 8) << 11) + (pair >> 2)
            if distance == 0:
                return bytes(out)
            copy(distance + 16384, length)
            tail = pair & 3
        elif state == 0:
            literals(long_length(15 + 3) if code == 0 else code + 3)
            state = 4
            continue
        else:
            distance = (code >> 2) + (data[at] << 2) + 1
            at += 1
            if state == 4:
                copy(distance + 2048, 3)
            else:
                copy(distance, 2)
            tail = code & 3
        literals(tail)
        state = tail
