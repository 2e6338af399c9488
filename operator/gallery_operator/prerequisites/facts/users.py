"""Accounts: passwd, shadow, login.defs."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gallery_operator.prerequisites.readers.base import NotFoundError
from gallery_operator.prerequisites.tree import Tree

_MAX_BYTES: Final = 4 * 1024 * 1024
_NO_LOGIN: Final = frozenset({"nologin", "false", "sync", "shutdown", "halt", "true", "git-shell"})


class Password(StrEnum):
    """What can be done with an account's password field (shadow(5))."""

    LOCKED = "locked"
    EMPTY = "empty"
    USABLE = "usable"
    NONE = "not in /etc/shadow"


@dataclass(frozen=True, slots=True)
class Account:
    """An account.

    Attributes:
        name: Login name.
        uid: Number.
        home: Home directory.
        shell: Login shell; empty means ``/bin/sh``.
        password: State of the password; the hash itself is not kept.
    """

    name: str
    uid: int
    home: str
    shell: str
    password: Password

    @property
    def can_log_in(self) -> bool:
        """Whether the shell is one that takes commands."""
        return self.shell.rsplit("/", 1)[-1] not in _NO_LOGIN


@dataclass(frozen=True, slots=True)
class Users:
    """All accounts.

    Attributes:
        accounts: In the order of /etc/passwd.
        uid_min: Lowest number of a person (``UID_MIN``).
        uid_max: Highest number of a person (``UID_MAX``).
    """

    accounts: tuple[Account, ...]
    uid_min: int = 1000
    uid_max: int = 60000

    def root(self) -> Account | None:
        """The account with number 0 that is called root."""
        return next((each for each in self.accounts if each.name == "root"), None)

    def people(self) -> tuple[Account, ...]:
        """Accounts in the range for people whose shell takes commands."""
        return tuple(each for each in self.accounts if self.uid_min <= each.uid <= self.uid_max and each.can_log_in)

    def homes(self) -> Iterator[tuple[str, str]]:
        """(name, home) of root and of everyone who can log in; a home that is ``/`` counts for nobody."""
        yield "root", "/root"
        seen = {"/root", "/", "/nonexistent", ""}
        for each in self.accounts:
            home = each.home.rstrip("/")
            if home not in seen and (each.can_log_in or each.uid >= self.uid_min):
                seen.add(home)
                yield each.name, home


def read_users(tree: Tree) -> Users:
    """Read the accounts.

    Raises:
        NotFoundError: There is no /etc/passwd.
    """
    shadow = _shadow(tree)
    accounts = []
    for line in tree.text("/etc/passwd", _MAX_BYTES).splitlines():
        fields = line.split(":")
        if len(fields) < 7 or not fields[2].isdecimal():
            continue
        field = fields[1]
        password = shadow.get(fields[0], Password.NONE) if field == "x" else _password(field)
        accounts.append(Account(fields[0], int(fields[2]), fields[5], fields[6].strip(), password))
    definitions = _login_defs(tree)
    return Users(
        tuple(accounts),
        uid_min=definitions.get("UID_MIN", 1000),
        uid_max=definitions.get("UID_MAX", 60000),
    )


def _shadow(tree: Tree) -> dict[str, Password]:
    try:
        text = tree.text("/etc/shadow", _MAX_BYTES)
    except NotFoundError:
        return {}
    rows = (line.split(":") for line in text.splitlines())
    return {fields[0]: _password(fields[1]) for fields in rows if len(fields) > 1}


def _password(field: str) -> Password:
    if field == "":
        return Password.EMPTY
    # "!hash" is a locked account that keeps its hash; "*LOCK*" is what the Azure agent writes.
    if field[0] in "!*":
        return Password.LOCKED
    return Password.USABLE


def _login_defs(tree: Tree) -> dict[str, int]:
    found: dict[str, int] = {}
    # openSUSE keeps its own in /usr/etc
    for path in ("/usr/etc/login.defs", "/etc/login.defs"):
        if tree.is_file(path):
            for _, line in tree.lines(path):
                words = line.split()
                if len(words) >= 2 and words[1].isdecimal():
                    found[words[0]] = int(words[1])
    return found
