"""What cannot become an image is refused before it reaches Azure, with a reason and the next step."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.e2e import disks, journeys, names
from tests.support.e2e.sandbox import SMALL_MIB, Sandbox
from tests.support.e2e.scenarios import long_scenario, scenario

_MADE_UP = disks.random_url(SMALL_MIB, 31)
_METADATA_SERVICE = "http://169.254.169.254/metadata/instance"
# URL, what else the source says, and the code.
_BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "404": (f"{disks.HTTPS}/disks/nothing.vhd", {}, "SourceNotFound"),
    "401": (f"{disks.HTTPS}/private/{disks.DATA}.vhd", {}, "SourceForbidden"),
    "unknown-ca": (_MADE_UP, {"caBundleRef": None}, "TLSFailed"),
    # Hosts that the administrator has named are trusted; this one has another name.
    "no-tls-and-no-checksum": (f"{disks.HTTP}.cluster.local/random/{SMALL_MIB}/31.raw", {}, "BadConfiguration"),
    "checksum": (_MADE_UP, {"checksum": "sha256:" + "0" * 64}, "ChecksumMismatch"),
    "redirect-to-metadata": (
        f"{disks.HTTP}/redirect?to={_METADATA_SERVICE}",
        {"checksum": "sha256:" + "0" * 64},
        "SourceAddressForbidden",
    ),
    # The same server by a name that nobody has allowed.
    "private-address": (f"{disks.HTTPS}.cluster.local/random/{SMALL_MIB}/31.raw", {}, "SourceAddressForbidden"),
    # Azure's own limit, told before anything is made there.
    "too-small": (disks.random_url(4, 31), {}, "TooSmall"),
    "no-disk": (f"{disks.HTTPS}/garbage", {}, "NotADisk"),
    "backing-file": (f"{disks.HTTPS}/qcow2-with-backing-file", {}, "UnsafeImage"),
}


@long_scenario
def test_unprepared_image(sandbox: Sandbox) -> None:
    """A real Debian that someone used elsewhere is refused, with its findings by name."""
    journeys.scaffold(sandbox)
    sandbox.vhd_import("os", sandbox.url(f"{disks.HTTPS}/disks/{disks.UNPREPARED}.qcow2.xz"))
    ready = sandbox.not_ready("VhdImport", "os", "PrerequisitesNotMet", stalled=True, seconds=300)
    assert "status.prerequisites" in ready["message"]
    status = sandbox.status("VhdImport", "os")
    told = {each["id"]: each for each in status["prerequisites"]["findings"]}
    errors = {name for name, each in told.items() if each["severity"] == "error"}
    assert {"CLD003", "DPR001", "FST002"} & errors or len(errors) >= 3, told
    assert all(told[name]["message"] and told[name]["remedy"] for name in errors)
    assert status["prerequisites"]["failures"] >= len(errors)
    assert not sandbox.azure.resources("Microsoft.Compute/disks", namespace=sandbox.namespace)
    assert status["phase"] == "Failed"
    report = journeys.report_of(sandbox, "os")
    assert {each.id for each in report.results if each.status == "fail"} >= errors
    counted = sandbox.cluster.metrics()["gallery_operator_prerequisite_checks_total"]
    for name in errors:
        assert [value for labels, value in counted if labels == {"check": name, "result": "failure"} and value >= 1]
    # Refused is no dead end: what depends on it waits, and it can be deleted.
    sandbox.delete("VhdImport", "os")
    sandbox.gone(("VhdImport", "os"), ("ConfigMap", "os-prerequisites"))


@pytest.mark.parametrize("case", _BAD)
@scenario
def test_bad_source(sandbox: Sandbox, case: str) -> None:
    """A bad source is told by its code, and nothing is made in Azure."""
    url, more, code = _BAD[case]
    refuse(sandbox, url, more, code)


@long_scenario
def test_truncated_body(sandbox: Sandbox) -> None:
    """A body that always ends early is tried a few times."""
    refuse(sandbox, f"{disks.HTTPS}/truncated/{disks.DATA}.vhd", {}, "SourceTruncated")


def refuse(sandbox: Sandbox, url: str, more: dict[str, Any], code: str) -> None:
    """Import from a URL and see that it is refused with a code."""
    source = sandbox.url(url, **more)
    source["url"] = {key: value for key, value in source["url"].items() if value is not None}
    job = {"resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}, "retries": 0}
    checks = {"prerequisites": {"policy": "Warn", "onUnknown": "Allow"}}
    sandbox.vhd_import("bad", source, job=job, **checks, **journeys.managed(sandbox))
    ready = sandbox.not_ready("VhdImport", "bad", code, stalled=True, seconds=300)
    assert len(ready["message"]) > len(code)
    assert not sandbox.left_in_azure()
    assert names.SUBSCRIPTION not in ready["message"]


@scenario
def test_changed_mind(sandbox: Sandbox) -> None:
    """A refused disk that is let pass by another setting goes on; one that is asked to be tried again is."""
    journeys.scaffold(sandbox)
    sandbox.vhd_import("os", sandbox.url(disks.random_url(SMALL_MIB, 32)))
    sandbox.not_ready("VhdImport", "os", "PrerequisitesNotMet", "PrerequisitesUnknown", stalled=True)
    change = {"spec": {"prerequisites": {"policy": "Warn", "onUnknown": "Allow"}}}
    sandbox.kube.patch("VhdImport", sandbox.namespace, "os", change)
    sandbox.ready("VhdImport", "os")
    assert sandbox.status("VhdImport", "os")["disk"]["sha256"] == disks.random_sha256(SMALL_MIB, 32)
