"""Job bodies keep the restricted profile and the contract; states are read from what Kubernetes writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.support import samples

from gallery_operator.api import VhdImport
from gallery_operator.contract import (
    CONFIG_VARIABLE,
    CopySource,
    ExitCode,
    FailureCode,
    PrepareConfig,
    Report,
    UrlSource,
    dump_report,
)
from gallery_operator.planning import jobs
from gallery_operator.planning.jobs import JobPhase, WorkerSettings
from gallery_operator.worker.proof import SIGNING_KEY

Json = dict[str, Any]
SETTINGS = WorkerSettings(image="localhost/gallery-operator:dev", ca_pem="-----BEGIN CERTIFICATE-----")
URL = {"url": {"url": "https://example.com/d", "headersSecretRef": {"name": "h"}, "caBundleRef": {"name": "c"}}}
CONFIG = PrepareConfig(source=UrlSource(url="https://example.com/d"), max_virtual_size=1)


def vhd_import(name: str = "debian-12", source: Json | None = None, **spec: Any) -> VhdImport:
    return VhdImport.from_wire(
        {
            "metadata": {"name": name, "namespace": "images", "uid": "u-1", "annotations": {}},
            "spec": {"source": source or URL, "definitionRef": {"name": "d"}, **spec},
        }
    )


def pod_of(body: Json) -> Json:
    pod: Json = body["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize(
    ("ref", "volume"),
    [
        ({"secretKeyRef": {"name": "k", "key": "a.asc"}}, {"secret": {"secretName": "k"}}),
        ({"configMapKeyRef": {"name": "k", "key": "a.asc"}}, {"configMap": {"name": "k"}}),
    ],
)
def test_the_signing_key_is_mounted_for_prepare_alone(ref: Json, volume: Json) -> None:
    url = {"url": "https://example.com/d", "checksums": {"url": "https://example.com/SUMS", "signature": ref}}
    source = {"url": url, "vmGuestState": {"url": url}}
    pod = pod_of(jobs.job(vhd_import(source=source), "j", "prepare", CONFIG, "s", None, SETTINGS))
    volumes = {each["name"]: each for each in pod["volumes"]}
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    for prefix, folder in (("", "/etc/worker"), ("state-", "/etc/worker/guest-state")):
        name = f"{prefix}signing-key"
        ((kind, wanted),) = volume.items()
        assert volumes[name][kind] == {**wanted, "items": [{"key": "a.asc", "path": "key"}]}
        assert mounts[name] == str(Path(folder) / Path(SIGNING_KEY).parent)
    upload = pod_of(jobs.job(vhd_import(source=source), "j", "upload", CONFIG, "s", "t", SETTINGS))
    assert "signing-key" not in str(upload)


@pytest.mark.parametrize("component", ["prepare", "upload"])
def test_pod_fits_the_restricted_profile(component: jobs.Component) -> None:
    pod = pod_of(jobs.job(vhd_import(), "j", component, CONFIG, "s", None, SETTINGS))
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
    allowed = {"persistentVolumeClaim", "emptyDir", "secret", "configMap"}
    assert all(set(each) - {"name"} <= allowed for each in pod["volumes"])
    assert {each["name"] for each in pod["volumes"]} == {each["name"] for each in container["volumeMounts"]}


def test_only_prepare_sees_headers_and_only_upload_sees_the_target() -> None:
    prepare = pod_of(jobs.job(vhd_import(), "j", "prepare", CONFIG, "s", None, SETTINGS))
    upload = pod_of(jobs.job(vhd_import(), "j", "upload", CONFIG, "s", "t", SETTINGS))
    assert {each["name"] for each in prepare["volumes"]} == {"scratch", "tmp", "headers", "ca"}
    assert {each["name"] for each in upload["volumes"]} == {"scratch", "tmp", "target"}


@pytest.mark.parametrize(
    ("source", "name", "secret"),
    [
        (
            {"s3": {"region": "a", "bucket": "abc", "key": "k", "credentialsSecretRef": {"name": "s"}}},
            "credentials",
            {"secretName": "s"},
        ),
        (
            {"oci": {"reference": f"r.example.org/a@sha256:{'a' * 64}", "pullSecretRef": {"name": "s"}}},
            "pull-secret",
            {"secretName": "s", "items": [{"key": ".dockerconfigjson", "path": "config.json"}]},
        ),
    ],
)
def test_only_prepare_sees_what_opens_a_bucket_or_a_registry(source: Json, name: str, secret: Json) -> None:
    ((kind, disk),) = source.items()
    owner = vhd_import(source={kind: {**disk, "caBundleRef": {"name": "c"}}})
    prepare = pod_of(jobs.job(owner, "j", "prepare", CONFIG, "s", None, SETTINGS))
    volumes = {each["name"]: each for each in prepare["volumes"]}
    assert set(volumes) == {"scratch", "tmp", name, "ca"}
    assert volumes[name]["secret"] == secret
    assert volumes["ca"]["configMap"] == {"name": "c", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    (container,) = prepare["containers"]
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    assert mounts[name] == {"name": name, "mountPath": f"/etc/worker/{name}", "readOnly": True}
    assert mounts["ca"]["mountPath"] == "/etc/worker/ca"
    upload = pod_of(jobs.job(owner, "j", "upload", CONFIG, "s", "t", SETTINGS))
    assert {each["name"] for each in upload["volumes"]} == {"scratch", "tmp", "target"}
    public = vhd_import(source={kind: {key: value for key, value in disk.items() if not key.endswith("Ref")}})
    without = pod_of(jobs.job(public, "j", "prepare", CONFIG, "s", None, SETTINGS))
    assert {each["name"] for each in without["volumes"]} == {"scratch", "tmp"}


def test_source_blob_is_mounted_where_it_is_read() -> None:
    blob = {"blob": {"storageAccountId": samples.STORAGE_ACCOUNT, "container": "c1c", "blobName": "b"}}
    without = pod_of(jobs.job(vhd_import(source=blob), "j", "upload", CONFIG, "s", "t", SETTINGS))
    assert {each["name"] for each in without["volumes"]} == {"scratch", "tmp", "target"}
    pod = pod_of(jobs.job(vhd_import(source=blob), "j", "prepare", CONFIG, "s", None, SETTINGS, "sas"))
    assert {"name": "blob", "secret": {"secretName": "sas"}} in pod["volumes"]
    mount = {"name": "blob", "mountPath": "/etc/worker/blob", "readOnly": True}
    assert mount in pod["containers"][0]["volumeMounts"]
    assert CopySource(etag="e").url_file == f"{mount['mountPath']}/url"


def test_secret_of_the_source_holds_its_url_and_the_ca() -> None:
    body = jobs.source_secret(vhd_import(), "s", SecretStr("https://x/y?sig=z"), "2026-01-01T00:00:00Z", SETTINGS)
    assert set(body["data"]) == {"url", "ca.crt"}
    assert "sig=z" not in str(body)
    assert body["metadata"]["annotations"][jobs.EXPIRY_ANNOTATION] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("path", ["disk.vhd", None])
def test_claim_is_read_only_as_file_system_or_device(path: str | None) -> None:
    source = {"pvc": {"claimName": "build", **({"path": path} if path else {})}}
    pod = pod_of(jobs.job(vhd_import(source=source), "j", "upload", CONFIG, "s", "t", SETTINGS))
    (container,) = pod["containers"]
    volume = next(each for each in pod["volumes"] if each["name"] == "source")
    assert volume["persistentVolumeClaim"] == {"claimName": "build", "readOnly": True}
    if path is None:
        assert container["volumeDevices"] == [{"name": "source", "devicePath": "/dev/source"}]
    else:
        assert {"name": "source", "mountPath": "/source", "readOnly": True} in container["volumeMounts"]


def test_users_wishes_are_taken_over() -> None:
    wishes = {
        "resources": {"limits": {"memory": "4Gi"}},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "x"}],
        "affinity": {"nodeAffinity": {}},
        "retries": 7,
    }
    body = jobs.job(vhd_import(job=wishes), "j", "prepare", CONFIG, "s", None, SETTINGS)
    pod = pod_of(body)
    assert body["spec"]["backoffLimit"] == 7
    assert pod["containers"][0]["resources"] == wishes["resources"]
    assert (pod["nodeSelector"], pod["tolerations"], pod["affinity"]) == (
        wishes["nodeSelector"],
        wishes["tolerations"],
        wishes["affinity"],
    )


def test_configuration_travels_as_json_and_failure_policy_knows_the_exit_code() -> None:
    body = jobs.job(vhd_import(), "j", "prepare", CONFIG, "s", None, SETTINGS)
    (variable,) = pod_of(body)["containers"][0]["env"]
    assert variable["name"] == CONFIG_VARIABLE
    assert PrepareConfig.model_validate_json(variable["value"]) == CONFIG
    fail, ignore = body["spec"]["podFailurePolicy"]["rules"]
    assert fail["onExitCodes"]["values"] == [int(ExitCode.FAILED)]
    assert ignore["action"] == "Ignore"


def test_label_of_a_long_name_is_a_label() -> None:
    name = "a" * 62 + "." + "b" * 100
    label = jobs.labels(vhd_import(name), "prepare")[jobs.IMPORT_LABEL]
    assert label == "a" * 62


def test_secret_holds_the_url_and_when_it_ends() -> None:
    body = jobs.target_secret(vhd_import(), "t", SecretStr("https://x/y?sig=z"), None, "2026-01-01T00:00:00Z", SETTINGS)
    assert set(body["data"]) == {"url", "ca.crt"}
    assert "sig=z" not in str(body)
    assert body["metadata"]["annotations"][jobs.EXPIRY_ANNOTATION] == "2026-01-01T00:00:00Z"
    assert body["metadata"]["ownerReferences"][0]["uid"] == "u-1"


# -- reading ------------------------------------------------------------------------------------------------------


def job(**status: Any) -> Json:
    return {"metadata": {"name": "j", "uid": "job-uid", "annotations": {jobs.ASKED_ANNOTATION: "t1"}}, "status": status}


def condition(kind: str) -> Json:
    return {
        "type": kind,
        "status": "True",
        "reason": "BackoffLimitExceeded",
        "message": "m",
        "lastTransitionTime": "t9",
    }


def pod(created: str = "1", uid: str = "job-uid", **status: Any) -> Json:
    return {
        "metadata": {"name": "p", "creationTimestamp": created, "ownerReferences": [{"uid": uid}]},
        "status": status,
    }


def ended(code: int, message: str = "", reason: str = "Error") -> list[Json]:
    return [{"name": "worker", "state": {"terminated": {"exitCode": code, "message": message, "reason": reason}}}]


GOOD = dump_report(Report(job="prepare", succeeded=True))
BAD = dump_report(Report(job="prepare", succeeded=False, code=FailureCode.NOT_A_DISK, message="x"))


def test_absent() -> None:
    assert jobs.observe(None, ()).phase is JobPhase.ABSENT


def test_new_job_is_pending() -> None:
    assert jobs.observe(job(), ()).phase is JobPhase.PENDING


def test_running_pod_has_an_address() -> None:
    state = jobs.observe(job(active=1, startTime="t0"), [pod(phase="Running", podIP="10.0.0.1")])
    assert (state.phase, state.pod_ip, state.attempts, state.started_at) == (JobPhase.RUNNING, "10.0.0.1", 1, "t0")


def test_finished_job_has_its_report() -> None:
    state = jobs.observe(
        job(succeeded=1, conditions=[condition("Complete")]), [pod(phase="Succeeded", containerStatuses=ended(0, GOOD))]
    )
    assert state.phase is JobPhase.SUCCEEDED
    assert state.report is not None
    assert state.report.succeeded


def test_the_newest_report_counts_and_pods_of_a_predecessor_do_not() -> None:
    pods = [
        pod("1", containerStatuses=ended(11, GOOD)),
        pod("2", containerStatuses=ended(10, BAD)),
        pod("3", uid="other", containerStatuses=ended(0, GOOD)),
    ]
    state = jobs.observe(job(failed=2, conditions=[condition("Failed")]), pods)
    assert state.phase is JobPhase.FAILED
    assert state.report is not None
    assert state.report.code is FailureCode.NOT_A_DISK
    assert (state.attempts, state.finished_at, state.asked) == (2, "t9", "t1")


@pytest.mark.parametrize(
    ("pods", "words"),
    [
        ([pod(containerStatuses=ended(137, reason="OOMKilled"))], "out of memory: raise spec.job.resources"),
        ([pod(reason="Evicted", message="The node was low on disk")], "Evicted: The node was low"),
        ([pod(containerStatuses=ended(1))], "exit code 1 and left no report"),
        ([], "BackoffLimitExceeded: m"),
    ],
)
def test_failure_without_a_report_is_explained(pods: list[Json], words: str) -> None:
    state = jobs.observe(job(conditions=[condition("FailureTarget")]), pods)
    assert state.phase is JobPhase.FAILED
    assert words in state.problem


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]},
            "cannot start: ImagePullBackOff: no such image",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]},
            "cannot be scheduled: 0/1 nodes",
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        ({}, ""),
    ],
)
def test_waiting_pod_says_why(status: Json, words: str) -> None:
    state = jobs.observe(job(active=1), [pod(phase="Pending", **status)])
    assert state.phase is JobPhase.PENDING
    assert words in state.problem
    assert bool(words) == bool(state.problem)


def test_the_proxy_is_in_the_environment() -> None:
    settings = WorkerSettings(image="i", proxies={"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a"})
    (container,) = pod_of(jobs.job(vhd_import(), "j", "upload", CONFIG, "s", None, settings))["containers"]
    assert container["env"][1:] == [
        {"name": "HTTPS_PROXY", "value": "http://p:1"},
        {"name": "NO_PROXY", "value": "a"},
    ]
