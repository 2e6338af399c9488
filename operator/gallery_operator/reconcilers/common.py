"""Steps that all kinds share: rivals, adoption, dependents, elapsed time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from gallery_operator.api import Resource
from gallery_operator.api.meta import Difference
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.gateway import Arm
from gallery_operator.planning.backoff import poll_delay
from gallery_operator.planning.moments import refused_end_of_life
from gallery_operator.planning.outcome import STALLED_RECHECK_SECONDS, Retry, Stalled, Waiting
from gallery_operator.planning.ownership import Ownership, owner_of, ownership
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt, from_azure
from gallery_operator.runtime.workqueue import Key

BUSY_STATES = frozenset({"Creating", "Updating", "Deleting", "Migrating"})
_DEPENDENTS_SECONDS = 15.0
_SOON_FACTOR = 4.0
_NAMED_FIELDS = 5


def key_of(resource: Resource) -> Key:
    """Return the key of an object."""
    return Key(resource.kind_name, resource.metadata.namespace, resource.metadata.name)


async def refuse_rivals(ctx: Context, resource: Resource) -> None:
    """Let the older of two objects with one target win.

    Raises:
        Halt: An older object makes the same thing in Azure.
    """
    mine = _age(resource.metadata.creation_timestamp, resource.metadata.uid)
    for rival in ctx.hints.rivals(key_of(resource)):
        body = await ctx.kube.get(rival.kind, rival.namespace, rival.name)
        if body is None:
            ctx.hints.remove(rival)
            continue
        other = type(resource).model_validate(body)
        if _age(other.metadata.creation_timestamp, other.metadata.uid) < mine:
            raise Halt(
                Stalled(
                    "TargetInUse",
                    f"{rival} was there first and makes the same thing in Azure: delete one of the two, or give this "
                    "one another name in Azure.",
                )
            )


def _age(created: datetime | None, uid: str) -> tuple[float, str]:
    return (created.timestamp() if created is not None else float("inf"), uid)


def refuse_foreign(
    ctx: Context,
    resource: Resource,
    tags: Mapping[str, str] | None,
    what: str,
    *,
    adoption: str | None,
    differences: Sequence[Difference] = (),
) -> None:
    """Leave alone what is not ours.

    Args:
        ctx: Context.
        resource: The object.
        tags: Tags of what exists in Azure.
        what: What exists, for the message.
        adoption: ``spec.adoptionPolicy``, or None for a kind that cannot adopt.
        differences: How it differs from the spec: what an adoption would change.

    Raises:
        Halt: It belongs to another object, or to nobody and is not to be adopted.
    """
    whose = ownership(tags, resource, ctx.settings.cluster)
    if whose is Ownership.ANOTHERS:
        raise Halt(
            Stalled(
                "OwnedByAnother",
                f"{what} exists and belongs to {owner_of(tags)}: delete that object, or choose another name in Azure.",
            )
        )
    if whose is Ownership.NOBODYS and adoption != "Adopt":
        raise Halt(
            Stalled(
                "AlreadyExists",
                f"{what} exists already and was not made by this operator: {_how_to_adopt(adoption, differences)}",
            ),
            differences=[each.to_wire() for each in differences] or None,
        )


def _how_to_adopt(adoption: str | None, differences: Sequence[Difference]) -> str:
    if adoption is None:
        return "choose another name, or delete it in Azure."
    change = f"that changes {field_names(differences)}, see status.differences" if differences else "it is as wanted"
    return f"set spec.adoptionPolicy to Adopt to take it over ({change}), or choose another name in Azure."


def field_names(differences: Sequence[Difference]) -> str:
    """Return the names of the first differing fields, for a sentence."""
    rest = len(differences) - _NAMED_FIELDS
    return ", ".join(each.field for each in differences[:_NAMED_FIELDS]) + (f" and {rest} more" if rest > 0 else "")


def refuse_end_of_life(ctx: Context, wanted: datetime | None, existing: object) -> None:
    """Refuse an end-of-life date that Azure would refuse.

    Args:
        ctx: Context.
        wanted: Of the spec.
        existing: What Azure has, in wire form, or None.

    Raises:
        Halt: The date is not in the future, and Azure does not have it yet.
    """
    problem = refused_end_of_life(wanted, existing, ctx.now())
    if problem is not None:
        raise Halt(Stalled("EndOfLifeInPast", problem))


def is_ours(ctx: Context, resource: Resource, tags: Mapping[str, str] | None) -> bool:
    """Whether what exists in Azure belongs to this object."""
    return ownership(tags, resource, ctx.settings.cluster) is Ownership.OURS


async def wait_for_dependents(ctx: Context, resource: Resource, kinds: tuple[str, ...]) -> None:
    """Let an object that is being deleted wait for those that refer to it.

    Args:
        ctx: Context.
        resource: The object.
        kinds: Kinds whose objects must go first.

    Raises:
        Halt: There still are some; the message lists them.
    """
    found = []
    for each in ctx.hints.referrers(key_of(resource)):
        if each.kind in kinds:
            if await ctx.kube.get(each.kind, each.namespace, each.name) is None:
                ctx.hints.remove(each)
            else:
                found.append(str(each))
    if found:
        shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        raise Halt(Waiting("HasDependents", f"Waiting until these are deleted: {shown}.", _DEPENDENTS_SECONDS))


async def stop_if_hopeless(
    ctx: Context, resource: Resource, arm: Arm, resource_id: str, fields: Mapping[str, Any]
) -> None:
    """Tell why an operation ended in ``provisioningState: Failed``, and do not repeat it before that makes sense.

    What only a person can mend is repeated when the spec has changed, or, for rights and quotas, which are mended
    outside the cluster, now and then. The rest is told first and repeated at the next look, ever less often.

    Args:
        ctx: Context.
        resource: The object.
        arm: Gateway that began the operation.
        resource_id: What it was about.
        fields: Fields of ``status`` to report.

    Raises:
        Halt: It is not to be repeated yet.
        AzureError: The operation could not be asked.
    """
    failure = await arm.failure(resource_id)
    if failure is None or resource.status.observed_generation != resource.metadata.generation:
        return
    _pause(ctx, resource, failure, fields, is_final=failure.kind is ErrorKind.INVALID)


async def stop_if_deletion_failed(ctx: Context, resource: Resource, arm: Arm, resource_id: str) -> None:
    """Tell why a deletion that Azure had begun failed, and do not repeat it before that makes sense.

    Args:
        ctx: Context.
        resource: The object that is being deleted.
        arm: Gateway that began the deletion.
        resource_id: What is to be deleted.

    Raises:
        Halt: It is not to be repeated yet.
        AzureError: The operation could not be asked.
    """
    failure = await arm.failure(resource_id)
    if failure is not None and failure.operation.endswith(".delete"):
        _pause(ctx, resource, failure, {}, is_final=False)


def _pause(ctx: Context, resource: Resource, failure: AzureError, fields: Mapping[str, Any], *, is_final: bool) -> None:
    outcome = from_azure(failure)
    kind = "Stalled" if isinstance(outcome, Stalled) else "Reconciling"
    told = next((each for each in resource.status.conditions if each.type == kind), None)
    if told is not None and told.reason == outcome.reason and not is_final:
        age = (ctx.now() - told.last_transition_time).total_seconds()
        if not failure.needs_person or age >= STALLED_RECHECK_SECONDS:
            return
    if isinstance(outcome, Retry):
        outcome = replace(outcome, at_least=max(outcome.at_least, polling(ctx, resource)))
    raise Halt(outcome, **fields)


def polling_soon(ctx: Context, resource: Resource) -> float:
    """Return :func:`polling` for what takes Azure seconds: a gallery, a definition.

    These may have been ``Reconciling`` for hours for another reason, such as a missing right to share.
    """
    return min(polling(ctx, resource), _SOON_FACTOR * ctx.settings.poll_seconds)


def polling(ctx: Context, resource: Resource) -> float:
    """Return the seconds until the next look at a running operation of Azure's.

    The time it has run for is read from the ``Reconciling`` condition, so that a restart does not start over.
    """
    for each in resource.status.conditions:
        if each.type == "Reconciling":
            elapsed = (ctx.now() - each.last_transition_time).total_seconds()
            return poll_delay(max(0.0, elapsed), ctx.settings.poll_seconds)
    return ctx.settings.poll_seconds


def properties(existing: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the ``properties`` of an ARM resource, or an empty dict."""
    return dict((existing or {}).get("properties") or {})
