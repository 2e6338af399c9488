"""Where an image version is replicated to, and what may be deleted of it."""

from typing import Annotated, Literal

from pydantic import Field

from gallery_operator.api.meta import (
    ApiModel,
    Region,
)

StorageAccountType = Literal["Standard_LRS", "Standard_ZRS", "Premium_LRS", "PremiumV2_LRS"]


class TargetRegion(ApiModel):
    """A region that the version is replicated to.

    Attributes:
        exclude_from_latest: In this region the version is not what `latest` stands for.
    """

    name: Region
    regional_replica_count: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="Replicas in this region, 1 to 100; more of them serve more deployments at once.",
        ),
    ] = 1
    storage_account_type: Annotated[
        StorageAccountType,
        Field(description="Storage of the replicas; it cannot be changed for a region that exists."),
    ] = "Standard_LRS"
    exclude_from_latest: bool | None = None


class SafetyProfile(ApiModel):
    """What may be deleted.

    Attributes:
        block_deletion_before_end_of_life: Azure refuses to delete the version before `endOfLifeDate`.
    """

    allow_deletion_of_replicated_locations: Annotated[
        bool, Field(description="Regions may be removed from the version; Azure's own default is false.")
    ] = True
    block_deletion_before_end_of_life: bool | None = None
