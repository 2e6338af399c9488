"""Real disk images for tests: built from Debian packages by hack/images/disks/build, kept in the cache folder."""

import functools
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_BUILD = ROOT / "hack/images/disks/build"
_SECONDS = 1200


@functools.cache
def _built(name: str) -> Path | str:
    """The path of a disk, or why there is none."""
    done = subprocess.run([_BUILD, name], capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    return Path(done.stdout.strip().splitlines()[-1])


def disk_image(name: str) -> Path:
    """A disk image, built if it is not in the cache.

    Args:
        name: As hack/images/disks/build --help lists them, for example ``debian-12-gen2`` or ``data-disk.vhd``.

    Returns:
        Its path; tests must not write to it.
    """
    found = _built(name)
    if isinstance(found, str):
        pytest.skip(f"disk image {name} cannot be built here: {found}")
    return found
