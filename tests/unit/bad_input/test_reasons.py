"""Every reason for which a person is asked is on the page about trouble."""

from __future__ import annotations

import ast

from tests.unit.bad_input.proofs import ROOT

from gallery_operator.contract.report import FailureCode

PAGE = (ROOT / "docs/troubleshooting.md").read_text()


def reasons() -> set[str]:
    """Reasons that are written out where the operator stalls, or finds a problem of a source or of sharing."""
    found = set()
    for file in sorted((ROOT / "operator/gallery_operator").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            reason = node.args[0]
            if node.func.id in ("Stalled", "Problem") and isinstance(reason, ast.Constant):
                found.add(str(reason.value))
    return found


def test_every_reason_is_explained() -> None:
    told = reasons() | {code.value for code in FailureCode}
    assert len(told) > 60
    assert not {reason for reason in told if f"`{reason}`" not in PAGE}
