"""Role assignments: deterministic names, only ours removed, others' respected."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.api.sharing import ROLES, RoleAssignment
from gallery_operator.planning import roles
from gallery_operator.planning.roles import MARK, REPLICATION_GRACE, assignment_name, is_ours, is_overdue, plan, wanted

SCOPE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/platform"
OTHER_SCOPES = [f"{SCOPE}2", f"{SCOPE}/images/debian", "/subscriptions/s/resourceGroups/rg", "/subscriptions/s"]
OWNER = "Gallery images/platform of cluster test"
PEOPLE = [str(uuid.UUID(int=number + 0xABC)) for number in range(4)]
NOW = datetime(2026, 11, 24, tzinfo=UTC)

entries = st.lists(
    st.builds(
        lambda **fields: RoleAssignment(**fields),  # hypothesis would look at the aliases
        principal_id=st.sampled_from(PEOPLE).flatmap(lambda who: st.sampled_from([who, who.upper()])),
        principal_type=st.sampled_from(["User", "Group", "ServicePrincipal", "ForeignGroup"]),
        role=st.none() | st.sampled_from(sorted(ROLES)),
        description=st.none() | st.sampled_from(["one", "two"]),
    ),
    max_size=6,
)


def foreign(scope: str, who: str, role: str, description: str | None, name: str | None = None) -> dict[str, Any]:
    return {
        "name": name or str(uuid.uuid4()),
        "properties": {
            "scope": scope,
            "principalId": who,
            "roleDefinitionId": f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{role}",
            "description": description,
        },
    }


others = st.lists(
    st.builds(
        foreign,
        st.sampled_from([SCOPE, SCOPE.lower(), *OTHER_SCOPES]),
        st.sampled_from(PEOPLE),
        st.sampled_from(sorted(ROLES.values())),
        st.sampled_from([None, "mine", f"({MARK} somebody)"]),
    ),
    max_size=6,
)


class Azure:
    """Assignments by name; refuses a second one for the same grant, as Azure does."""

    def __init__(self, found: list[dict[str, Any]]) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        for each in found:
            if self._grant(each) not in map(self._grant, self.rows.values()):
                self.rows[each["name"]] = each

    @staticmethod
    def _grant(row: dict[str, Any]) -> tuple[str, ...]:
        there = row["properties"]
        return tuple(str(there[name]).lower() for name in ("scope", "principalId", "roleDefinitionId"))

    def carry_out(self, asked: list[RoleAssignment]) -> roles.Plan:
        found = list(self.rows.values())
        todo = plan(SCOPE, wanted(SCOPE, asked, OWNER), found)
        for each in todo.delete:
            del self.rows[each["name"]]
        for entry in todo.put:
            properties = entry.properties("s", roles.existing_properties(found, entry.name))
            row = {"name": entry.name, "properties": {**properties, "scope": SCOPE}}
            rivals = [each for name, each in self.rows.items() if name != entry.name]
            assert self._grant(row) not in map(self._grant, rivals), "RoleAssignmentExists"
            self.rows[entry.name] = row
        return todo


@given(entries, entries, others)
def test_from_any_list_to_any_other(
    before: list[RoleAssignment], after: list[RoleAssignment], found: list[dict[str, Any]]
) -> None:
    azure = Azure(found)
    theirs = dict(azure.rows)
    azure.carry_out(before)
    azure.carry_out(after)
    grants = {
        (row["properties"]["principalId"].lower(), row["properties"]["roleDefinitionId"][-36:])
        for row in azure.rows.values()
        if row["properties"]["scope"].lower() == SCOPE.lower()
    }
    assert {(entry.principal_id.lower(), entry.role_guid) for entry in after} <= grants
    # Nothing of others' has changed, whatever their description says; nothing of ours is left over.
    assert all(azure.rows.get(name) == row for name, row in theirs.items())
    ours = azure.rows.keys() - theirs.keys()
    assert ours <= {entry.name for entry in wanted(SCOPE, after, OWNER)}
    again = azure.carry_out(after)
    assert not again.put and not again.delete
    names = {entry.name for entry in wanted(SCOPE, after, OWNER)}
    assert again.assigned | again.by_others == names
    azure.carry_out([])
    assert azure.rows == theirs


def test_names_do_not_depend_on_spelling() -> None:
    role = ROLES["Reader"]
    name = assignment_name(SCOPE, role, PEOPLE[0])
    assert name == assignment_name(SCOPE.upper(), role.upper(), PEOPLE[0].upper())
    assert len({assignment_name(scope, role, PEOPLE[0]) for scope in (SCOPE, *OTHER_SCOPES)}) == 5
    # Kept for ever: what earlier versions made must be found again.
    assert name == "013e9bb5-891d-59b2-8ce8-65b711aa7321"


def test_a_description_that_was_edited_is_put_right_and_a_condition_stays() -> None:
    entry = wanted(SCOPE, [RoleAssignment(principal_id=PEOPLE[0], principal_type="User", description="x")], OWNER)[0]
    row = foreign(SCOPE, PEOPLE[0], entry.role, "edited", entry.name)
    row["properties"]["condition"] = "@Resource…"
    todo = plan(SCOPE, [entry], [row])
    assert todo.put == (entry,)
    properties = entry.properties("s", roles.existing_properties([row], entry.name))
    assert properties["condition"] == "@Resource…"
    assert properties["description"] == f"x ({MARK} {OWNER})"
    # Without our mark it is not ours to remove.
    assert not plan(SCOPE, [], [row]).delete
    assert not is_ours(SCOPE, row)


def test_inherited_assignments_are_left_alone_and_do_not_count() -> None:
    asked = [RoleAssignment(principal_id=PEOPLE[0], principal_type="User")]
    inherited = foreign("/subscriptions/s", PEOPLE[0], ROLES["Reader"], f"({MARK} x)")
    todo = plan(SCOPE, wanted(SCOPE, asked, OWNER), [inherited])
    assert len(todo.put) == 1
    assert not plan(SCOPE, [], [inherited]).delete


def test_a_principal_is_overdue_after_ten_minutes() -> None:
    assert not is_overdue(None, NOW)
    assert not is_overdue(NOW, NOW + REPLICATION_GRACE - timedelta(seconds=1))
    assert is_overdue(NOW, NOW + REPLICATION_GRACE)


def test_a_role_by_id() -> None:
    role = "/providers/Microsoft.Authorization/roleDefinitions/ABCDEF00-0000-0000-0000-000000000000"
    entry = RoleAssignment(principal_id=PEOPLE[0], principal_type="Group", role_definition_id=role)
    assert entry.role_guid == "abcdef00-0000-0000-0000-000000000000"
    made = wanted(SCOPE, [entry], OWNER)[0].properties("s", None)
    assert made["roleDefinitionId"].endswith(
        f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{entry.role_guid}"
    )
