"""Brings the role assignments of a gallery or a definition to their desired state."""

import logging
from collections.abc import Sequence
from typing import Any

from gallery_operator import metrics
from gallery_operator.api import Gallery, GalleryImageDefinition
from gallery_operator.azure.credentials import CredentialSpec
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.gateway import RoleAssignments
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.planning import roles as plan
from gallery_operator.planning.access import Part, Problem
from gallery_operator.planning.outcome import STALLED_RECHECK_SECONDS
from gallery_operator.planning.status import timestamp
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.troubles import needs_a_person, problem_of

_log = logging.getLogger(__name__)

_RIGHTS = (
    "The operator's identity needs Microsoft.Authorization/roleAssignments/read, write and delete on that scope, for "
    "example by the role Role Based Access Control Administrator restricted to the roles that it may assign."
)
# What one assignment meets, the next would meet too.
_ENDS_THE_TRY = frozenset({ErrorKind.THROTTLED, ErrorKind.UNREACHABLE, ErrorKind.FORBIDDEN, ErrorKind.UNAUTHENTICATED})


async def settle(
    ctx: Context, resource: Gallery | GalleryImageDefinition, scope: str, credential: CredentialSpec
) -> Part:
    """Make the wanted role assignments, and remove those of ours that are not wanted any more.

    What is to be made is noted in status before: an entry that is taken out of the spec while the operator is
    down is then known to have been there. Without entries and such notes Azure is not asked.

    Args:
        ctx: Context.
        resource: The object; its Azure resource exists.
        scope: ARM id of that resource.
        credential: Credential for it.
    """
    entries = plan.wanted(scope, resource.spec.role_assignments, _owner(ctx, resource))
    before = resource.status.role_assignments
    if not entries and not before:
        return Part()
    noted = {each.name: each.to_wire() for each in before}
    if any(entry.name not in noted for entry in entries):
        rows = noted | {entry.name: plan.row(entry, "Pending") for entry in entries if entry.name not in noted}
        return Part(True, {"roleAssignments": list(rows.values())}, "Assigning roles.")
    gateway = ctx.azure.role_assignments(credential)
    try:
        found = await gateway.list(scope)
    except AzureError as error:
        return Part(True, problems=(_problem(ctx, "The role assignments cannot be read", error),))
    todo = plan.plan(scope, entries, found)
    run = _Run(ctx, resource, gateway, scope, found)
    # Access is taken away before any is given.
    for each in todo.delete:
        await run.delete(each)
    for entry in entries:
        if entry in todo.put:
            await run.put(entry)
        else:
            run.rows.append(plan.row(entry, "Assigned" if entry.name in todo.assigned else "AssignedByOthers"))
    events = (("Normal", "RolesChanged", f"{', '.join(run.told)}."),) if run.told else ()
    return Part(bool(entries), {"roleAssignments": run.rows or None}, problems=tuple(run.problems), events=events)


def count(part: Part, resource: Gallery | GalleryImageDefinition) -> int:
    """Return how many of the wanted role assignments hold, as far as is known."""
    if "roleAssignments" in part.fields:
        states = [row["state"] for row in part.fields["roleAssignments"] or []]
    else:  # they could not be read now
        states = [each.state for each in resource.status.role_assignments]
    return sum(state in ("Assigned", "AssignedByOthers") for state in states)


async def withdraw(
    ctx: Context, resource: Gallery | GalleryImageDefinition, scope: str, credential: CredentialSpec
) -> tuple[tuple[str, str, str], ...]:
    """Remove every role assignment of ours at a scope that is about to be deleted.

    Without the right to do so the deletion goes on: the assignments lose their meaning with their scope.

    Returns:
        Events to post.

    Raises:
        AzureError: A request failed in another way.
    """
    if not resource.spec.role_assignments and not resource.status.role_assignments:
        return ()
    gateway = ctx.azure.role_assignments(credential)
    try:
        for each in plan.plan(scope, (), await gateway.list(scope)).delete:
            await gateway.delete(scope, str(each["name"]))
    except AzureError as error:
        if error.kind is not ErrorKind.FORBIDDEN:
            raise
        _log.warning("%s: role assignments are left behind: %s", resource.key, error)
        return (("Warning", "RoleAssignmentsLeft", f"{error.message.rstrip('. ')}. Remove what is left by hand."),)
    return ()


class _Run:
    """Carries out a plan, one request at a time, and collects what came of it."""

    def __init__(
        self,
        ctx: Context,
        resource: Gallery | GalleryImageDefinition,
        gateway: RoleAssignments,
        scope: str,
        found: Sequence[dict[str, Any]],
    ) -> None:
        self._ctx = ctx
        self._before = resource.status.role_assignments
        self._kind = resource.kind_name
        self._gateway = gateway
        self._scope = scope
        self._subscription = ResourceId.parse(scope).subscription_id
        self._found = found
        self._ended = False
        self.rows: list[dict[str, Any]] = []
        self.problems: list[Problem] = []
        self.told: list[str] = []

    async def delete(self, assignment: Any) -> None:
        who = str(assignment["properties"].get("principalId"))
        if self._ended:
            self.rows.append(plan.removing(assignment))
            return
        try:
            await self._gateway.delete(self._scope, str(assignment["name"]))
        except AzureError as error:
            self._note(f"A role of {who} cannot be removed", error)
            self.rows.append(plan.removing(assignment, reason=self.problems[-1].reason, message=error.message))
            return
        self.told.append(f"took a role from {who}")

    async def put(self, entry: plan.Wanted) -> None:
        if self._ended:
            self.rows.append(plan.row(entry, "Pending"))
            return
        existing = plan.existing_properties(self._found, entry.name)
        try:
            await self._gateway.put(self._scope, entry.name, entry.properties(self._subscription, existing))
        except AzureError as error:
            if error.code == "RoleAssignmentExists":  # made by somebody else since the list was read
                self.rows.append(plan.row(entry, "AssignedByOthers"))
                return
            self._failed(entry, error)
            return
        if any(each.name == entry.name and each.state == "Assigned" for each in self._before):
            metrics.DRIFT_CORRECTIONS.labels(kind=self._kind).inc()
        self.rows.append(plan.row(entry, "Assigned"))
        self.told.append(f"gave a role to {entry.principal_id}")

    def _failed(self, entry: plan.Wanted, error: AzureError) -> None:
        since = plan.failed_since(self._before, entry.name)
        now = self._ctx.now()
        unknown = error.code == "PrincipalNotFound"
        is_final = plan.is_overdue(since, now) if unknown else needs_a_person(error)
        self._note(f"No role for {entry.principal_id}", error)
        if unknown and is_final:
            last = self.problems[-1]
            self.problems[-1] = Problem(last.reason, last.message, STALLED_RECHECK_SECONDS)
        told = {"reason": self.problems[-1].reason, "message": error.message, "since": timestamp(since or now)}
        self.rows.append(plan.row(entry, "Failed" if is_final else "Pending", **told))

    def _note(self, what: str, error: AzureError) -> None:
        self.problems.append(_problem(self._ctx, what, error))
        self._ended = error.kind in _ENDS_THE_TRY


def _problem(ctx: Context, what: str, error: AzureError) -> Problem:
    rights = f" {_RIGHTS}" if error.kind is ErrorKind.FORBIDDEN else ""
    return problem_of(ctx, what, error, rights)


def _owner(ctx: Context, resource: Gallery | GalleryImageDefinition) -> str:
    return f"{resource.kind_name} {resource.key} of cluster {ctx.settings.cluster}"
