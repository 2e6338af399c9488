"""Every rule of Azure's that is known is kept: refused before a request, or explained after one.

The rows are the rules of the collected facts about Azure (sections 3 to 7 and 9 to 12), which come from recorded
traffic, the service's specification and its published tables of errors.
"""

from __future__ import annotations

import re

import pytest
from tests.support import schemas
from tests.unit.bad_input import answers, imports, parents, replication, sharing, versions
from tests.unit.bad_input.proofs import Azure, Rule

from gallery_operator.azure.error_texts import TEXTS

RULES: list[Rule] = [
    *parents.RULES,
    *versions.RULES,
    *replication.RULES,
    *answers.RULES,
    *sharing.RULES,
    *imports.RULES,
]
SECTIONS = {"3", "4", "5", "6", "7", "9", "10", "11", "12"}

_ANSWERS = [proof for row in RULES for proof in row.proofs if isinstance(proof, Azure)]
# What a sentence that helps has in it: what to do, or what to write.
_HELPS = re.compile(
    r"\b(?:set|use|name|make|choose|say|give|leave|remove|take|ask|correct|generalize|replicate|go with|needs?)\b"
    r"|\b(?:must be|must not|goes with|is written as|is one of|is either|is an?|is the|is three|is SCSI)\b"
    r"|\bhas (?:at most|letters|lower case|5 to 16)|for example|such as|each needs its own",
    re.IGNORECASE,
)


@pytest.mark.parametrize("row", RULES, ids=str)
def test_rule_is_kept(row: Rule) -> None:
    assert row.proofs, "nothing is done about it"
    for proof in row.proofs:
        proof.check()


def test_every_section_has_rows_and_no_row_is_there_twice() -> None:
    names = [row.name for row in RULES]
    assert len(names) == len(set(names))
    assert {name.split("-")[0] for name in names} == SECTIONS


def test_every_text_that_the_operator_knows_is_a_rule_here() -> None:
    unused = [
        each.pattern.pattern for each in TEXTS if not any(each.pattern.search(answer.text) for answer in _ANSWERS)
    ]
    assert not unused


def test_refusals_of_kubectl_are_sentences_that_help() -> None:
    for kind, path, message in schemas.rules():
        where = f"{kind}.{path}: {message}"
        assert _HELPS.search(message), where
        assert len(message.split()) >= 5, where
        assert not message.endswith((".", ":")), f"{where} (kubectl goes on with a comma or the end of the line)"


def test_every_pattern_has_a_sentence() -> None:
    """Without one kubectl shows the regular expression."""
    bare = [str(node) for node in schemas.nodes("spec") if "pattern" in node.schema]
    assert not bare
