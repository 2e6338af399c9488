"""The whole report of the checks: from the log of the prepare Job's pod, through the API server, into a ConfigMap."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.integration.reconcilers.player import Player, checked, disk, failure
from tests.integration.reconcilers.stage import Json, Stage
from tests.integration.reconcilers.test_imports import create
from tests.support import reports
from tests.support.apiserver import ApiServer
from tests.support.kubelet import Kubelet, kubelet

from gallery_operator import metrics
from gallery_operator.contract import MAX_LOG_BYTES, ChecksDocument, FailureCode, Report
from gallery_operator.planning import checks_report

NAME = "os-prerequisites"
REPORT = reports.document()
REFUSED = reports.document(failing=("KRN002", "NET003"))
# A check that failed in the one, and what became of another in both.
WARNED = next(each.id for each in REPORT.results if each.status == "warn")


@pytest.fixture
def node(apiserver: ApiServer) -> Iterator[Kubelet]:
    with kubelet(apiserver) as found:
        yield found


@pytest.fixture
async def player(stage: Stage, node: Kubelet) -> AsyncIterator[Player]:
    async with Player(stage) as found:
        found.node = node.node
        yield found


def counted(check: str, result: str) -> float:
    return metrics.PREREQUISITE_CHECKS.labels(check=check, result=result)._value.get()


def accepted() -> Report:
    return checked(disk(), prerequisites=reports.summary(REPORT))


def refused() -> Report:
    facts = checked(disk()).disk
    return failure("prepare", FailureCode.PREREQUISITES_NOT_MET).model_copy(
        update={"prerequisites": reports.summary(REFUSED), "disk": facts}
    )


async def ended(stage: Stage, player: Player, node: Kubelet, report: Report, log: str | None) -> Json:
    """Run the prepare Job to its end, with a log or without; returns the Job."""
    job = await player.job("prepare")
    pod = player.run(job)
    if log is not None:
        node.logs[pod] = log
    player.end(job, report, pod=pod)
    return job


async def told(stage: Stage) -> Json:
    """Wait for the findings in status; returns them."""
    return await stage.until(lambda: stage.status("VhdImport", "os").get("prerequisites"))


def content(stage: Stage) -> Json:
    body = stage.get("ConfigMap", NAME)
    assert body is not None
    return body


async def test_of_a_disk_that_passes(stage: Stage, player: Player, node: Kubelet) -> None:
    before = counted(WARNED, "warning")
    create(stage)
    await ended(stage, player, node, accepted(), reports.log(REPORT))
    upload = await player.job("upload")
    status = await told(stage)
    assert status["reportRef"] == {"name": NAME}
    assert "reportProblem" not in status
    body = content(stage)
    owner = body["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == ("VhdImport", (stage.get("VhdImport", "os") or {})["metadata"]["uid"])
    found = ChecksDocument.model_validate_json(body["data"]["report.json"])
    assert found.results == REPORT.results
    assert found.image == f"{stage.namespace}/os"
    assert all(each.id in body["data"]["report.txt"] for each in REPORT.results)
    assert counted(WARNED, "warning") == before + 1
    assert int(node.asked[0]["limitBytes"]) == MAX_LOG_BYTES
    # It costs nothing from here on: nobody reads the log or writes the ConfigMap again.
    player.end(upload, player.upload(upload, disk()))
    await stage.ready("VhdImport", "os")
    asked = len(node.asked)
    stage.nudge("VhdImport", "os")
    await stage.quiet()
    assert len(node.asked) == asked == 1
    assert content(stage)["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"]
    assert stage.status("VhdImport", "os")["prerequisites"]["reportRef"] == {"name": NAME}


async def test_of_a_disk_that_is_refused(stage: Stage, player: Player, node: Kubelet) -> None:
    before = counted("KRN002", "failure")
    create(stage)
    job = await ended(stage, player, node, refused(), reports.log(REFUSED))
    body = await stage.reason("VhdImport", "os", "PrerequisitesNotMet")
    assert stage.stalled(body)
    assert body["status"]["prerequisites"]["reportRef"] == {"name": NAME}
    assert "Errors (2)" in content(stage)["data"]["report.txt"]
    # Looked at again and again, it is told once.
    await stage.stop()
    await stage.start(resync_seconds=0.2)
    await stage.quiet()
    assert len(node.asked) == 1
    assert counted("KRN002", "failure") == before + 1
    assert stage.status("VhdImport", "os")["prerequisites"]["reportRef"] == {"name": NAME}
    # Other settings: another Job, and its report in the place of the first.
    stage.patch("VhdImport", "os", {"spec": {"prerequisites": {"policy": "Warn"}}})
    again = await player.job("prepare", unlike=job["metadata"]["uid"])
    await stage.until(lambda: "prerequisites" not in stage.status("VhdImport", "os"))
    pod = player.run(again)
    node.logs[pod] = reports.log(REPORT)
    player.end(again, accepted(), pod=pod)
    await player.job("upload")
    assert "Errors" not in content(stage)["data"]["report.txt"]
    assert content(stage)["metadata"]["annotations"][checks_report.JOB_ANNOTATION] == again["metadata"]["uid"]


async def test_written_before_a_restart_it_is_not_written_again(stage: Stage, player: Player, node: Kubelet) -> None:
    create(stage)
    job = await player.job("prepare")
    await stage.stop()
    # As if the operator had died between the ConfigMap and the status.
    owner = stage.get("VhdImport", "os") or {}
    metadata = {
        "name": NAME,
        "annotations": {checks_report.JOB_ANNOTATION: job["metadata"]["uid"]},
        "ownerReferences": job["metadata"]["ownerReferences"],
    }
    assert metadata["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    written = stage.post("ConfigMap", {"metadata": metadata, "data": {"report.txt": "x"}})
    pod = player.run(job)
    player.end(job, accepted(), pod=pod)
    await stage.start()
    assert (await told(stage))["reportRef"] == {"name": NAME}
    assert node.asked == []
    assert content(stage)["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (None, "cannot be read"),
        ("", "no complete report"),
        ("\n".join(reports.log(REPORT).split("\n")[:100]), "no complete report"),
        ("{" * 100_000, "no complete report"),
    ],
)
async def test_without_it_the_import_goes_on(
    stage: Stage, player: Player, node: Kubelet, log: str | None, says: str
) -> None:
    before = counted(WARNED, "warning")
    create(stage)
    await ended(stage, player, node, accepted(), log)
    await player.job("upload")
    status = await told(stage)
    assert says in status["reportProblem"]
    assert "reportRef" not in status
    assert status["findings"]
    assert counted(WARNED, "warning") == before + 1, "the summary is counted instead"
    assert stage.get("ConfigMap", NAME) is None


async def test_without_it_a_refusal_is_told_once(stage: Stage, player: Player, node: Kubelet) -> None:
    before = counted("KRN002", "failure")
    create(stage)
    await ended(stage, player, node, refused(), None)
    await stage.reason("VhdImport", "os", "PrerequisitesNotMet")
    problem = stage.status("VhdImport", "os")["prerequisites"]["reportProblem"]
    await stage.stop()
    await stage.start(resync_seconds=0.2)
    await stage.quiet()
    assert len(node.asked) == 1
    assert counted("KRN002", "failure") == before + 1
    assert stage.status("VhdImport", "os")["prerequisites"]["reportProblem"] == problem


async def test_a_node_that_does_not_answer_is_waited_for(stage: Stage, player: Player, node: Kubelet) -> None:
    node.broken = 503
    create(stage)
    await ended(stage, player, node, accepted(), reports.log(REPORT))
    await stage.until(lambda: node.asked)
    assert stage.status("VhdImport", "os")["phase"] == "Preparing"
    node.broken = 0
    await player.job("upload")
    assert (await told(stage))["reportRef"] == {"name": NAME}


async def test_but_not_for_ever(stage: Stage, player: Player, node: Kubelet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_report, "LOG_PATIENCE_SECONDS", 0.0)
    node.broken = 503
    create(stage)
    await ended(stage, player, node, accepted(), None)
    await player.job("upload")
    assert "cannot be read" in (await told(stage))["reportProblem"]


async def test_a_config_map_of_somebody_else_is_left_alone(stage: Stage, player: Player, node: Kubelet) -> None:
    stage.post("ConfigMap", {"metadata": {"name": NAME}, "data": {"theirs": "x"}})
    create(stage)
    await ended(stage, player, node, accepted(), reports.log(REPORT))
    await player.job("upload")
    assert NAME in (await told(stage))["reportProblem"]
    assert content(stage)["data"] == {"theirs": "x"}


async def test_an_earlier_imports_is_taken_over(stage: Stage, player: Player, node: Kubelet) -> None:
    create(stage)
    job = await player.job("prepare")
    owner = {**job["metadata"]["ownerReferences"][0], "uid": "00000000-0000-0000-0000-000000000000"}
    stage.post("ConfigMap", {"metadata": {"name": NAME, "ownerReferences": [owner]}, "data": {"report.txt": "old"}})
    pod = player.run(job)
    node.logs[pod] = reports.log(REPORT)
    player.end(job, accepted(), pod=pod)
    await player.job("upload")
    assert (await told(stage))["reportRef"] == {"name": NAME}
    assert json.loads(content(stage)["data"]["report.json"])["verdict"] == "ok"
    assert content(stage)["metadata"]["ownerReferences"] == job["metadata"]["ownerReferences"]


async def test_a_full_quota_stops_no_import(stage: Stage, player: Player, node: Kubelet) -> None:
    quota = {"metadata": {"name": "full"}, "spec": {"hard": {"count/configmaps": "0"}}}
    path = f"/api/v1/namespaces/{stage.namespace}/resourcequotas"
    made = stage.api.request("POST", path, quota)
    assert made.ok, made.message
    # Nothing computes usage here; what a controller would write.
    status = {"status": {"hard": {"count/configmaps": "0"}, "used": {"count/configmaps": "0"}}}
    assert stage.api.request("PATCH", f"{path}/full/status", status, "application/merge-patch+json").ok
    create(stage)
    await ended(stage, player, node, accepted(), reports.log(REPORT))
    await player.job("upload")
    assert "quota" in (await told(stage))["reportProblem"]


async def test_ids_that_nobody_knows_are_not_counted(stage: Stage, player: Player, node: Kubelet) -> None:
    strange = REPORT.results[0].model_copy(update={"id": "ZZZ999"})
    create(stage)
    report = REPORT.model_copy(update={"results": (strange,)})
    await ended(stage, player, node, accepted(), reports.log(report))
    await told(stage)
    labels = {sample.labels["check"] for family in metrics.PREREQUISITE_CHECKS.collect() for sample in family.samples}
    assert "ZZZ999" not in labels
    assert json.loads(content(stage)["data"]["report.json"])["results"][0]["id"] == "ZZZ999"
