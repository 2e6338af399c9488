"""One download, as a test wants it."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from gallery_operator.worker.address import AddressRule
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.checksum import Checksum
from gallery_operator.worker.download import Download, DownloadPolicy
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import HttpClient, tls_context
from gallery_operator.worker.tracking import Tracker

MIB = 1024 * 1024
LOOPBACK = AddressRule.of(["127.0.0.0/8"], [])
QUICK = DownloadPolicy(backoff=Backoff(tries=4), checkpoint_bytes=MIB)
BODY = random.Random(5).randbytes(6 * MIB + 77)
SHA = "sha256:" + hashlib.sha256(BODY).hexdigest()


class Fetch:
    """One download into a folder; waits are noted, not waited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slept: list[float] = []

    def __call__(self, url: str, checksum: str | None = SHA, **options: Any) -> Path:
        client = HttpClient(
            rule=options.pop("rule", LOOPBACK),
            tls=options.pop("tls", None) or tls_context(None),
            headers=options.pop("headers", {}),
            timeout=options.pop("timeout", 10.0),
            authorizer=options.pop("authorizer", None),
            **({"resolver": options.pop("resolver")} if "resolver" in options else {}),
        )
        path = self.folder / "download"
        values: dict[str, Any] = {"limit": 64 * MIB, "policy": QUICK, "fingerprint": "f"}
        values.update(options)
        Download(
            client=client,
            url=url,
            path=path,
            checksum=Checksum(checksum),
            tracker=Tracker("prepare"),
            sleep=self.slept.append,
            **values,
        ).run()
        return path

    def refused(self, url: str, *arguments: Any, **options: Any) -> WorkerError:
        with pytest.raises(WorkerError) as caught:
            self(url, *arguments, **options)
        return caught.value
