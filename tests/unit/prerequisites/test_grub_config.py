"""Which entry of grub.cfg is booted: by index, title, id, path through submenus, saved and for once."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_operator.prerequisites.facts.boot import read_boot
from gallery_operator.prerequisites.facts.grub_config import default_entry, default_name
from gallery_operator.prerequisites.readers.base import NotFoundError
from gallery_operator.prerequisites.readers.folder import FolderFileSystem
from gallery_operator.prerequisites.tree import Tree

# As grub-mkconfig 2.06 of Debian writes it (00_header, 10_linux, 30_uefi-firmware), shortened.
HEADER = """\
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="%s"
fi
if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
export menuentry_id_option
function savedefault {
  if [ -z "${boot_once}" ]; then
    saved_entry="${chosen}"
    save_env saved_entry
  fi
}
function gfxmode {
	set gfxpayload="${1}"
}
"""
MENU = """\
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'gnulinux-simple-1' {
	load_video
	search --no-floppy --fs-uuid --set=root 5c3a1f0e
	echo	'Loading Linux 6.1.0-30 ...'
	linux	/boot/vmlinuz-6.1.0-30 root=UUID=5c3a1f0e ro  first
	initrd	/boot/initrd.img-6.1.0-30
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-1' {
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-30' --class debian $menuentry_id_option 'gnulinux-30-advanced-1' {
		linux	/boot/vmlinuz-6.1.0-30 root=UUID=5c3a1f0e ro  second
		initrd	/boot/initrd.img-6.1.0-30
	}
	menuentry "Debian's older, with Linux 6.1.0-29 >> kept" --id 'gnulinux-29-advanced-1' {
		linux	/boot/vmlinuz-6.1.0-29 root=UUID=5c3a1f0e ro  third
		initrd	/boot/early.cpio /boot/initrd.img-6.1.0-29
	}
}
if [ "$grub_platform" = "efi" ]; then
	menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {
		fwsetup
	}
