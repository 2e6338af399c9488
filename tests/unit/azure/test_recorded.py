"""Real traffic of the service, recorded by azure-cli: what we read must be what it wrote."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gallery_operator.azure.error_bodies import parse_document
from gallery_operator.azure.errors import ErrorKind, classify_answer, is_absence
from gallery_operator.azure.operations import Operations, OperationState, read_state
from gallery_operator.azure.resource_ids import InvalidResourceIdError, ResourceId
from gallery_operator.azure.throttle import OperationClass, Throttle

FOLDER = Path(os.environ.get("GALLERY_OPERATOR_RECORDED") or Path(__file__).parents[4] / "shared" / "data" / "recorded")
FILES = sorted(FOLDER.glob("*.jsonl")) if FOLDER.is_dir() else []

pytestmark = pytest.mark.skipif(not FILES, reason="no recorded traffic (set GALLERY_OPERATOR_RECORDED to its folder)")


def interactions() -> Iterator[dict[str, Any]]:
    for file in FILES:
        for line in file.read_text().splitlines():
            yield json.loads(line)


def test_ids_are_read() -> None:
    read = 0
    for item in interactions():
        body = item["response"]
        if isinstance(body, dict) and isinstance(body.get("id"), str) and "/locations/" not in body["id"]:
            try:
                rid = ResourceId.parse(body["id"])
            except InvalidResourceIdError:
                # a subscription, or an extension resource
                assert body["id"].lower().count("/providers/") != 1
                continue
            assert rid.type.lower() == body["type"].lower()
            assert rid.name.lower() == str(body["name"]).lower()
            read += 1
    assert read > 50


def test_operations_are_followed() -> None:
    operations = Operations("https://management.azure.com")
    states: set[OperationState] = set()
    for number, item in enumerate(interactions()):
        headers = item["headers"]
        key = ("f", str(number), "write")
        operations.remember(key, "x", headers)
        assert (operations.get(key) is not None) is ("azure-asyncoperation" in headers or "location" in headers)
        if "perations/" in item["uri"] and "monitor=true" not in item["uri"] and item["status"] == 200:
            states.add(read_state(item["response"]))
    assert states >= {OperationState.RUNNING, OperationState.SUCCEEDED}


def test_errors_are_understood() -> None:
    seen = 0
    for item in interactions():
        if isinstance(item["status"], int) and item["status"] >= 400:
            error = classify_answer(item["status"], parse_document(item["response"]), "x")
            assert error.kind is ErrorKind.NOT_FOUND and is_absence(error)
            seen += 1
    assert seen


def test_budgets_are_read() -> None:
    throttle = Throttle()
    for item in interactions():
        throttle.record("s", OperationClass.READ, remaining=item["headers"].get("x-ms-ratelimit-remaining-resource"))
    budgets = throttle._subscriptions["s"].budgets
    assert budgets["Microsoft.Compute/CreateUpdateGallery3Min"] >= 49
