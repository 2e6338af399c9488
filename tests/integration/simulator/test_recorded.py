"""The simulator against recorded traffic of the real service, and the replay itself.

The recordings are not part of the repository. `GALLERY_OPERATOR_RECORDED` names their folder; without it, and without
the folder beside the checkout, those tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from azure_simulator.replaying.command import play
from azure_simulator.replaying.explained import explain
from azure_simulator.replaying.formats import RecordingError, read
from tests.support.azure import ROOT, SIMULATOR

FOLDER = Path(os.environ.get("GALLERY_OPERATOR_RECORDED") or ROOT.parent / "shared" / "data" / "recorded")
NAMES = (
    "community_gallery_operations",
    "gallery_e2e",
    "gallery_image_version_vhd",
    "image_version_create_os_vhd",
    "shared_gallery",
    "snapshot_access",
    "vm_disk_upload",
)
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GALLERY = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute/galleries/g"


@pytest.mark.parametrize("name", NAMES)
def test_recording(name: str) -> None:
    path = FOLDER / f"{name}.jsonl"
    if not path.exists():
        pytest.skip("the recorded traffic is not here; set GALLERY_OPERATOR_RECORDED to its folder")
    recording = read(path)
    found, skipped = play(recording)
    unexpected = [str(row) for row in found if explain(row) is None]
    assert not unexpected, "\n".join(unexpected)
    assert len(skipped) < len(recording) / 5, skipped


def gallery(state: str, **more: Any) -> dict[str, Any]:
    properties = {"identifier": {"uniqueName": f"{SUBSCRIPTION}-G"}, "provisioningState": state, **more}
    return {
        "name": "g",
        "id": GALLERY,
        "type": "Microsoft.Compute/galleries",
        "location": "westus",
        "properties": properties,
    }


def interactions() -> list[dict[str, Any]]:
    """Return traffic as another recorder writes it: networks, other services, a gallery; one value is not Azure's."""
    machine = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v"
    rows = [
        ("PUT", f"https://management.azure.com{machine}?api-version=2024-01-01", {"location": "westus"}, 201, None),
        ("POST", "https://graph.microsoft.com/v1.0/users", {"name": "x"}, 201, {"id": "y"}),
        (
            "PUT",
            f"https://management.azure.com{GALLERY}?api-version=2021-10-01",
            {"location": "westus"},
            201,
            gallery("Creating", invented=1),
        ),
        ("GET", f"https://management.azure.com{GALLERY}?api-version=2021-10-01", None, 200, gallery("Succeeded")),
        ("GET", f"https://management.azure.com/subscriptions/{SUBSCRIPTION}?api-version=2022-12-01", None, 200, {}),
    ]
    return [
        {"method": method, "uri": uri, "body": body, "status": status, "answer": answer}
        for method, uri, body, status, answer in rows
    ]


def cassette() -> str:
    rows = [
        {
            "request": {"method": row["method"], "uri": row["uri"], "body": row["body"] and json.dumps(row["body"])},
            "response": {
                "body": {"string": "" if row["answer"] is None else json.dumps(row["answer"])},
                "headers": {"content-type": ["application/json"]},
                "status": {"code": row["status"], "message": "x"},
            },
        }
        for row in interactions()
    ]
    return yaml.safe_dump({"interactions": rows, "version": 1})


def java_session() -> str:
    rows = [
        {
            "Method": row["method"],
            "Uri": row["uri"],
            "Body": row["body"] and json.dumps(row["body"]),
            "Response": {"StatusCode": str(row["status"]), "Body": json.dumps(row["answer"])},
        }
        for row in interactions()
    ]
    return json.dumps({"networkCallRecords": rows, "variables": []}, indent=1)


def dotnet_session() -> str:
    rows = [
        {
            "RequestMethod": row["method"],
            "RequestUri": row["uri"].removeprefix("https://management.azure.com"),
            "RequestBody": row["body"] and json.dumps(row["body"]),
            "ResponseHeaders": {"Date": [f"Mon, 06 Jan 2025 10:00:{number:02d} GMT"]},
            "ResponseBody": json.dumps(row["answer"]),
            "StatusCode": row["status"],
        }
        for number, row in enumerate(interactions())
    ]
    return json.dumps({"Entries": rows[::-1], "Names": {}})


@pytest.mark.parametrize("content", [cassette(), java_session(), dotnet_session()], ids=["cassette", "java", "dotnet"])
def test_unseen_files_of_every_format(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recording"
    path.write_text(content)
    recording = read(path)
    found, skipped = play(recording)
    assert sorted(skipped.values()) == [
        "another service: graph.microsoft.com",
        "not simulated: Microsoft.Network/virtualNetworks",
        "scenery: tenants, subscriptions and resource groups",
    ]
    left = [(row.where, row.recorded) for row in found if explain(row) is None]
    assert ("body.properties.invented", 1) in left
    assert not [row for row in left if row[0].startswith("body") and "invented" not in row[0]]


@pytest.mark.parametrize("content", ["", "{}", "interactions: 3", '{"n": 1, "uri": "x", "method": "GET"}', "\x00"])
def test_what_is_no_recording_is_said_to_be_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recording"
    path.write_text(content)
    with pytest.raises(RecordingError, match="is no recording"):
        read(path)


def test_command_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(cassette())
    (tmp_path / "b.json").write_text("{}")
    command = [str(SIMULATOR / "replay"), "--explain", str(tmp_path / "a.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "body.properties.invented: recorded 1, simulated None" in done.stdout
    assert "not played: 1 x another service: graph.microsoft.com" in done.stdout
    done = subprocess.run([*command[:1], str(tmp_path / "b.json")], capture_output=True, text=True, check=False)
    assert (done.returncode, "is no recording" in done.stderr) == (2, True)
    assert subprocess.run([*command[:1], "--help"], capture_output=True, check=False).returncode == 0
