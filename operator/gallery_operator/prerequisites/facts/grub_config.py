"""The menu of a grub.cfg and the entry of it that GRUB boots when nobody chooses.

Not a shell: blocks and assignments are read, conditions are not evaluated but for the one that grub-mkconfig writes
about ``next_entry``. How the default is looked up: grub-core/normal/menu.c of GRUB (``get_entry_number``,
``menuentry_eq``); what grub-mkconfig writes: util/grub.d/00_header.in and 10_linux.in.
"""

import itertools
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_LINUX: Final = re.compile(r"\s*(?:linux|linux16|linuxefi)\s+(\S+)\s*(.*)$")
_INITRD: Final = re.compile(r"\s*(?:initrd|initrd16|initrdefi)\s+(.+)$")
_BLOCK: Final = re.compile(r"\s*(menuentry|submenu|function)\b(.*)\{\s*$")
_DEFAULT: Final = re.compile(r"\s*set\s+default=(.*)$")
_VARIABLE: Final = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_RELATIVE: Final = re.compile(r"^\s*set\s+btrfs_relative_path=[\"']?y", re.MULTILINE)
_MAX_DEPTH: Final = 16
MAX_INITRDS: Final = 16
"""Files of one entry that are taken; boot loaders have up to three."""


@dataclass(frozen=True, slots=True)
class BootEntry:
    """An entry of a boot loader's configuration.

    Attributes:
        kernel: Path as the boot loader sees it.
        initrds: Paths of its initramfs files.
        options: Command line, variables not replaced.
        source: ``file:line``.
        btrfs_relative: The boot loader looks for the paths in the default subvolume of a Btrfs (GRUB of openSUSE and
            SLES), not in the top-level one.
    """

    kernel: str
    initrds: tuple[str, ...]
    options: str
    source: str
    btrfs_relative: bool = False


@dataclass(slots=True)
class _Item:
    """A line of the menu; a submenu has items of its own."""

    title: str = ""
    identifier: str = ""
    submenu: bool = False
    kernel: str = ""
    options: str = ""
    line: int = 0
    initrds: tuple[str, ...] = ()
    items: list["_Item"] = field(default_factory=list)


def default_entry(path: str, text: str, environment: Mapping[str, str]) -> BootEntry | None:
    """The entry that is booted when nobody chooses.

    Args:
        path: Of the file, for ``source``.
        text: The file.
        environment: Variables of grubenv.

    Returns:
        The entry; None when the file boots no kernel by itself (a stub that loads another file), or when its menu
        begins with the entries of the Boot Loader Specification (``blscfg``).
    """
    menu = _menu(text)
    if menu is None:
        return None
    chosen = _chosen(menu, default_name(text, environment))
    # An entry that starts something else (a firmware menu, another disk's loader) says nothing about a kernel.
    item = chosen if chosen is not None and chosen.kernel else _first_with_kernel(menu)
    if item is None:
        return None
    return BootEntry(item.kernel, item.initrds, item.options, f"{path}:{item.line}", bool(_RELATIVE.search(text)))


def default_name(text: str, environment: Mapping[str, str]) -> str:
    """What GRUB's variable ``default`` is before the menu is shown: an index, a title, an id, or a path of them."""
    if environment.get("next_entry") and "next_entry" in text:
        return environment["next_entry"]
    value = ""
    for line in text.splitlines():
        match = _DEFAULT.match(line)
        if match and "next_entry" not in match[1]:
            raw = _words(match[1])
            value = _VARIABLE.sub(lambda found: environment.get(found[1], ""), raw[0] if raw else "")
    return value


def index_of(name: str, names: list[tuple[str, str]]) -> int:
    """Which of (title, id) a component of ``default`` means; the first when it means none, as in GRUB."""
    if name.isdecimal():
        return int(name) if int(name) < len(names) else 0
    return next((number for number, each in enumerate(names) if name and name in each), 0)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def _menu(text: str) -> list[_Item] | None:
    """The menu, or None when the Boot Loader Specification's entries come first."""
    top = _Item()
    stack: list[_Item] = [top]
    for number, line in enumerate(text.splitlines(), start=1):
        block = _BLOCK.match(line)
        if block:
            item = _item(block[1], block[2])
            # A function's body is no entry, but has an end of its own.
            if block[1] != "function" and len(stack) < _MAX_DEPTH:
                stack[-1].items.append(item)
            stack.append(item)
        elif line.strip() == "}" and len(stack) > 1:
            stack.pop()
        elif len(stack) == 1 and not top.items and re.match(r"\s*blscfg\b", line):
            return None
        else:
            _read_line(stack[-1], line, number)
    # A file without a menu: its commands are run one after the other.
    return top.items or ([top] if top.kernel else [])


def _item(kind: str, rest: str) -> _Item:
    words = _words(rest)
    identifier = ""
    for option, value in itertools.pairwise(words):
        # grub-mkconfig writes the variable, which is empty for versions of GRUB that know no ids.
        if option in ("--id", "$menuentry_id_option", "${menuentry_id_option}"):
            identifier = value
    return _Item(title=words[0] if words else "", identifier=identifier, submenu=kind == "submenu")


def _read_line(item: _Item, line: str, number: int) -> None:
    if not item.kernel:
        match = _LINUX.match(line)
        if match:
            item.kernel, item.options, item.line = match[1], match[2], number
    elif not item.initrds:
        match = _INITRD.match(line)
        if match:
            item.initrds = tuple(match[1].split()[:MAX_INITRDS])


def _chosen(menu: list[_Item], name: str) -> _Item | None:
    """Follow ``a>b`` through submenus; ``>>`` is a ``>`` in a title."""
    item: _Item | None = None
    for part in re.split(r"(?<!>)>(?!>)", name)[:_MAX_DEPTH] or [""]:
        if not menu:
            break
        item = menu[index_of(part.replace(">>", ">"), [(each.title, each.identifier) for each in menu])]
        if not item.submenu:
            return item
        menu = item.items
    # A path that ends at a submenu: GRUB shows it, and its first line is marked.
    return _first_with_kernel(item.items) if item is not None else None


def _first_with_kernel(menu: list[_Item]) -> _Item | None:
    for each in menu:
        found = each if each.kernel else _first_with_kernel(each.items)
        if found is not None:
            return found
    return None
