"""Both steps of an import, killed at twenty random moments."""

from __future__ import annotations

import contextlib
import hashlib
import random
import subprocess
import time
from collections.abc import Iterator

import pytest
from tests.integration.worker.badserver import BadServer
from tests.integration.worker.blobproxy import Request
from tests.integration.worker.process import Worker
from tests.integration.worker.stages import Stage, big_disk

from gallery_operator.contract import ExitCode, PrepareConfig, Report, UploadConfig, UrlSource

MIB = 1024 * 1024
_KILLS = 20
_SEED = 20261124


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    started: list[Worker] = []
    yield started
    for each in started:
        each.kill()


class Fire:
    """Starts workers and kills them after a random while."""

    def __init__(self, stage: Stage, workers: list[Worker]) -> None:
        self.stage = stage
        self.workers = workers
        self.chance = random.Random(_SEED)
        self.kills = 0

    def run(self, job: str, config: PrepareConfig | UploadConfig, kills: int) -> Report:
        """Kill so many workers; those that ended before do not count, and no more than twice as many are tried."""
        before = self.kills
        for _ in range(2 * kills):
            if self.kills - before == kills:
                break
            worker = Worker(job, config, self.stage.folder)
            self.workers.append(worker)
            # The moment is counted from its first sign of life, else most of them would meet the interpreter's start.
            with contextlib.suppress(AssertionError):
                worker.wait_for(lambda now: True, 20)
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(self.chance.uniform(0.0, 0.7))
            if worker.process.poll() is None:
                worker.kill()
                self.kills += 1
        status, report = Worker(job, config, self.stage.folder).end()
        assert (status, report is not None and report.succeeded) == (ExitCode.DONE, True), report
        assert report is not None
        return report


def test_an_import_killed_at_twenty_random_moments(server: BadServer, stage: Stage, workers: list[Worker]) -> None:
    data = big_disk(96 * MIB, 40 * MIB)
    stage.data = data
    server.serve("/disk", data, chunk=MIB, pace=0.01)
    source = UrlSource(
        url=server.url("/disk"),
        checksum="sha256:" + hashlib.sha256(data).hexdigest(),
        allowed_cidrs=("127.0.0.0/8",),
    )
    fire = Fire(stage, workers)
    stage.report = fire.run("prepare", stage.prepare_config.model_copy(update={"source": source}), _KILLS // 2)
    assert stage.report.disk is not None
    assert stage.report.disk.sha256 == hashlib.sha256(stage.vhd).hexdigest()

    def slowly(request: Request) -> None:
        if request.is_put_page:
            time.sleep(0.15)

    stage.proxy.faults.append(slowly)
    fire.run("upload", stage.config(concurrency=2), _KILLS // 2)
    assert fire.kills == _KILLS, f"seed {_SEED}"
    assert stage.content() == stage.vhd
    properties = stage.blob.get_blob_properties()
    assert properties.metadata["state"] == "complete"
    assert properties.lease.state == "available"
    left = {each.name for each in (stage.folder / "scratch").iterdir()}
    assert left <= {"disk", "manifest.json", "pieces", "stage.json", "upload.journal"}