fi
menuentry 'Rescue' {
	linux	/boot/vmlinuz-6.1.0-29 root=UUID=5c3a1f0e ro  fifth
}
"""
SAVED = "${saved_entry}"


def last_word(default: str, **environment: str) -> str:
    entry = default_entry("grub.cfg", HEADER % default + MENU, environment)
    assert entry is not None
    return entry.options.split()[-1]


@pytest.mark.parametrize(
    ("default", "word"),
    [
        ("0", "first"),
        ("", "first"),
        ("3", "fifth"),
        ("9", "first"),
        ("-1", "first"),
        ("Rescue", "fifth"),
        ("Debian GNU/Linux", "first"),
        ("gnulinux-simple-1", "first"),
        ("no such entry", "first"),
        ("1>1", "third"),
        ("1>0", "second"),
        ("1>7", "second"),
        ("1", "second"),
        ("gnulinux-advanced-1", "second"),
        ("gnulinux-advanced-1>gnulinux-29-advanced-1", "third"),
        ("Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-30", "second"),
        ("1>Debian's older, with Linux 6.1.0-29 >>>> kept", "third"),
        # What starts no kernel of this disk
        ("2", "first"),
        ("uefi-firmware", "first"),
    ],
)
def test_the_default_entry(default: str, word: str) -> None:
    assert last_word(default) == word
    # The same by way of grubenv
    assert last_word(SAVED, saved_entry=default) == word
    assert last_word("3", next_entry=default) == (word if default else "fifth")


def test_an_entry_for_once_goes_before_the_saved_one() -> None:
    assert last_word(SAVED, saved_entry="3", next_entry="1>1") == "third"
    assert last_word(SAVED, saved_entry="3", next_entry="") == "fifth"
    # A configuration that does not ask for it
    assert default_name('set default="${saved_entry}"', {"saved_entry": "x", "next_entry": "y"}) == "x"


def test_a_saved_entry_is_not_asked_for_by_a_fixed_default() -> None:
    assert last_word("0", saved_entry="3") == "first"


def test_the_default_is_set_again_below() -> None:
    assert default_name("set default=0\nset default='a b' # why\n", {}) == "a b"


def test_what_belongs_to_the_entry() -> None:
    entry = default_entry("/boot/grub/grub.cfg", HEADER % "1>1" + MENU, {})
    assert entry is not None
    assert entry.kernel == "/boot/vmlinuz-6.1.0-29"
    assert entry.initrds == ("/boot/early.cpio", "/boot/initrd.img-6.1.0-29")
    lines = (HEADER % "1>1" + MENU).splitlines()
    path, _, number = entry.source.rpartition(":")
    assert path == "/boot/grub/grub.cfg"
    assert "third" in lines[int(number) - 1]
    # The initramfs of another entry is not taken for one that has none.
    rescue = default_entry("grub.cfg", HEADER % "3" + MENU, {})
    assert rescue is not None
    assert rescue.initrds == ()


def test_a_stub_boots_nothing_itself() -> None:
    assert default_entry("grub.cfg", "search.fs_uuid 1 root\nset prefix=($root)/boot/grub\nconfigfile x\n", {}) is None


def test_entries_of_the_specification_come_first() -> None:
    assert default_entry("grub.cfg", f"insmod blscfg\nblscfg\n{MENU}", {}) is None


@settings(max_examples=200, deadline=None)
@given(
    text=st.lists(
        st.sampled_from(
            ["menuentry 'a' {", "submenu b {", "}", "function f {", "linux /x y", "initrd /z", "set default='1>0>2'",
             "set default=${saved_entry}", "blscfg", "menuentry 'unclosed {", "set default='", "\0{"]
        ),
        max_size=60,
    ),
    saved=st.text(max_size=12),
)  # fmt: skip
def test_any_text_ends_in_an_entry_or_none(text: list[str], saved: str) -> None:
    entry = default_entry("grub.cfg", "\n".join(text), {"saved_entry": saved})
    assert entry is None or entry.kernel == "/x"


def test_a_deep_menu_is_not_followed_for_ever() -> None:
    text = "submenu a {\n" * 5000 + "menuentry b {\nlinux /x y\n}\n" + "}\n" * 5000
    assert default_entry("grub.cfg", f"set default={'0>' * 5000}0\n{text}", {}) is None


# The Boot Loader Specification: GRUB of Fedora and RHEL, and systemd-boot.


def entries(folder: Path, config: str = "", environment: str = "") -> str:
    """The release that is booted."""
    for version, title in (("5.14.0-9.el9", "Nine"), ("5.14.0-10.el9", "Ten"), ("0-rescue-abc", "Rescue")):
        (folder / "boot/loader/entries").mkdir(parents=True, exist_ok=True)
        (folder / f"boot/vmlinuz-{version}").write_text("")
        (folder / f"boot/loader/entries/id-{version}.conf").write_text(
            f"title {title}\nversion {version}\nlinux /vmlinuz-{version}\noptions ro\n"
        )
    (folder / "boot/grub2").mkdir(exist_ok=True)
    if config:
        (folder / "boot/grub2/grub.cfg").write_text(config)
    (folder / "boot/grub2/grubenv").write_text(environment)
    return read_boot(Tree(FolderFileSystem(folder))).version


BLS = HEADER % SAVED + "insmod blscfg\nblscfg\n"


@pytest.mark.parametrize(
    ("config", "environment", "version"),
    [
        (BLS, "", "5.14.0-10.el9"),
        (BLS, "saved_entry=id-5.14.0-9.el9\n", "5.14.0-9.el9"),
        (BLS, "saved_entry=Nine\n", "5.14.0-9.el9"),
        (BLS, "saved_entry=1\n", "5.14.0-9.el9"),
        (BLS, "saved_entry=2\n", "0-rescue-abc"),
        (BLS, "saved_entry=7\n", "5.14.0-10.el9"),
        (BLS, "saved_entry=id-of-a-kernel-that-was-removed\n", "5.14.0-10.el9"),
        (BLS, "saved_entry=id-5.14.0-9.el9\nnext_entry=id-0-rescue-abc\n", "0-rescue-abc"),
        (HEADER % "1" + "blscfg\n", "saved_entry=id-5.14.0-10.el9\n", "5.14.0-9.el9"),
        ("", "saved_entry=id-5.14.0-9.el9\n", "5.14.0-9.el9"),
    ],
)
def test_entries_that_blscfg_lists(config: str, environment: str, version: str, tmp_path: Path) -> None:
    assert entries(tmp_path, config, environment) == version


@pytest.mark.parametrize(
    ("pattern", "version"), [("id-5.14.0-9*", "5.14.0-9.el9"), ("id-5.14.0-9.el9.conf", "5.14.0-9.el9"),
                             ("x*", "5.14.0-10.el9")]
)  # fmt: skip
def test_systemd_boot_names_its_default_by_a_pattern(pattern: str, version: str, tmp_path: Path) -> None:
    (tmp_path / "boot/loader").mkdir(parents=True)
    (tmp_path / "boot/loader/loader.conf").write_text(f"# x\ntimeout 3\ndefault {pattern}\n")
    assert entries(tmp_path) == version


def test_the_entry_that_is_booted_must_have_its_kernel(tmp_path: Path) -> None:
    (tmp_path / "boot/grub").mkdir(parents=True)
    (tmp_path / "boot/vmlinuz-6.1.0-30").write_text("")
    (tmp_path / "boot/grub/grub.cfg").write_text(HEADER % SAVED + MENU)
    assert read_boot(Tree(FolderFileSystem(tmp_path))).version == "6.1.0-30"
    (tmp_path / "boot/grub/grubenv").write_text("saved_entry=Rescue\n####")
    with pytest.raises(NotFoundError, match=r"grub.cfg:\d+ starts /boot/vmlinuz-6.1.0-29, which does not exist"):
        read_boot(Tree(FolderFileSystem(tmp_path)))
