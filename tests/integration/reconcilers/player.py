"""Plays the Job controller, the kubelet, the worker and the garbage collector: the API server of the tests has none."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from azure.storage.blob import BlobClient
from tests.integration.reconcilers.stage import STORAGE_API_VERSION, Json, Stage, vhd_footer

from gallery_operator.contract import (
    CONFIG_VARIABLE,
    DiskFacts,
    ExitCode,
    FailureCode,
    PrerequisitesReport,
    Report,
    UploadFacts,
    VerificationFacts,
    dump_report,
)

MIB = 1024 * 1024


def now() -> str:
    """Present time, as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def disk(size: int = 20 * MIB) -> bytes:
    """A fixed VHD: some bytes that are not zero, many that are, the footer."""
    return b"boot".ljust(4096, b"\x55").ljust(size, b"\0") + vhd_footer(size)


def checked(vhd: bytes, **changes: Any) -> Report:
    """What ``prepare`` reports of a disk that passed."""
    facts = DiskFacts(
        format="qcow2",
        compression="xz",
        virtual_size=len(vhd) - 512,
        data_bytes=4096,
        sha256=hashlib.sha256(vhd).hexdigest(),
        distribution="debian 12",
        architecture="x64",
    )
    report = Report(job="prepare", succeeded=True, disk=facts, prerequisites=PrerequisitesReport(passed=41, warnings=1))
    return report.model_copy(update=changes)


def failure(job: Any, code: FailureCode, message: str = "It did not work") -> Report:
    """What a worker reports that gives up."""
    return Report(job=job, succeeded=False, code=code, message=message)


