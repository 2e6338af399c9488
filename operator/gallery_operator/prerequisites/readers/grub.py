"""Btrfs (and whatever else GRUB reads) through the program grub-fstest of Debian's grub-common.

It runs as a process of its own with bounded time and output. GRUB follows links itself and tells neither
modes nor owners, so a node here never says that it is a link, and ``Stat.mode`` is None. A name that is
listed but cannot be opened (a dangling or absolute link inside a subvolume) is unreadable, not absent.
The names that reach the program are the ones we look for; names read from the image are passed on only
after a check of their characters.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gallery_operator.prerequisites.readers.base import Kind, Stat, UnreadableError

PROGRAM: Final = "grub-fstest"

_SECONDS: Final = 20
_MAX_LIST_BYTES: Final = 4 * 1024 * 1024
_PIECE: Final = 64 * 1024 * 1024
# GRUB's own syntax gives a meaning to these: "(device)", ",", blanks in its listing, quoting.
_SAFE: Final = re.compile(r"[A-Za-z0-9_@.+:~=#%\\-]+")
_LINE: Final = re.compile(r"(?P<size>DIR|\d+)\s+(?P<date>\d{14})?\s*(?P<name>\S+)\s*$")


def available() -> bool:
    """Whether the program is installed."""
    return shutil.which(PROGRAM) is not None


class GrubFileSystem:
    """One file system of a disk.

    Args:
        image: File with the disk from offset 0.
        device: GRUB's name of the volume, for example ``loop0,gpt2``; built from the partition table.
        type: As the superblock says.
        prefix: Folder (Btrfs subvolume) that is the root, for example ``/@``.
    """

    reader = PROGRAM

    def __init__(self, image: Path, device: str, type: str, prefix: str = "") -> None:  # noqa: A002
        self._image = image
        self._device = device
        self._type = type
        self.prefix = prefix

    @property
    def type(self) -> str:
        """As the superblock says."""
        return self._type

    def subvolume(self, prefix: str) -> GrubFileSystem:
        """The same file system with another folder as its root."""
        return GrubFileSystem(self._image, self._device, self._type, prefix)

    def root(self) -> GrubNode:
        """The root directory."""
        return GrubNode(self, "", Stat(Kind.DIRECTORY, 0))

    def close(self) -> None:
        """Nothing is held open."""

    def run(self, *command: str, path: str, limit: int) -> bytes:
        """Run one command on one path.

        Raises:
            UnreadableError: The program is missing, failed, took too long, or said too much.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise UnreadableError(f"{self._type} needs the program {PROGRAM}, which is not installed")
        for part in path.split("/"):
            if part and not _SAFE.fullmatch(part):
                raise UnreadableError(f"a name has characters that are not given to {PROGRAM}")
        argv = [program, str(self._image.absolute()), *command, f"({self._device}){self.prefix}{path or '/'}"]
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and every argument is built here
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise UnreadableError(f"{PROGRAM} did not answer: {type(error).__name__}") from error
        if done.returncode != 0 or len(done.stdout) > limit:
            reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise UnreadableError(f"{PROGRAM}: {(reason or ['failed'])[-1][:200]}")
        return done.stdout


class GrubNode:
    """A path inside a file system."""

    def __init__(self, owner: GrubFileSystem, path: str, stat: Stat) -> None:
        self._owner = owner
        self._path = path
        self._stat = stat
        self._children: dict[str, Stat | None] | None = None

    @property
    def stat(self) -> Stat:
        """Kind and size; no mode, no owner."""
        return self._stat

    def child(self, name: str) -> GrubNode | None:
        """The entry of this directory with that name."""
        if self._stat.kind is not Kind.DIRECTORY:
            return None
        listed = self._list()
        if name not in listed:
            return None
        facts = listed[name]
        if facts is None:
            # The long listing opens what it lists as a file, so a link to a directory is not in it.
            facts = listed[name] = self._followed(name)
        return GrubNode(self._owner, f"{self._path}/{name}", facts)

    def _followed(self, name: str) -> Stat:
        path = f"{self._path}/{name}"
        try:
            self._owner.run("ls", path=f"{path}/", limit=_MAX_LIST_BYTES)
        except UnreadableError as error:
            raise UnreadableError(f"{path} is a link that {PROGRAM} cannot follow") from error
        return Stat(Kind.DIRECTORY, 0)

    def names(self) -> Iterator[str]:
        """Names in this directory."""
        yield from self._list()

    def pread(self, length: int, offset: int) -> bytes:
        """Bytes of this file."""
        if length <= 0 or offset >= self._stat.size:
            return b""
        length = min(length, self._stat.size - offset, _PIECE)
        return self._owner.run("-s", str(offset), "-n", str(length), "cat", path=self._path, limit=length + _PIECE)[
            :length
        ]

    def link(self) -> str:
        """GRUB has followed it already."""
        raise UnreadableError(f"{PROGRAM} cannot read links")

    def _list(self) -> dict[str, Stat | None]:
        if self._children is None:
            text = self._owner.run("ls", "--", "-l", path=f"{self._path}/", limit=_MAX_LIST_BYTES)
            names = self._owner.run("ls", path=f"{self._path}/", limit=_MAX_LIST_BYTES)
            self._children = _parse(names.decode("utf-8", "replace"), text.decode("utf-8", "replace"))
        return self._children


def _parse(short: str, long: str) -> dict[str, Stat | None]:
    """Join both listings: the long one leaves out what it cannot open."""
    found: dict[str, Stat | None] = {
        each.rstrip("/"): None for each in short.split() if each.rstrip("/") not in ("", ".", "..")
    }
    for line in long.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name = match["name"].rstrip("/")
        if name not in found:
            continue
        if match["size"] == "DIR":
            found[name] = Stat(Kind.DIRECTORY, 0)
        else:
            found[name] = Stat(Kind.FILE, int(match["size"]))
    return found
