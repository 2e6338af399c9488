"""Every rule of the CRDs on a real API server: what it refuses, with which sentence, and what it lets pass.

``test_every_rule_has_a_refusal`` fails when a rule is added without a case.
"""

from __future__ import annotations

import pytest
from tests.integration.crds.cases import Case, changed
from tests.integration.crds.every_case import CASES
from tests.support import samples, schemas
from tests.support.apiserver import ApiServer

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def place(apiserver: ApiServer) -> str:
    return apiserver.new_namespace("rules")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule(apiserver: ApiServer, place: str, case: Case, request: pytest.FixtureRequest) -> None:
    # A name that is a gallery's name too, and differs from case to case.
    document = samples.minimal(case.kind, f"sample{CASES.index(case)}")
    document = changed(document, case.change)
    answer = apiserver.create(document, place, dry_run=case.update is None)
    if case.update is not None:
        assert answer.ok, answer.message
        answer = apiserver.replace(changed(answer.body, case.update))
    if case.message is None:
        assert answer.ok, answer.message
        return
    assert answer.status == 422, answer
    assert case.message in answer.message
    if case.path is not None:
        assert case.path in [cause["field"] for cause in answer.causes]


def test_every_rule_has_a_refusal() -> None:
    refusals = {(case.kind, case.message) for case in CASES if case.message}
    untested = [
        f"{kind}.{path}: {message}"
        for kind, path, message in schemas.rules()
        if not any(kind == case_kind and said in message for case_kind, said in refusals)
    ]
    assert not untested


def test_unknown_field_is_refused(apiserver: ApiServer, place: str) -> None:
    document = changed(samples.minimal("Gallery"), {"spec.resourcegroup": "typo"})
    answer = apiserver.create(document, place, dry_run=True)
    assert answer.status == 400
    assert 'unknown field "spec.resourcegroup"' in answer.message


def test_status_is_not_writable_with_spec(apiserver: ApiServer, place: str) -> None:
    document = changed(samples.minimal("Gallery", "withstatus"), {"status.uniqueName": "mine"})
    answer = apiserver.create(document, place)
    assert answer.ok, answer.message
    assert "status" not in answer.body
