"""Resolves the source of an image version to what ARM takes: imports and versions of this namespace, ids in Azure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gallery_operator.api import ImageVersion, VhdImport
from gallery_operator.api.meta import RECONCILE_ANNOTATION
from gallery_operator.api.version_source import DataDiskSource, OsDiskSource
from gallery_operator.planning.names import import_name
from gallery_operator.planning.outcome import Stalled, Waiting
from gallery_operator.planning.source_rules import imported, same_source
from gallery_operator.planning.sources import (
    DiskPart,
    disk_words,
    disks_of,
    field_of,
    lun_of,
    part_of,
    profile_of_disks,
    profile_of_image,
)
from gallery_operator.planning.status import ready_condition
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.scope import DefinitionScope
from gallery_operator.reconcilers.source_checks import SourceChecks

_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Resolved:
    """A source as Azure takes it.

    Attributes:
        profile: ``storageProfile`` of the new version.
        unread: What could not be checked, each as a sentence.
        digests: LUN (None: OS disk) and SHA-256 (hex) of the disks that imports have brought.
    """

    profile: dict[str, Any]
    unread: tuple[str, ...] = ()
    digests: tuple[tuple[int | None, str], ...] = ()


async def resolve(ctx: Context, version: ImageVersion, scope: DefinitionScope) -> Resolved:
    """Resolve and check the source of a new version.

    Args:
        ctx: Context.
        version: The version.
        scope: The definition that it is to belong to.

    Raises:
        Halt: There is no source, or what it names is missing, not ready, failed, or does not fit the definition.
        AzureError: A request to Azure failed.
    """
    source = version.spec.source
    if source is None:
        raise Halt(
            Stalled(
                "SourceMissing",
                f"Version {version.spec.version} does not exist in Azure, and this object names no source to make it "
                "from: delete the object and make it again with spec.source.",
            )
        )
    checks = SourceChecks.of(ctx, version, scope)
    parts = [await _disk(ctx, version, each, checks) for each in disks_of(source)]
    referred = None
    if source.image_version_ref is not None:
        referred = await _version(ctx, version.metadata.namespace, source.image_version_ref.name)
    checks.problems += same_source(
        (field_of(each.lun, "source"), each.source.get("uri") or each.source.get("id", "")) for each in parts
    )
    if not checks.problems:
        await checks.look(source, referred)
    checks.halt()
    profile = profile_of_disks(parts) if parts else profile_of_image(source, referred)
    digests = tuple((each.lun, each.sha256) for each in parts if each.sha256 is not None)
    return Resolved(profile, tuple(checks.unread), digests)


async def _disk(
    ctx: Context, version: ImageVersion, disk: OsDiskSource | DataDiskSource, checks: SourceChecks
) -> DiskPart:
    part = part_of(disk)
    if part is not None:
        return part
    lun = lun_of(disk)
    own = disk.import_template is not None
    if disk.vhd_import_ref is not None:
        name = disk.vhd_import_ref.name
    elif own:
        name = import_name(version.metadata.name, lun)
    else:
        raise Halt(Stalled("InvalidSpec", f"{disk_words(lun)} of the version names no source.".capitalize()))
    return await _imported(ctx, version, name, disk, checks)


async def _imported(
    ctx: Context, version: ImageVersion, name: str, disk: OsDiskSource | DataDiskSource, checks: SourceChecks
) -> DiskPart:
    namespace, lun = version.metadata.namespace, lun_of(disk)
    own = disk.import_template is not None
    body = await ctx.kube.get("VhdImport", namespace, name)
    which = disk_words(lun)
    if body is None:
        how = "it is made anew." if own else "create it, or correct vhdImportRef."
        raise Halt(
            Waiting("ImportNotFound", f"VhdImport {namespace}/{name} for {which} does not exist: {how}", _WAIT_SECONDS)
        )
    found = VhdImport.model_validate(body)
    role = "os" if lun is None else "data"
    if found.spec.disk_role != role:
        raise Halt(
            Stalled(
                "WrongDiskRole",
                f"VhdImport {namespace}/{name} has diskRole {found.spec.disk_role} but is used as {which}: make an "
                f"import with diskRole {role}.",
            )
        )
    # Known as soon as the disk is checked: nobody shall wait for its upload to hear of it.
    where = field_of(lun, "importTemplate" if own else "vhdImportRef")
    checks.problems += imported(checks.wanted, where, found, os=lun is None)
    checks.halt()
    if found.status.staging_released:
        raise Halt(
            Stalled(
                "ImportReleased",
                f"The staging disk of VhdImport {namespace}/{name} is gone, another version has used it: make a new "
                "import, or give it a destination so that the disk stays.",
            )
        )
    status = body.get("status") or {}
    ready = ready_condition(status)
    target = found.status.target
    if ready is None or ready["status"] != "True" or target is None:
        why = f": {ready['message']}" if ready else ""
        if _is_stalled(status):
            failed = f"VhdImport {namespace}/{name} for {which} failed{why}".rstrip(".")
            raise Halt(Stalled("ImportFailed", f"{failed}. {_again(own)}"))
        raise Halt(
            Waiting(
                "ImportNotReady",
                f"Waiting for VhdImport {namespace}/{name} for {which} ({found.status.phase or 'Pending'}){why}",
                _WAIT_SECONDS,
            )
        )
    if target.blob_url is not None:
        source = {"storageAccountId": target.resource_id, "uri": target.blob_url}
    else:
        source = {"id": target.resource_id}
    return DiskPart(source, disk.host_caching, lun, found.status.disk.sha256 if found.status.disk is not None else None)


def _again(own: bool) -> str:
    if own:
        return (
            "Then, if the disk's source was mended where it is, ask the VhdImport for another try (annotation "
            f"{RECONCILE_ANNOTATION}); if importTemplate is wrong, delete this ImageVersion and make it anew."
        )
    return "This version goes on when the VhdImport is ready."


def _is_stalled(status: Mapping[str, Any]) -> bool:
    return any(
        each.get("type") == "Stalled" and each.get("status") == "True" for each in status.get("conditions") or ()
    )


async def _version(ctx: Context, namespace: str, name: str) -> str:
    """Return the ARM id of another ImageVersion of the namespace."""
    body = await ctx.kube.get("ImageVersion", namespace, name)
    if body is None:
        raise Halt(
            Waiting(
                "SourceNotFound",
                f"ImageVersion {namespace}/{name} (source.imageVersionRef) does not exist: create it, or make a new "
                "version that names another.",
                _WAIT_SECONDS,
            )
        )
    found = ImageVersion.model_validate(body)
    if found.metadata.deletion_timestamp is not None:
        raise Halt(
            Waiting(
                "SourceDeleting",
                f"ImageVersion {namespace}/{name} (source.imageVersionRef) is being deleted: make it again, or make a "
                "new version that names another.",
                _WAIT_SECONDS,
            )
        )
    # Ready is not asked for: a region more or less is of no account to what is made from it.
    if found.status.resource_id is None or found.status.provisioning_state not in ("Succeeded", "Updating"):
        ready = ready_condition(body.get("status") or {})
        why = f": {ready['message']}" if ready else ""
        raise Halt(
            Waiting(
                "SourceNotReady",
                f"Waiting for ImageVersion {namespace}/{name} (source.imageVersionRef){why}",
                _WAIT_SECONDS,
            )
        )
    return found.status.resource_id
