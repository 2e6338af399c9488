"""A scratch volume on which not a byte is free any more, when the upload begins."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.integration.worker.process import Worker
from tests.integration.worker.stages import Stage, big_disk

from gallery_operator.contract import ExitCode, FailureCode

MIB = 1024 * 1024


def test_an_upload_with_a_full_scratch_volume(stage: Stage, tmp_path: Path) -> None:
    """The disk on a claim is read in place: it is told that the volume is full, and once there is room, it goes on."""
    stage.prepare(big_disk(32 * MIB, 24 * MIB))
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        for each in (tmp_path / "scratch").iterdir():
            shutil.copy2(each, small / each.name)
        filler = small / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(4096))
        config = stage.config(scratch_dir=str(small))
        status, report = Worker("upload", config, tmp_path).end()
        assert report is not None
        assert (status, report.code) == (ExitCode.FAILED, FailureCode.SCRATCH_FULL), report
        filler.unlink()
        status, report = Worker("upload", config, tmp_path).end()
        assert (status, report is not None and report.succeeded) == (ExitCode.DONE, True), report
        assert stage.content() == stage.vhd
    finally:
        subprocess.run(["umount", str(small)], check=True)
