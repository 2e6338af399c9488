"""Files of checksums as publishers of images have them: ``SHA256SUMS``, ``SHA512SUMS``, ``CHECKSUM``. Pure."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_BY_LENGTH = {64: "sha256", 128: "sha512"}
# GNU coreutils: digest, space, space or '*' (binary), name; a leading backslash says that the name is escaped.
_GNU = re.compile(r"(?P<escaped>\\?)(?P<digest>[0-9a-fA-F]{64}|[0-9a-fA-F]{128})[ \t]+\*?(?P<name>\S.*)")
# BSD, coreutils --tag, OpenSSL, Fedora and CentOS: SHA256 (name) = digest
_BSD = re.compile(r"(?P<escaped>\\?)SHA(?:2-)?(?:256|512) ?\((?P<name>.+)\) ?= ?(?P<digest>[0-9a-fA-F]+)")
_ALONE = re.compile(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{128}")
_SIGNED_BEGIN, _SIGNATURE_BEGIN = "-----BEGIN PGP SIGNED MESSAGE-----", "-----BEGIN PGP SIGNATURE-----"
_ESCAPES = re.compile(r"\\(n|r|\\)")


class NotListedError(ValueError):
    """The checksum of a file cannot be told; the message says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.

    Attributes:
        checksum: ``sha256:<hex>`` or ``sha512:<hex>``, in lower case.
        name: Of the file, as it is written; None when the line is a digest alone.
    """

    checksum: str
    name: str | None


def parse(text: str) -> list[Entry]:
    """Read a file of checksums.

    Lines that are none (comments, weaker digests, a signature around them) are left out.

    Args:
        text: Its content, with any line ends; GNU's format, BSD's, or a digest alone.
    """
    return [entry for line in _content(text) if (entry := _entry(line.strip())) is not None]


def _content(text: str) -> Iterator[str]:
    """The lines without the armour of a clear-signed message."""
    signed = _SIGNED_BEGIN in text
    for line in text.splitlines():
        if line.rstrip() == _SIGNATURE_BEGIN:
            return
        yield line.removeprefix("- ") if signed else line


def _entry(line: str) -> Entry | None:
    match = _GNU.fullmatch(line) or _BSD.fullmatch(line)
    if match is not None:
        digest, name = match["digest"], match["name"]
        if match["escaped"]:
            name = _ESCAPES.sub(lambda found: {"n": "\n", "r": "\r", "\\": "\\"}[found[1]], name)
    elif _ALONE.fullmatch(line):
        digest, name = line, None
    else:
        return None
    algorithm = _BY_LENGTH.get(len(digest))
    return None if algorithm is None else Entry(f"{algorithm}:{digest.lower()}", name)


def pick(entries: Iterable[Entry], file: str) -> str:
    """Find the checksum of a file.

    Args:
        entries: All there are.
        file: Its name, as it is written there or without its folders.

    Returns:
        ``sha512:<hex>`` where there is one, else ``sha256:<hex>``.

    Raises:
        NotListedError: There is none, or several that differ.
    """
    listed = list(entries)
    if not listed:
        raise NotListedError("it has no SHA-256 and no SHA-512 checksum")
    found = [each for each in listed if each.name is not None and _plain(each.name) == _plain(file)]
    if not found and "/" not in file:
        found = [each for each in listed if each.name is not None and posixpath.basename(each.name) == file]
    if not found and len(listed) == 1 and listed[0].name is None:
        found = listed
    if not found:
        some = ", ".join(each.name for each in listed[:3] if each.name is not None)
        raise NotListedError(
            f"it does not list {file!r}; it lists {some or 'no names'}" + (" …" if len(listed) > 3 else "")
        )
    for algorithm in ("sha512:", "sha256:"):
        sums = {each.checksum for each in found if each.checksum.startswith(algorithm)}
        if len(sums) > 1:
            names = ", ".join(sorted({each.name or "" for each in found})[:3])
            raise NotListedError(
                f"it lists {file!r} several times with different checksums ({names}); name the file with its folder"
            )
        if sums:
            return sums.pop()
    raise AssertionError("an entry has one of the two algorithms")


def _plain(name: str) -> str:
    return name.removeprefix("./")
