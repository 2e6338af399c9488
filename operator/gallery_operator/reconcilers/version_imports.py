"""The imports that an image version makes from its templates, and owns.

They are made once and then left to themselves: the version waits for them as for those that a person made. Kubernetes'
garbage collection takes them away with the version.
"""

from gallery_operator.api import ImageVersion, VhdImport
from gallery_operator.kube import KubeError, KubeReason
from gallery_operator.planning.outcome import Report, Stalled, Waiting
from gallery_operator.planning.sources import disk_words, import_body, templates
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt

_WAIT_SECONDS = 30.0
_SOON_SECONDS = 2.0


async def make_imports(ctx: Context, version: ImageVersion) -> Report | None:
    """Make the imports that are not there yet.

    An import whose staging disk an earlier life of the version has used up is made anew.

    Returns:
        What was made; None when all of them were there.

    Raises:
        Halt: A name is taken, or an earlier import is still being deleted.
    """
    made = []
    for name, (lun, template) in templates(version).items():
        body = await ctx.kube.get("VhdImport", version.metadata.namespace, name)
        if body is not None:
            await _check(ctx, version, VhdImport.model_validate(body), lun)
            continue
        try:
            await ctx.kube.create("VhdImport", import_body(version, name, lun, template))
        except KubeError as error:
            if error.reason is not KubeReason.ALREADY_EXISTS:
                raise
        made.append(f"{name} for {disk_words(lun)}")
    if not made:
        return None
    told = ", ".join(made)
    event = ("Normal", "Importing", f"Made VhdImport {told}.")
    return Report(Waiting("Importing", f"Made VhdImport {told}.", _SOON_SECONDS), {"provisioningState": None}, (event,))


async def _check(ctx: Context, version: ImageVersion, found: VhdImport, lun: int | None) -> None:
    owner = next((each for each in found.metadata.owner_references if each.controller), None)
    which = f"VhdImport {found.key} for {disk_words(lun)}"
    if owner is None or (owner.kind, owner.name) != (version.kind_name, version.metadata.name):
        raise Halt(
            Stalled(
                "ImportNameTaken",
                f"{which} exists and was not made by this version: delete it, or give the version another name.",
            )
        )
    if owner.uid != version.metadata.uid:
        raise Halt(
            Waiting(
                "ImportDeleting",
                f"{which} is of an earlier ImageVersion of this name; waiting until Kubernetes has deleted it.",
                _WAIT_SECONDS,
            )
        )
    if found.metadata.deletion_timestamp is not None:
        raise Halt(Waiting("ImportDeleting", f"{which} is being deleted; it is made anew after that.", _WAIT_SECONDS))
    if found.status.staging_released:
        await ctx.kube.delete("VhdImport", found.metadata.namespace, found.metadata.name, found.metadata.uid)
        raise Halt(
            Waiting(
                "ImportingAgain",
                f"The version is gone from Azure, and so is the staging disk of {which}: importing it again.",
                _SOON_SECONDS,
            )
        )
