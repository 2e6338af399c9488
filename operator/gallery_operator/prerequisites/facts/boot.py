"""The default kernel and the command line that it is started with.

Read as a boot loader would: the default entry of grub.cfg, else Boot Loader Specification entries, else a unified
kernel image, else the newest installed kernel without a command line.
"""

import fnmatch
import re
import shlex
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gallery_operator.prerequisites.facts import grub_config, loader_paths, uki
from gallery_operator.prerequisites.facts.grub_config import BootEntry
from gallery_operator.prerequisites.readers.base import NotFoundError, UnreadableError
from gallery_operator.prerequisites.tree import Tree

_MAX_CONFIG: Final = 4 * 1024 * 1024
_MAX_ENTRIES: Final = 256
_GRUB_CONFIGS: Final = (
    "/boot/grub/grub.cfg",
    "/boot/grub2/grub.cfg",
    "/boot/efi/EFI/*/grub.cfg",
    "/efi/EFI/*/grub.cfg",
)
_BLS_FOLDERS: Final = ("/boot/loader/entries", "/boot/efi/loader/entries", "/efi/loader/entries")
_LOADER_CONFIGS: Final = ("/boot/loader/loader.conf", "/boot/efi/loader/loader.conf", "/efi/loader/loader.conf")
_GRUBENVS: Final = ("/boot/grub2/grubenv", "/boot/grub/grubenv", "/boot/efi/EFI/*/grubenv")
_VARIABLE: Final = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_KERNEL_NAMES: Final = ("vmlinuz-", "vmlinux-", "kernel-", "Image-", "bzImage-")


@dataclass(frozen=True, slots=True)
class Boot:
    """What would be booted.

    Attributes:
        kernel: Path of the kernel in the guest.
        version: Its release, as ``uname -r`` prints it.
        initrds: Paths of its initramfs files; may name files that do not exist.
        cmdline: Its command line, variables of GRUB replaced; None when nothing says one.
        source: ``file:line`` that says so.
        slices: Where the initramfs is inside another file: (path, offset, bytes); of unified kernel images.
    """

    kernel: str
    version: str
    initrds: tuple[str, ...]
    cmdline: str | None
    source: str
    slices: tuple[tuple[str, int, int], ...] = ()

    def words(self) -> list[str]:
        """The command line's words; quotes as the kernel reads them."""
        if self.cmdline is None:
            raise UnreadableError(f"no kernel command line was found for {self.kernel}")
        try:
            return shlex.split(self.cmdline)
        except ValueError:
            return self.cmdline.split()

    def values(self, name: str) -> list[str]:
        """Values of ``name=value``, in order; dash and underscore are the same to the kernel."""
        wanted = name.replace("-", "_")
        found = []
        for word in self.words():
            key, separator, value = word.partition("=")
            if separator and key.replace("-", "_") == wanted:
                found.append(value)
        return found


def read_boot(tree: Tree) -> Boot:
    """Find the default kernel.

    Raises:
        NotFoundError: There is no kernel, or the boot loader does not find the one that it is to start.
        UnreadableError: Something on the way could not be read.
    """
    environment = grub_environment(tree)
    configs = list(_grub_configs(tree))
    entry = _grub_entry(configs, environment) or _bls_entry(tree, _bls_default(tree, configs, environment))
    if entry is None:
        return _unified(tree) or _flatcar(tree) or _newest(tree)
    try:
        kernel = loader_paths.find(tree, entry.kernel, relative=entry.btrfs_relative)
    except NotFoundError as error:
        raise NotFoundError(f"{entry.source} starts {entry.kernel}, {error}") from error
    initrds = tuple(_initrd(tree, each, relative=entry.btrfs_relative) for each in entry.initrds)
    options = _VARIABLE.sub(lambda match: environment.get(match[1], ""), entry.options).strip()
    if not options and entry.source.endswith(".conf:1") and tree.is_file("/etc/kernel/cmdline"):
        options = " ".join(tree.text("/etc/kernel/cmdline", _MAX_CONFIG).split())
    return Boot(kernel, _version(tree, kernel), initrds, options, entry.source)


