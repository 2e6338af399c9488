"""Looks at the source of a new version in Azure, so that what cannot work is refused here and with the field's name.

It only reads, and only before a version is made. What this identity may not read is not checked: that Azure makes a
version of it is decided by other rights, and by Azure.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from gallery_operator.api import ImageVersion
from gallery_operator.api.version_source import BlobSource, DataDiskSource, OsDiskSource, VersionSource
from gallery_operator.azure.community import CommunityId
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.planning import source_rules as rules
from gallery_operator.planning.regions import normal
from gallery_operator.planning.source_problems import Problem, Wanted, conclude
from gallery_operator.planning.sources import disks_of, field_of, lun_of
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.scope import DefinitionScope

_INSTANCE_VIEW = "instanceView"


@dataclass(frozen=True)
class _Answer:
    """What reading gave.

    Attributes:
        known: False: this identity may not read it.
        found: The document; None when there is none.
    """

    known: bool
    found: Any = None


@dataclass
class SourceChecks:
    """The checks of one version's source.

    Attributes:
        ctx: Context.
        scope: The definition that the version is to belong to.
        wanted: What the source must fit.
        problems: What was found to be wrong.
        unread: What could not be looked at, each as a sentence.
    """

    ctx: Context
    scope: DefinitionScope
    wanted: Wanted
    problems: list[Problem] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, ctx: Context, version: ImageVersion, scope: DefinitionScope) -> "SourceChecks":
        """Prepare the checks of a version."""
        gallery, mode = scope.gallery, version.spec.replication_mode
        return cls(ctx, scope, Wanted.of(scope.definition, gallery.location, mode, gallery.subscription_id))

    def halt(self) -> None:
        """End the reconcile if something is wrong.

        Raises:
            Halt: A rule is broken.
        """
        outcome = conclude(self.problems)
        if outcome is not None:
            raise Halt(outcome)

    async def look(self, source: VersionSource, referred: str | None) -> None:
        """Look at all that the source names in Azure.

        Args:
            source: The source.
            referred: ARM id of the version that ``imageVersionRef`` stands for.

        Raises:
            AzureError: A request failed for another reason than missing rights.
        """
        for disk in disks_of(source):
            await self._disk(disk)
        if source.managed_image_id is not None:
            name, resource_id = "source.managedImageId", source.managed_image_id
            answer = await self._get(name, resource_id)
            if answer.known or self.wanted.os_state != "Generalized":
                self.problems += rules.managed_image(self.wanted, name, answer.found, resource_id)
        if source.virtual_machine_id is not None:
            name, resource_id = "source.virtualMachineId", source.virtual_machine_id
            answer = await self._get(name, resource_id, expand=_INSTANCE_VIEW)
            if answer.known:
                self.problems += rules.virtual_machine(self.wanted, name, answer.found, resource_id)
        if source.gallery_image_version_id is not None:
            await self._version("source.galleryImageVersionId", source.gallery_image_version_id)
        if referred is not None:
            await self._version("source.imageVersionRef", referred)
        if source.community_gallery_image_id is not None:
            await self._community("source.communityGalleryImageId", source.community_gallery_image_id)

    async def _disk(self, disk: OsDiskSource | DataDiskSource) -> None:
        lun = lun_of(disk)
        for name, resource_id in (("diskId", disk.disk_id), ("snapshotId", disk.snapshot_id)):
            if resource_id is not None:
                where = field_of(lun, name)
                answer = await self._get(where, resource_id)
                if answer.known:
                    self.problems += rules.disk(self.wanted, where, answer.found, resource_id, os=lun is None)
        if disk.blob is not None:
            await self._blob(field_of(lun, "blob"), disk.blob)

    async def _blob(self, where: str, blob: BlobSource) -> None:
        account = await self._get(f"{where}.storageAccountId", blob.storage_account_id)
        if not account.known:
            return
        found = rules.blob(self.wanted, where, account.found, blob.storage_account_id)
        if not found:
            blobs = self.ctx.azure.blobs(self.scope.gallery.credential, blob.storage_account_id)
            properties = await self._try(f"{where}.uri", f"the blob {blob.uri}", blobs.properties(blob.uri))
            if properties.known:
                kind = properties.found.blob_type if properties.found is not None else None
                found = rules.blob_content(where, blob.uri, kind)
        self.problems += found

    async def _version(self, where: str, resource_id: str) -> None:
        answer = await self._get(where, resource_id)
        if not answer.known:
            return
        definition_id = ResourceId.parse(resource_id).parent
        definition = await self._get(where, str(definition_id)) if answer.found is not None else _Answer(False)
        self.problems += rules.gallery_version(self.wanted, where, answer.found, definition.found, resource_id)

    async def _community(self, where: str, text: str) -> None:
        community_id = CommunityId.parse(text)
        location = normal(self.wanted.location)
        arm = self.scope.gallery.arm
        image = await self._try(where, text, arm.community_image(location, community_id.definition))
        found = image
        if community_id.version is not None:
            found = await self._try(where, text, arm.community_image(location, community_id))
        if found.known:
            self.problems += rules.community_version(self.wanted, where, found.found, image.found, text)

    async def _get(self, where: str, resource_id: str, expand: str | None = None) -> _Answer:
        return await self._try(where, resource_id, self.scope.gallery.arm.get(resource_id, expand=expand))

    async def _try(self, where: str, what: str, reading: Awaitable[Any]) -> _Answer:
        try:
            return _Answer(True, await reading)
        except AzureError as error:
            if error.kind is ErrorKind.DEPENDENCY and error.code == "ContainerNotFound":
                return _Answer(True)
            if error.kind is not ErrorKind.FORBIDDEN:
                raise
            self.unread.append(
                f"{where}: this identity may not read {what} ({error.code}), so it is not checked beforehand; Azure "
                "decides."
            )
            return _Answer(False)
