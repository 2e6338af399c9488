"""The shell scripts under hack/, as far as they need neither rights nor a network."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# What the scripts themselves need to come as far as to say what is missing.
NEEDED = ("awk", "bash", "cat", "cut", "dirname", "env", "grep", "head", "mkdir", "sed", "sha256sum", "sort")
NEEDED += ("tail", "tr")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A search path with almost nothing on it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def run(path: Path, tmp_path: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path), "HOME": str(tmp_path), "GALLERY_OPERATOR_CACHE": str(tmp_path / "cache")}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def test_setup_names_what_is_missing_where_it_may_not_install_it(bare: Path, tmp_path: Path) -> None:
    program(bare, "id", "echo 1000")
    program(bare, "apt-get", "echo apt-get was called; exit 99")
    done = run(bare, tmp_path, str(ROOT / "hack/setup"), "system")
    assert done.returncode == 1
    assert "neither are you root nor does sudo work without a password" in done.stderr
    assert "apt-get install --no-install-recommends" in done.stderr
    for package in ("buildah", "containerd", "mmdebstrap", "qemu-utils"):
        assert package in done.stderr
    assert "apt-get was called" not in done.stdout + done.stderr


def test_what_only_tests_need_is_asked_for_by_tests(bare: Path, tmp_path: Path) -> None:
    program(bare, "id", "echo 1000")
    wanted = {"gnupg", "grub-common", "shellcheck"}  # others are looked for in the real /usr/sbin, too
    for part, expected in (("system", set()), ("tests", wanted)):
        named = run(bare, tmp_path, str(ROOT / "hack/setup"), part).stderr.split()
        assert wanted & set(named) == expected
        assert "mmdebstrap" in named


def test_setup_uses_sudo_where_it_needs_no_password(bare: Path, tmp_path: Path) -> None:
    program(bare, "id", "echo 1000")
    program(bare, "sudo", 'shift; exec "$@"')
    program(bare, "true", "exit 0")
    program(bare, "apt-get", f'echo "$@" >>{tmp_path}/calls')
    done = run(bare, tmp_path, str(ROOT / "hack/setup"), "system")
    assert done.returncode == 0, done.stderr
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith("install --yes --quiet --no-install-recommends")
    assert "buildah" in call


def test_setup_updates_package_lists_when_the_first_attempt_fails(bare: Path, tmp_path: Path) -> None:
    program(bare, "id", "echo 0")
    program(bare, "apt-get", f'echo "$1" >>{tmp_path}/calls; [ "$(grep -c . {tmp_path}/calls)" -gt 1 ]')
    done = run(bare, tmp_path, str(ROOT / "hack/setup"), "system")
    assert (tmp_path / "calls").read_text().split() == ["install", "update", "install"]
    assert done.returncode == 0, done.stderr


def test_setup_says_so_where_there_is_no_apt(bare: Path, tmp_path: Path) -> None:
    program(bare, "id", "echo 0")
    done = run(bare, tmp_path, str(ROOT / "hack/setup"), "system")
    assert done.returncode == 1
    assert "this is not Debian or Ubuntu" in done.stderr


def test_with_docker_nothing_of_the_node_is_asked_for(bare: Path, tmp_path: Path) -> None:
    program(bare, "id", "echo 1000")
    program(bare, "docker", "exit 0")
    program(bare, "timeout", 'shift; exec "$@"')
    done = run(bare, tmp_path, str(ROOT / "hack/setup"), "system")
    assert "qemu-utils" in done.stderr
    for package in ("containerd", "buildah", "nftables"):
        assert package not in done.stderr


@pytest.mark.parametrize("script", ["hack/tools/path", "hack/tools/build", "hack/images/build", "hack/setup"])
def test_a_name_that_is_not_known_is_refused_with_those_that_are(script: str, tmp_path: Path) -> None:
    done = run(Path(os.environ["PATH"]), tmp_path, str(ROOT / script), "nonsense")
    assert done.returncode == 1
    assert "nonsense" in done.stderr or "usage" in done.stderr
    assert any(known in done.stderr for known in ("kubectl", "operator", "python"))


@pytest.mark.parametrize(
    ("version", "at_least", "expected"),
    [("1.25.0", "1.25.0", True), ("1.25", "1.25.0", False), ("1.9.7", "1.25.0", False), ("1.100.1", "1.25.0", True)],
)
def test_versions_are_compared_as_versions(version: str, at_least: str, expected: bool) -> None:
    script = '. hack/lib/common.sh; . hack/tools/lib.sh; . hack/tools/go.sh; version_at_least "$@"'
    done = subprocess.run(["bash", "-c", script, "test", version, at_least], cwd=ROOT, check=False)
    assert (done.returncode == 0) is expected


def test_every_tool_is_pinned_by_its_module() -> None:
    script = f'. {ROOT}/hack/lib/common.sh; . {ROOT}/hack/tools/lib.sh; printf "%s\\n" "${{TOOLS[@]}}"'
    rows = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(rows) > 10
    for row in rows:
        name, module, package = row.split("|")
        pinned = (ROOT / "hack/tools" / module / "go.mod").read_text()
        if package == "." or package.startswith("./"):
            assert (ROOT / "hack/tools" / module / package / "main.go").exists(), name
        else:
            tools = {line.removeprefix("tool").strip() for line in pinned.splitlines()}
            assert package in tools, f"{name}: no tool line for {package}"


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    scripts = [
        path
        for folder in ("hack/lib", "hack/tools", "hack/images")
        for path in (ROOT / folder).glob("*")
        if path.is_file() and (path.suffix == ".sh" or path.read_bytes().startswith(b"#!"))
    ]
    done = subprocess.run(
        ["shellcheck", ROOT / "hack/setup", *scripts], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
