"""How long things live: soft delete, retention, restore, end of life, and how much room there is."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.meta import ApiModel, Rule, Time, text

RETAIN = "gallery-operator.dev/retain"
"""Annotation on an ImageVersion (value ``true``): retention keeps the version."""
RETAIN_TAG = "gallery-operator.dev-retain"
"""The same as a tag on the version in Azure, for versions without an object."""
DUE_LIMIT = 100
"""Most versions that ``status.retention.due`` lists; what is not listed is not deleted."""
SOFT_DELETED_LIMIT = 50
"""Most versions that ``status.softDeleted`` lists."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
Duration = Annotated[
    str,
    text(
        r"^(0|[1-9][0-9]{0,4})[smhd]$",
        "a duration is a whole number with one unit: `90s`, `30m`, `720h` or `30d`",
        max_length=6,
    ),
]
"""A duration as text, in seconds, minutes, hours or days."""


def duration(value: str) -> timedelta:
    """Return a :data:`Duration` as a time span."""
    return timedelta(**{_UNITS[value[-1]]: int(value[:-1])})


class SoftDeletePolicy(ApiModel):
    """Whether deleted versions can be restored for a while.

    Attributes:
        is_soft_delete_enabled: A deleted version is kept and can be restored. False switches it off again.
        retention_period_in_days: Days during which a deleted version can still be used by its exact name.
        grace_period_in_days: Days after those in which it can only be restored; then it is gone for good.
    """

    is_soft_delete_enabled: bool
    retention_period_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    grace_period_in_days: Annotated[int, Field(ge=0, le=3650)] | None = None


class Retention(ApiModel):
    """Which versions of the definition stay, and what happens to the others.

    What `latest` resolves to in any region always stays, and so does what is pinned, what has an `endOfLifeDate` in the
    future, what another cluster's operator made, and what Azure works on.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.keepVersions) || has(self.keepYoungerThan)",
            "say what is to stay: set keepVersions, keepYoungerThan, or both",
        ),
        Rule(
            "self.mode == 'DeleteVersions' || !self.deleteObjects",
            "deleteObjects has no effect while mode is Report: set mode to DeleteVersions, or leave it out",
            ".deleteObjects",
        ),
    )

    mode: Annotated[
        Literal["Report", "DeleteVersions"],
        Field(
            description="`Report` only lists in `status.retention.due` what would go; `DeleteVersions` deletes it from "
            "Azure when it has been listed for `notice`."
        ),
    ] = "Report"
    keep_versions: (
        Annotated[
            int,
            Field(
                ge=1,
                le=10_000,
                description="The newest (by publishing date) so many versions that succeeded stay; failed ones do not count.",
            ),
        ]
        | None
    ) = None
    keep_younger_than: (
        Annotated[Duration, Field(description="Versions published more recently stay, for example `30d`.")] | None
    ) = None
    notice: Annotated[
        Duration, Field(description="How long a version is listed as due before it is deleted, for example `24h`.")
    ] = "24h"
    unmanaged_versions: Annotated[
        Literal["Keep", "Delete"],
        Field(
            description="What happens to versions that are due, have no ImageVersion object and carry no tags of this "
            "operator: somebody else made them."
        ),
    ] = "Keep"
    delete_objects: Annotated[
        bool,
        Field(
            description="Versions that an ImageVersion object declares are deleted by deleting the object. Without it "
            "they are only told as due: Git, or whoever made the object, decides."
        ),
    ] = False


class DueVersion(ApiModel):
    """A version that no rule keeps.

    Attributes:
        version: Its number.
        reason: Why it is due: `NotAmongNewest`, `TooOld`, `NotAmongNewestAndTooOld` or `Failed`.
        action: What happens when it has been listed for `notice`: `DeleteVersion` (in Azure), `DeleteObject` (the
            ImageVersion, and so the version), or `Report`: nothing.
        since: Since when it is due, with this action.
        published_date: When it was published; a version made anew under the number is another one.
        object: ImageVersion that declares it.
    """

    version: str
    reason: str
    action: Literal["Report", "DeleteVersion", "DeleteObject"]
    since: Time
    published_date: Time | None = None
    object: str | None = None


class RetentionStatus(ApiModel):
    """What retention has found.

    Attributes:
        due: Versions that are due, oldest first, the first 100; what is not listed is not deleted.
        due_count: How many are due altogether.
        next_deletion: When the next one goes; absent when none does.
    """

    due: Annotated[
        tuple[DueVersion, ...],
        Field(max_length=DUE_LIMIT),
    ] = ()
    due_count: int = 0
    next_deletion: Time | None = None


class SoftDeletedVersion(ApiModel):
    """A deleted version that can be restored.

    Attributes:
        version: Its number.
        soft_deleted_time: When it was deleted.
        consumption_end_time: Until when it can be used by its exact name.
        hard_deletion_target_time: When it is gone for good.
    """

    version: str
    soft_deleted_time: Time | None = None
    consumption_end_time: Time | None = None
    hard_deletion_target_time: Time | None = None


class SoftDeletedStatus(ApiModel):
    """Deleted versions that can be restored.

    Attributes:
        count: How many there are.
        versions: The first 50 of them, the ones that go first at the top.
    """

    count: int = 0
    versions: Annotated[
        tuple[SoftDeletedVersion, ...],
        Field(max_length=SOFT_DELETED_LIMIT),
    ] = ()


class RetentionDue(ApiModel):
    """What the definition's retention says of a version that this object declares.

    Attributes:
        since: Since when it is due.
        reason: Why it is due.
        action: `DeleteObject`: this object is deleted when the notice is over. `Report`: nothing happens by itself.
    """

    since: Time
    reason: str
    action: Literal["Report", "DeleteVersion", "DeleteObject"]


class RegionLatest(ApiModel):
    """What `latest` resolves to in a region.

    Attributes:
        name: Region.
        version: The version; absent when there is none.
    """

    name: str
    version: str | None = None


class NextEndOfLife(ApiModel):
    """The version whose end of life comes next.

    Attributes:
        version: Its number.
        end_of_life_date: When it ends.
    """

    version: str
    end_of_life_date: Time


class QuotaUse(ApiModel):
    """How much of a limit of the subscription in the region is used.

    Attributes:
        resource: `Galleries`, `ImageDefinitions` or `ImageVersions`.
        used: How many there are.
        limit: How many there may be.
        source: `Azure`: Azure's own count. `Counted`: only what this gallery has, as far as the operator knows.
    """

    resource: Literal["Galleries", "ImageDefinitions", "ImageVersions"]
    used: int
    limit: int
    source: Literal["Azure", "Counted"]
