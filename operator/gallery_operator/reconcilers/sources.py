"""Resolves the disks of an image version to what ARM takes as a source."""

from collections.abc import Sequence

from gallery_operator.api import ImageVersion, VhdImport
from gallery_operator.api.version_source import DataDiskSource, OsDiskSource
from gallery_operator.planning.outcome import Stalled, Waiting
from gallery_operator.planning.status import ready_condition
from gallery_operator.planning.version import DiskPart
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt

_WAIT_SECONDS = 30.0


async def resolve_disks(
    ctx: Context, version: ImageVersion, sources: Sequence[OsDiskSource | DataDiskSource]
) -> list[DiskPart]:
    """Return the disks of a version, OS disk first.

    Args:
        ctx: Context.
        version: The version.
        sources: Its sources, OS disk first.

    Raises:
        Halt: An import is missing, not ready, or failed.
    """
    return [await _resolve(ctx, version, each) for each in sources]


async def _resolve(ctx: Context, version: ImageVersion, source: OsDiskSource | DataDiskSource) -> DiskPart:
    lun = source.lun if isinstance(source, DataDiskSource) else None
    if source.disk_id is not None:
        return DiskPart({"id": source.disk_id}, source.host_caching, lun)
    if source.snapshot_id is not None:
        return DiskPart({"id": source.snapshot_id}, source.host_caching, lun)
    if source.blob is not None:
        wire = {"storageAccountId": source.blob.storage_account_id, "uri": source.blob.uri}
        return DiskPart(wire, source.host_caching, lun)
    if source.vhd_import_ref is None:
        raise Halt(Stalled("InvalidSpec", "A disk of the version names no source."))
    return DiskPart(
        await _imported(ctx, version.metadata.namespace, source.vhd_import_ref.name, lun), source.host_caching, lun
    )


async def _imported(ctx: Context, namespace: str, name: str, lun: int | None) -> dict[str, str]:
    body = await ctx.kube.get("VhdImport", namespace, name)
    which = "the OS disk" if lun is None else f"the data disk at LUN {lun}"
    if body is None:
        raise Halt(
            Waiting(
                "ImportNotFound",
                f"VhdImport {namespace}/{name} for {which} does not exist: create it, or correct vhdImportRef.",
                _WAIT_SECONDS,
            )
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
    if found.status.staging_released:
        raise Halt(
            Stalled(
                "ImportReleased",
                f"The staging disk of VhdImport {namespace}/{name} is gone, another version has used it: make a new "
                "import, or give it a destination so that the disk stays.",
            )
        )
    ready = ready_condition(body.get("status") or {})
    target = found.status.target
    if ready is None or ready["status"] != "True" or target is None:
        why = f": {ready['message']}" if ready else ""
        raise Halt(
            Waiting(
                "ImportNotReady",
                f"Waiting for VhdImport {namespace}/{name} for {which} ({found.status.phase or 'Pending'}){why}",
                _WAIT_SECONDS,
            )
        )
    if target.blob_url is not None:
        return {"storageAccountId": target.resource_id, "uri": target.blob_url}
    return {"id": target.resource_id}