def read_entries(tree: Tree) -> tuple[BootEntry, ...]:
    """All entries of the Boot Loader Specification, by file name."""
    return tuple(entry for entry, _ in _bls_entries(tree).values())


def _unified(tree: Tree) -> Boot | None:
    """The newest unified kernel image; its command line is part of it."""
    found: list[Boot] = []
    for path in [f"{folder}/{name}" for folder in uki.FOLDERS for name in tree.names(folder)][:_MAX_ENTRIES]:
        parts = uki.sections(tree, path) if path.lower().endswith(".efi") else {}
        if ".linux" not in parts:
            continue
        # <token>-<release>.efi, where no section says the release
        name = re.sub(r"(\+\d+(-\d+)?)?\.efi$", "", path.rsplit("/", 1)[1], flags=re.IGNORECASE)
        version = uki.text(tree, path, parts.get(".uname")) or name.partition("-")[2] or name
        slices = ((path, *parts[".initrd"]),) if ".initrd" in parts else ()
        found.append(Boot(path, version, (), uki.text(tree, path, parts.get(".cmdline")), f"{path} .cmdline", slices))
    return max(found, key=lambda each: version_key(each.version), default=None)


def version_key(text: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key that puts 6.10 after 6.9."""
    return tuple((1, int(each)) if each.isdigit() else (0, each) for each in re.findall(r"\d+|[a-z]+", text))


def _grub_configs(tree: Tree) -> Iterator[tuple[str, str]]:
    """Path and text of every grub.cfg."""
    for pattern in _GRUB_CONFIGS:
        for path in tree.glob(pattern):
            if tree.is_file(path):
                yield path, tree.text(path, _MAX_CONFIG)


def _grub_entry(configs: list[tuple[str, str]], environment: Mapping[str, str]) -> BootEntry | None:
    for path, text in configs:
        entry = grub_config.default_entry(path, text, environment)
        if entry is not None:
            return entry
    return None


def _bls_entries(tree: Tree) -> dict[str, tuple[BootEntry, dict[str, list[str]]]]:
    """(entry, fields) by identifier."""
    entries: dict[str, tuple[BootEntry, dict[str, list[str]]]] = {}
    for folder in _BLS_FOLDERS:
        for name in tree.names(folder)[:_MAX_ENTRIES]:
            if not name.endswith(".conf"):
                continue
            fields = _bls_fields(tree.text(f"{folder}/{name}", _MAX_CONFIG))
            if "linux" not in fields:
                continue
            identifier = name.removesuffix(".conf")
            entry = BootEntry(
                fields["linux"][0],
                tuple(" ".join(fields.get("initrd", [])).split()[: grub_config.MAX_INITRDS]),
                " ".join(fields.get("options", [])),
                f"{folder}/{name}:1",
            )
            entries[identifier] = (entry, fields)
    return entries


def _bls_default(tree: Tree, configs: list[tuple[str, str]], environment: Mapping[str, str]) -> str:
    """What the boot loader takes as default: GRUB's variable, else systemd-boot's pattern of identifiers."""
    names = [grub_config.default_name(text, environment) for _, text in configs]
    found = next((each for each in names if each), "") or environment.get("saved_entry", "")
    if found or configs:
        return found
    for path in _LOADER_CONFIGS:
        if tree.is_file(path):
            return _bls_fields(tree.text(path, _MAX_CONFIG)).get("default", [""])[-1]
    return ""


def _bls_entry(tree: Tree, default: str) -> BootEntry | None:
    """The default entry: by identifier, pattern, title or index among the newest first (blscfg sorts them so)."""
    entries = _bls_entries(tree)
    if not entries:
        return None

    def version(each: str) -> tuple[tuple[int, int | str], ...]:
        return version_key(entries[each][1].get("version", [each])[0])

    newest = sorted(entries, key=version, reverse=True)
    # A rescue entry is booted by itself only where nothing else is.
    newest.sort(key=lambda each: "rescue" in each)
    if default.isdecimal():
        chosen = newest[int(default) if int(default) < len(newest) else 0]
    else:
        pattern = default.removesuffix(".conf")
        titled = [each for each in newest if default and default in entries[each][1].get("title", [])]
        matching = [each for each in newest if pattern and fnmatch.fnmatchcase(each, pattern)]
        # The pattern's brackets may be an identifier's own.
        chosen = pattern if pattern in entries else next(iter(titled + matching), newest[0])
    return entries[chosen][0]


def _bls_fields(text: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = line.split(None, 1)
        if len(words) == 2 and not words[0].startswith("#"):
            fields.setdefault(words[0], []).append(words[1].strip())
    return fields


def grub_environment(tree: Tree) -> dict[str, str]:
    """Variables of the environment block (1024 bytes, filled up with ``#``)."""
    for pattern in _GRUBENVS:
        for path in tree.glob(pattern):
            if tree.is_file(path):
                lines = tree.text(path, 64 * 1024).splitlines()
                pairs = (line.partition("=") for line in lines if not line.startswith("#"))
                return {key: value for key, separator, value in pairs if separator}
    return {}


def _initrd(tree: Tree, path: str, *, relative: bool) -> str:
    """Where it is in the guest; as it is written when it is nowhere."""
    try:
        return loader_paths.find(tree, path, relative=relative)
    except NotFoundError:
        return path


def _flatcar(tree: Tree) -> Boot | None:
    """Flatcar's kernel: on the EFI system partition, one for each of its two /usr, the initramfs inside.

    Its GRUB is not asked: which /usr is active, the partition table says; build_image_util.sh and grub.cfg of
    flatcar/scripts.
    """
    paths = [path for name in ("a", "b") if tree.is_file(path := f"/boot/flatcar/vmlinuz-{name}")]
    versions = tree.names("/usr/lib/modules")
    if not paths or not versions:
        return None
    # Kernels without a header that says their release (Arm64) are taken to be the one that /usr is made for.
    said = {path: _said_version(tree, path) for path in paths}
    for path in paths:
        if said[path] is None or said[path] in versions:
            version = said[path] or max(versions, key=version_key)
            return Boot(path, version, (), None, path)
    raise NotFoundError(f"{' and '.join(paths)} are kernels {', '.join(map(str, said.values()))}, /usr is made for "
                        f"{', '.join(versions[:5])}")  # fmt: skip


def _newest(tree: Tree) -> Boot:
    found = [
        path
        for folder in ("/boot", "/usr/lib/modules/*", "/lib/modules/*")
        for path in tree.glob(f"{folder}/vmlinu[xz]*") + tree.glob(f"{folder}/Image*")
        if tree.is_file(path)
    ]
    if not found:
        raise NotFoundError("no kernel was found: no boot loader entry, and no vmlinuz below /boot or /lib/modules")
    kernel = max(found, key=lambda path: version_key(_version(tree, path)))
    version = _version(tree, kernel)
    initrds = tuple(
        path
        for name in (f"initrd.img-{version}", f"initramfs-{version}.img", f"initrd-{version}")
        if tree.is_file(path := f"/boot/{name}")
    )
    return Boot(kernel, version, initrds[:1], None, kernel)


def _version(tree: Tree, kernel: str) -> str:
    """Release of a kernel: by its file name, by its folder, else from the x86 boot header."""
    real = tree.real(kernel)
    name = real.rsplit("/", 1)[1]
    for prefix in _KERNEL_NAMES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    match = re.match(r"(?:/usr)?/lib/modules/([^/]+)/", real)
    if match:
        return match[1]
    version = _said_version(tree, real)
    if version is None:
        raise UnreadableError(f"the release of kernel {kernel} cannot be told")
    return version


def _said_version(tree: Tree, path: str) -> str | None:
    """The release in the boot header of an x86 kernel (Documentation/arch/x86/boot.rst)."""
    head = tree.pread(path, 0x10000)
    # "HdrS" at 0x202, offset of the version string (less 0x200) at 0x20e
    if head[0x202:0x206] != b"HdrS":
        return None
    (offset,) = struct.unpack_from("<H", head, 0x20E)
    words = head[offset + 0x200 : offset + 0x300].split(b"\0", 1)[0].decode("ascii", "replace").split()
    return words[0] if words else None
