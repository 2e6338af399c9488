"""What a row of the catalogue of bad input is, and how it is proved that the rule is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.generate_errors import DOES
from tests.integration.crds.every_case import CASES
from tests.support import schemas

from gallery_operator.azure.error_bodies import ErrorBody
from gallery_operator.azure.error_kinds import ErrorKind
from gallery_operator.azure.errors import classify_answer
from gallery_operator.planning.outcome import Retry, Stalled, Waiting
from gallery_operator.reconcilers.halt import from_azure

ROOT = Path(__file__).resolve().parents[3]
_NODES = {str(node): node.schema for node in schemas.nodes("spec")}
_OPERATOR = "\n".join(file.read_text() for file in sorted((ROOT / "operator/gallery_operator").rglob("*.py")))


@dataclass(frozen=True)
class Crd:
    """The API server refuses it: there is such a case in ``tests/integration/crds``.

    Attributes:
        kind: Kind of the object.
        title: Title of the case.
    """

    kind: str
    title: str

    def check(self) -> None:
        found = [case for case in CASES if (case.kind, case.title) == (self.kind, self.title)]
        assert found, f"no such case: {self}"
        assert any(case.message is not None for case in found), f"nothing is refused: {self}"


@dataclass(frozen=True)
class Schema:
    """The schema of the CRD has a limit, which ``tests/integration/crds/test_limits.py`` tries out.

    Attributes:
        node: Kind and path of the field.
        keyword: Keyword of the schema.
        value: The limit.
    """

    node: str
    keyword: str
    value: Any

    def check(self) -> None:
        assert _NODES[self.node][self.keyword] == self.value


@dataclass(frozen=True)
class Told:
    """The operator finds it before it asks Azure for it; a test sees the reason.

    Attributes:
        reason: Reason of the condition.
        file: Of the test, below ``tests``.
        test: Name of the test.
    """

    reason: str
    file: str
    test: str

    def check(self) -> None:
        assert f'"{self.reason}"' in _OPERATOR, f"the operator never says {self.reason}"
        text = _test(self.file, self.test)
        assert f'"{self.reason}"' in text, f"{self.file} does not speak of {self.reason}"


@dataclass(frozen=True)
class Kept:
    """Nobody can break the rule, because the operator keeps it; a test sees that.

    Attributes:
        file: Of the test, below ``tests``.
        test: Name of the test.
    """

    file: str
    test: str

    def check(self) -> None:
        _test(self.file, self.test)


@dataclass(frozen=True)
class Azure:
    """Only Azure can know it: what it answers has a class, an explanation and a next step.

    Attributes:
        text: Azure's text.
        kind: What it means.
        step: Part of the next step.
        code: Azure's code.
        status: HTTP status; None at the end of a long-running operation.
    """

    text: str
    kind: ErrorKind
    step: str
    code: str = "InvalidParameter"
    status: int | None = 400

    def check(self) -> None:
        error = classify_answer(self.status, ErrorBody((self.code,), self.text), "test.call")
        assert (error.kind, error.code) == (self.kind, self.code), error
        assert self.step in error.next_step
        outcome = from_azure(error)
        assert isinstance(outcome, (Waiting, Retry, Stalled))
        assert outcome.message.startswith(self.text.rstrip(" .")), "Azure's own words come first"
        assert outcome.message.endswith(error.next_step)
        # Never retried in haste what a person must mend; never given up what time mends.
        assert isinstance(outcome, Stalled) is error.needs_person
        assert error.kind in DOES


Proof = Crd | Schema | Told | Kept | Azure


@dataclass(frozen=True)
class Rule:
    """A rule of Azure's, and how it is kept.

    Attributes:
        name: Section of the collected facts about Azure, and a word: ``3-gallery-name``.
        says: The rule.
        proofs: How it is kept.
    """

    name: str
    says: str
    proofs: tuple[Proof, ...]

    def __str__(self) -> str:
        return self.name


def rule(name: str, says: str, *proofs: Proof) -> Rule:
    """Return a row."""
    return Rule(name, says, proofs)


def _test(file: str, name: str) -> str:
    text = (ROOT / "tests" / file).read_text()
    assert re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE), f"no test {name} in {file}"
    return text
