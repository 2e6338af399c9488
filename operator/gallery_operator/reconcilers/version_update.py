"""Updates of a version that exists: regions and flags, and what must be taken away before it can be deleted."""

from collections.abc import Mapping, Sequence
from typing import Any

from gallery_operator.api import ImageVersion
from gallery_operator.azure.gateway import Arm
from gallery_operator.planning import version as plan
from gallery_operator.planning.moments import to_azure
from gallery_operator.planning.outcome import STALLED_RECHECK_SECONDS, Report, Stalled, Waiting
from gallery_operator.planning.publishing import existing_regions
from gallery_operator.reconcilers.common import polling, properties
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt


async def put_update(
    version: ImageVersion,
    arm: Arm,
    resource_id: str,
    existing: Mapping[str, Any],
    regions: Sequence[Mapping[str, Any]],
    owner: Mapping[str, str],
) -> dict[str, Any]:
    """Send an update; the keys of secure boot as Azure has them: it shows them only when asked.

    Args:
        version: What is wanted.
        arm: Gateway to ARM.
        resource_id: ARM id of the version.
        existing: What Azure has.
        regions: Regions to ask for, in REST form.
        owner: Ownership tags; none leaves them as they are.

    Raises:
        AzureError: Azure did not accept the request.
    """
    profile, uefi = version.spec.security_profile, None
    if profile is not None and profile.uefi_settings is not None:
        shown = await arm.get(resource_id, expand="UefiSettings")
        uefi = (properties(shown).get("securityProfile") or {}).get("uefiSettings")
    return await arm.put(resource_id, plan.update_body(version, existing, regions, owner, uefi))


async def lift_block(
    ctx: Context, version: ImageVersion, arm: Arm, resource_id: str, existing: Mapping[str, Any]
) -> Report | None:
    """Let the version be deleted before its end of life if the spec says so by now.

    Returns:
        What to report while Azure takes the block away; None when there is none.

    Raises:
        Halt: Azure would refuse the deletion, and the spec wants it to.
        AzureError: Azure did not accept the update.
    """
    end = plan.blocked_until(existing, ctx.now())
    if end is None:
        return None
    if not plan.lifts_block(version):
        raise Halt(
            Stalled(
                "DeletionBlocked",
                f"safetyProfile.blockDeletionBeforeEndOfLife keeps version {version.spec.version} in Azure until "
                f"{to_azure(end)}; it is deleted then. To delete it sooner set that field to false (kubectl edit works "
                "on an object that is being deleted), or deletionPolicy to Retain to leave the version in Azure.",
                recheck=min(STALLED_RECHECK_SECONDS, (end - ctx.now()).total_seconds() + 1.0),
            )
        )
    await put_update(version, arm, resource_id, existing, existing_regions(version, existing), {})
    message = "Taking blockDeletionBeforeEndOfLife away, so that Azure deletes the version."
    return Report(Waiting("Deleting", message, polling(ctx, version)))