class Player:
    """Moves Jobs on as a test wants."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._collector: asyncio.Task[None] | None = None
        self._pods = 0
        self.node: str | None = None  # where pods run; None: nowhere, so that they have no logs

    async def __aenter__(self) -> Player:
        """Begin to collect what is deleted in the foreground."""
        self._collector = asyncio.create_task(self._collect())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop collecting."""
        if self._collector is not None:
            self._collector.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._collector

    async def job(self, component: str, patience: float = 20.0, *, unlike: str = "", of: str = "") -> Json:
        """Wait for the Job of a step that is not ending (nor ``unlike``, a uid), of any import or of one."""

        def look() -> Json | None:
            selector = f"app.kubernetes.io/component={component}"
            selector += f",gallery-operator.dev/vhdimport={of}" if of else ""
            for each in self.stage.list("Job", selector):
                meta = each["metadata"]
                if not meta.get("deletionTimestamp") and meta["uid"] != unlike:
                    return each
            return None

        def told() -> object:
            return [json.dumps(each.get("status"), indent=1) for each in self.stage.list("VhdImport")]

        found = await self.stage.until(look, told, patience)
        assert found is not None
        return found

    def config(self, job: Json) -> Json:
        """What the worker is told."""
        container = job["spec"]["template"]["spec"]["containers"][0]
        text = next(each["value"] for each in container["env"] if each["name"] == CONFIG_VARIABLE)
        document: Json = json.loads(text)
        return document

    def run(self, job: Json, ip: str | None = None) -> str:
        """Start the pod of a Job; returns its name."""
        if self.stage.get("ServiceAccount", "default") is None:
            self.stage.post("ServiceAccount", {"metadata": {"name": "default"}})
        self._pods += 1
        name = f"{job['metadata']['name'][:50]}-{self._pods}"
        template = job["spec"]["template"]
        self.stage.post(
            "Pod",
            {
                "metadata": {
                    "name": name,
                    "labels": {
                        **template["metadata"]["labels"],
                        "batch.kubernetes.io/job-name": job["metadata"]["name"],
                    },
                    "ownerReferences": [
                        {
                            "apiVersion": "batch/v1",
                            "kind": "Job",
                            "name": job["metadata"]["name"],
                            "uid": job["metadata"]["uid"],
                            "controller": True,
                            "blockOwnerDeletion": True,
                        }
                    ],
                },
                "spec": {**template["spec"], **({"nodeName": self.node} if self.node else {})},
            },
        )
        state = {"running": {"startedAt": now()}}
        self._pod_status(name, {"phase": "Running", "podIP": ip, "containerStatuses": [self._container(state)]})
        before = (self.stage.get("Job", job["metadata"]["name"]) or {}).get("status") or {}
        status = {"startTime": before.get("startTime") or now(), "active": 1}
        self.stage.patch("Job", job["metadata"]["name"], {"status": status}, "/status")
        return name

    def end(
        self, job: Json, report: Report | None, *, exit_code: int | None = None, reason: str = "", pod: str = ""
    ) -> None:
        """End the pod of a Job, and the Job with it."""
        name = pod or self.run(job)
        good = report is not None and report.succeeded
        code = exit_code if exit_code is not None else int(ExitCode.DONE if good else ExitCode.FAILED)
        message = dump_report(report) if report is not None else ""
        ended = {"exitCode": code, "message": message, "reason": reason or ("Completed" if good else "Error")}
        state = {"terminated": {**ended, "startedAt": now(), "finishedAt": now()}}
        phase = "Succeeded" if code == 0 else "Failed"
        self._pod_status(name, {"phase": phase, "containerStatuses": [self._container(state)]})
        if code == 0:
            kinds, counts = ("SuccessCriteriaMet", "Complete"), {"succeeded": 1, "completionTime": now()}
        else:
            kinds, counts = ("FailureTarget", "Failed"), {"failed": 1}
        condition = {"status": "True", "lastTransitionTime": now(), "lastProbeTime": now()}
        why = {"reason": "PodFailurePolicy", "message": "Container worker failed"} if code else {}
        conditions = [{"type": each, **condition, **why} for each in kinds]
        body = self.stage.get("Job", job["metadata"]["name"]) or {}
        start = body.get("status", {}).get("startTime") or now()
        status = {"startTime": start, "active": 0, "conditions": conditions, **counts}
        self.stage.patch("Job", job["metadata"]["name"], {"status": status}, "/status")

    def target(self, job: Json, key: str = "url") -> str:
        """The URL that the upload is given, with its SAS."""
        volumes = job["spec"]["template"]["spec"]["volumes"]
        name = next(each["secret"]["secretName"] for each in volumes if each["name"] == "target")
        secret = self.stage.get("Secret", name)
        assert secret is not None
        return base64.b64decode(secret["data"][key]).decode()

    def upload_guest_state(self, job: Json, state: bytes) -> None:
        """Send a VM guest state as the worker does."""
        options: Json = {"api_version": STORAGE_API_VERSION, "connection_verify": str(self.stage.azure.ca_file)}
        with BlobClient.from_blob_url(self.target(job, "guest-state-url"), **options) as client:
            assert client.get_blob_properties().size >= len(state)
            for at in range(0, len(state), 4 * MIB):
                piece = state[at : at + 4 * MIB]
                client.upload_page(piece, offset=at, length=len(piece))

    def upload(self, job: Json, vhd: bytes, *, lease: bool = False) -> Report:
        """Send a disk as the worker does, with nothing but the SAS; returns its report.

        Args:
            job: The Job.
            vhd: The disk.
            lease: Leave a lease on the blob behind, as a worker that is killed.
        """
        config = self.config(job)
        options: Json = {"api_version": STORAGE_API_VERSION, "connection_verify": str(self.stage.azure.ca_file)}
        with BlobClient.from_blob_url(self.target(job), **options) as client:
            if config["target"] == "pageBlob":
                client.create_page_blob(len(vhd), metadata=config["blob_metadata"])
            client.upload_page(vhd[:4096], offset=0, length=4096)
            client.upload_page(vhd[-512:], offset=len(vhd) - 512, length=512)
            if lease:
                client.acquire_lease()
        found = VerificationFacts(read_back=config["read_back"], listed=True, read_back_bytes=4608)
        facts = UploadFacts(
            total_bytes=len(vhd), sent_bytes=4608, skipped_bytes=len(vhd) - 4608, verification=found
        )  # fmt: skip
        return Report(job="upload", succeeded=True, upload=facts)

    @staticmethod
    def _container(state: Json) -> Json:
        return {"name": "worker", "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": state}

    def _pod_status(self, name: str, status: Json) -> None:
        self.stage.patch("Pod", name, {"status": status}, "/status")

    async def _collect(self) -> None:
        while True:
            for kind in ("Job", "PersistentVolumeClaim"):
                for each in self.stage.list(kind):
                    meta = each["metadata"]
                    if meta.get("deletionTimestamp") and meta.get("finalizers"):
                        if kind == "Job":
                            self._remove_pods(meta["name"])
                        path = self.stage.path(kind, meta["name"])
                        self.stage.api.request(
                            "PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json"
                        )
            await asyncio.sleep(0.1)

    def _remove_pods(self, job: str) -> None:
        for pod in self.stage.list("Pod", f"batch.kubernetes.io/job-name={job}"):
            path = self.stage.path("Pod", pod["metadata"]["name"])
            self.stage.api.request("DELETE", path, {"gracePeriodSeconds": 0})
