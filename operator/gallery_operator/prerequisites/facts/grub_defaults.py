"""``/etc/default/grub``: what the administrator wants; grub.cfg is what there is."""

import re
import shlex
from typing import Final

from gallery_operator.prerequisites.tree import Tree

MAIN: Final = "/etc/default/grub"
FOLDER: Final = "/etc/default/grub.d"

_MAX_BYTES: Final = 256 * 1024
_ASSIGNMENT: Final = re.compile(r"(?:export\s+)?(?P<name>[A-Z_][A-Z0-9_]*)=(?P<value>.*)$")


def read_grub_defaults(tree: Tree) -> dict[str, tuple[str, str]]:
    """Value and ``file:line`` by variable; ``grub.d`` (Debian, Ubuntu) is read after the main file.

    Shell code is not run: a value may contain ``$NAME`` of an earlier line, which is put in its place.
    """
    found: dict[str, tuple[str, str]] = {}
    paths = [MAIN] if tree.is_file(MAIN) else []
    paths += [f"{FOLDER}/{name}" for name in tree.names(FOLDER) if name.endswith(".cfg")]
    for path in paths:
        if not tree.is_file(path):
            continue
        for number, line in enumerate(tree.text(path, _MAX_BYTES).splitlines(), start=1):
            match = _ASSIGNMENT.match(line.strip())
            if match:
                found[match["name"]] = (_value(match["value"], found), f"{path}:{number}")
    return found


def _value(text: str, known: dict[str, tuple[str, str]]) -> str:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        words = [text.strip("\"'")]
    plain = words[0] if words else ""
    return re.sub(r"\$\{?([A-Z_][A-Z0-9_]*)\}?", lambda match: known.get(match[1], (match[0], ""))[0], plain)[:8192]
