"""Paths inside an image: links never leave it, and nothing takes for ever."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gallery_operator.prerequisites import tree as tree_module
from gallery_operator.prerequisites.readers.base import Kind, NotFoundError, ReadError, UnreadableError
from gallery_operator.prerequisites.readers.folder import FolderFileSystem
from gallery_operator.prerequisites.tree import Tree


def make(folder: Path, files: dict[str, str | None], links: dict[str, str]) -> Tree:
    folder.mkdir(exist_ok=True)
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            target.mkdir(exist_ok=True)
        else:
            target.write_text(content)
    for path, destination in links.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(destination)
    return Tree(FolderFileSystem(folder))


def test_absolute_and_relative_links_stay_in_the_image(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("host")
    tree = make(
        tmp_path / "image",
        {"etc/passwd": "image", "usr/bin/bash": "b"},
        {
            "bin": "usr/bin",
            "absolute": "/etc/passwd",
            "up": "../../../../../../etc/passwd",
            "secret": "../secret",
            "etc/proc": "/proc/1/environ",
        },
    )
    assert tree.text("/absolute") == tree.text("/up") == "image"
    assert tree.real("/bin/bash") == "/usr/bin/bash"
    assert tree.text("/usr/../bin/../bin/bash") == "b"
    for path in ("/secret", "/etc/proc", "/../secret", "/etc/../../secret"):
        with pytest.raises((NotFoundError, UnreadableError)):
            tree.text(path)
    assert tree.is_link("/etc/proc")
    assert tree.lexists("/etc/proc")
    assert not tree.exists("/etc/proc")


def test_a_loop_of_links_is_unreadable(tmp_path: Path) -> None:
    tree = make(tmp_path / "i", {}, {"a": "b", "b": "a", "self": "self/x"})
    for path in ("/a", "/b/c", "/self"):
        with pytest.raises(UnreadableError, match="links"):
            tree.exists(path)
    assert tree.readlink("/a") == "b"


def test_forty_links_are_followed_and_one_more_is_not(tmp_path: Path) -> None:
    links = {f"l{number}": f"l{number + 1}" for number in range(60)}
    tree = make(tmp_path / "i", {"l60": "end"}, links)
    assert tree.text("/l20") == "end"
    with pytest.raises(UnreadableError):
        tree.text("/l19")


def test_mounts_cover_what_is_below_them(tmp_path: Path) -> None:
    root, boot = FolderFileSystem(tmp_path / "r"), FolderFileSystem(tmp_path / "b")
    make(tmp_path / "r", {"boot/old": "x", "home/a": "y"}, {"kernel": "boot/vmlinuz"})
    make(tmp_path / "b", {"vmlinuz": "k"}, {"up": "../home/a"})
    tree = Tree(root, {"/boot": boot, "/home": UnreadableError("it is LUKS")})

    assert tree.text("/kernel") == "k"
    assert tree.names("/boot") == ["up", "vmlinuz"]
    assert not tree.exists("/boot/old")
    for path in ("/home/a", "/boot/up", "/home"):
        with pytest.raises(UnreadableError, match="LUKS"):
            tree.exists(path)


def test_what_is_asked_of_the_wrong_kind(tmp_path: Path) -> None:
    tree = make(tmp_path / "i", {"etc/x": "1\n# c\n\n2 \n", "d": None}, {"dangling": "nowhere"})
    assert tree.lines("/etc/x") == [(1, "1"), (4, "2")]
    assert tree.names("/etc/x") == tree.names("/none") == []
    assert tree.text_or_none("/etc") is None
    assert tree.stat("/dangling", follow=False).kind is Kind.LINK
    assert tree.glob("/etc/*") == tree.glob("e*/x") == ["/etc/x"]
    assert [path for path, _ in tree.walk("/")] == ["/d", "/dangling", "/etc", "/etc/x"]
    with pytest.raises(UnreadableError, match="directory"):
        tree.read("/etc")
    with pytest.raises(UnreadableError, match="more than 2"):
        tree.read("/etc/x", limit=2)
    with pytest.raises(NotFoundError):
        tree.read("/etc/x/y")
    with pytest.raises(UnreadableError, match="entries"):
        list(tree.walk("/", limit=2))


def test_what_is_read_in_all_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file within its bound, but more of them, or the same again, than a check could ever need."""
    monkeypatch.setattr(tree_module, "MAX_BYTES_IN_ALL", 1000)
    tree = make(tmp_path, {"a": "x" * 300, "b": "x" * 300}, {})
    for path in ("/a", "/b", "/a"):
        tree.read(path)
    with pytest.raises(UnreadableError, match="would be read from the files"):
        tree.read("/b")
    other = make(tmp_path / "other", {"a": "x" * 300}, {})
    with pytest.raises(UnreadableError, match="would be read from the files"):
        for _ in range(5):
            other.pread("/a", 10_000)


def test_what_is_listed_in_all_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "MAX_NAMES_IN_ALL", 30)
    tree = make(tmp_path, {f"d/{number}": "" for number in range(10)}, {})
    for _ in range(3):
        assert len(tree.names("/d")) == 10
    with pytest.raises(UnreadableError, match="more than 30 names"):
        tree.names("/d")


def test_the_file_system_of_a_path(tmp_path: Path) -> None:
    root, boot = FolderFileSystem(tmp_path), FolderFileSystem(tmp_path / "boot")
    tree = Tree(root, {"/boot": boot, "/srv": UnreadableError("luks")})
    assert tree.file_system("/boot/grub") == (boot, "/boot")
    assert tree.file_system("//boot") == (boot, "/boot")
    assert tree.file_system("/bootx") == tree.file_system("/") == tree.file_system("") == (root, "/")
    with pytest.raises(UnreadableError, match="luks"):
        tree.file_system("/srv/www")


NAMES = st.sampled_from(["a", "b", "c", "..", ".", "etc"])
TARGETS = st.builds(
    lambda absolute, parts: ("/" if absolute else "") + "/".join(parts),
    st.booleans(),
    st.lists(NAMES, min_size=1, max_size=6),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    links=st.dictionaries(st.sampled_from(["a", "b", "c", "etc/a", "etc/b"]), TARGETS, max_size=5),
    path=TARGETS,
)
def test_no_path_leaves_the_image(tmp_path_factory: pytest.TempPathFactory, links: dict[str, str], path: str) -> None:
    folder = tmp_path_factory.mktemp("tree")
    (folder / "outside").write_text("host")
    for name in ("a", "b", "c", "etc"):
        (folder / f"{name}-of-host").write_text("host")
    tree = make(folder / "image", {"etc/file": "image"}, links)
    try:
        assert tree.read(path) == b"image"
    except ReadError:
        pass
    else:
        assert tree.real(path) == "/etc/file"
