"""Where an import goes: its guest profile, its target in Azure, the credential for it."""

from dataclasses import dataclass

from gallery_operator.api import VhdImport
from gallery_operator.api.destination import ManagedDisk
from gallery_operator.api.vhdimport_status import ImportTarget
from gallery_operator.azure import resource_ids
from gallery_operator.azure.credentials import CredentialSpec
from gallery_operator.azure.gateway import Arm
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.contract import GuestProfile
from gallery_operator.planning.import_disk import refusal, size_limits
from gallery_operator.planning.names import staging_disk_name
from gallery_operator.planning.outcome import Stalled
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.scope import DefinitionScope, credential, definition_of, subscription


@dataclass(frozen=True)
class ImportScope:
    """An import's place in Azure.

    Attributes:
        credential: Credential for the target.
        arm: Gateway to ARM in the target's subscription.
        target: Where the disk goes; the URL of a blob is added when the account's endpoint is known.
        disk: How the managed disk is wanted that is uploaded to (the target, or what an image is made from).
        guest: What the image is declared to be.
        min_virtual_size: Lower bound of the disk, in bytes.
        max_virtual_size: Upper bound of the disk, in bytes.
    """

    credential: CredentialSpec
    arm: Arm
    target: ImportTarget
    disk: ManagedDisk | None
    guest: GuestProfile
    min_virtual_size: int
    max_virtual_size: int

    @property
    def disk_id(self) -> str:
        """ARM id of the managed disk that is uploaded to."""
        return self.target.upload_disk_id or self.target.resource_id


async def import_scope(ctx: Context, vhd_import: VhdImport) -> ImportScope:
    """Resolve where an import goes.

    Raises:
        Halt: Definition, gallery or credential are missing or not ready, or the import can never work.
    """
    spec = vhd_import.spec
    definition: DefinitionScope | None = None
    if spec.definition_ref is not None:
        name = spec.definition_ref.name
        # What is under way does not stop because the definition's tags are just being changed.
        need_ready = vhd_import.status.phase in (None, "Pending")
        definition = await definition_of(ctx, vhd_import.metadata.namespace, name, need_ready=need_ready)
    guest = guest_profile(vhd_import, definition)
    who = (
        definition.gallery.credential
        if definition is not None
        else await credential(ctx, vhd_import.metadata.namespace, None)
    )
    refused = refusal(vhd_import, guest)
    if refused is not None:
        raise Halt(refused)
    return _place(ctx, vhd_import, definition, who, guest)


def guest_profile(vhd_import: VhdImport, definition: DefinitionScope | None) -> GuestProfile:
    """Return what the disk is checked against: the definition's properties, else the profile of the spec."""
    spec = vhd_import.spec
    if definition is not None:
        wanted = definition.definition.spec
        return GuestProfile(
            os_state=wanted.os_state,
            hyper_v_generation=wanted.hyper_v_generation,
            architecture=wanted.architecture,
            disk_role=spec.disk_role,
            features={each.name: each.value for each in wanted.features},
        )
    if spec.profile is not None:
        return GuestProfile(
            os_state=spec.profile.os_state,
            hyper_v_generation=spec.profile.hyper_v_generation,
            architecture=spec.profile.architecture,
            disk_role=spec.disk_role,
        )
    return GuestProfile(disk_role=spec.disk_role)


def _place(
    ctx: Context, vhd_import: VhdImport, definition: DefinitionScope | None, who: CredentialSpec, guest: GuestProfile
) -> ImportScope:
    meta = vhd_import.metadata
    destination = vhd_import.spec.destination
    page_blob = destination is not None and destination.page_blob is not None
    smallest, limit = size_limits(guest, page_blob=page_blob)
    if destination is not None and destination.page_blob is not None:
        account = ResourceId.parse(destination.page_blob.storage_account_id)
        arm = ctx.azure.arm(who, account.subscription_id)
        target = ImportTarget(type="PageBlob", resource_id=str(account))
        return ImportScope(who, arm, target, None, guest, smallest, limit)
    if destination is not None and destination.managed_disk is not None:
        wanted = destination.managed_disk
        subscription_id = subscription(wanted.subscription_id, who, ctx)
        resource_id = resource_ids.disk(subscription_id, wanted.resource_group, wanted.disk_name or meta.name)
        target = ImportTarget(type="ManagedDisk", resource_id=str(resource_id), location=wanted.location)
        arm = ctx.azure.arm(who, subscription_id)
        return ImportScope(who, arm, target, wanted, guest, smallest, limit)
    staging = staging_disk_name(meta.namespace, meta.name, meta.uid)
    if destination is not None and destination.managed_image is not None:
        image = destination.managed_image
        subscription_id = subscription(image.subscription_id, who, ctx)
        target = ImportTarget(
            type="ManagedImage",
            resource_id=str(
                resource_ids.managed_image(subscription_id, image.resource_group, image.image_name or meta.name)
            ),
            location=image.location,
            upload_disk_id=str(resource_ids.disk(subscription_id, image.resource_group, staging)),
        )
        disk = ManagedDisk(
            resource_group=image.resource_group,
            location=image.location,
            disk_encryption_set_id=image.disk_encryption_set_id,
        )
        arm = ctx.azure.arm(who, subscription_id)
        return ImportScope(who, arm, target, disk, guest, smallest, limit)
    if definition is None:
        raise Halt(Stalled("InvalidSpec", "Without a destination, definitionRef must name a definition."))
    gallery = definition.gallery
    resource_id = resource_ids.disk(gallery.subscription_id, gallery.resource_group, staging)
    target = ImportTarget(type="ManagedDisk", resource_id=str(resource_id), location=gallery.location, staging=True)
    disk = ManagedDisk(resource_group=gallery.resource_group, location=gallery.location)
    return ImportScope(who, gallery.arm, target, disk, guest, smallest, limit)
