"""Images of community galleries: published for everybody, read by a public name in a region."""

import re
from dataclasses import dataclass, replace
from typing import Any

from gallery_operator.azure.arm_requests import ArmRequests, document_of
from gallery_operator.azure.errors import AzureError, ErrorKind, is_absence
from gallery_operator.azure.throttle import OperationClass

_ID = re.compile(r"(?i)/CommunityGalleries/([^/?#]+)/Images/([^/?#]+)(?:/Versions/([^/?#]+))?")


@dataclass(frozen=True)
class CommunityId:
    """The id of an image, or of one version of it, in a community gallery.

    Attributes:
        gallery: Public name of the gallery.
        image: Image definition.
        version: Version; None for the definition, and where Azure is to take the latest.
    """

    gallery: str
    image: str
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> "CommunityId":
        """Read an id: ``/CommunityGalleries/<public name>/Images/<name>[/Versions/<version>]``.

        Raises:
            AzureError: INVALID; the text is anything else.
        """
        match = _ID.fullmatch(text)
        if match is None:
            raise AzureError(
                ErrorKind.INVALID,
                "InvalidResourceId",
                f"{text[:300]!r} is not the id of an image in a community gallery",
                "Write /CommunityGalleries/<public name>/Images/<name>/Versions/<version>.",
                "communityGalleries.parse",
            )
        return cls(*match.groups())

    @property
    def definition(self) -> "CommunityId":
        """The image that a version is of."""
        return replace(self, version=None)

    def __str__(self) -> str:
        version = f"/Versions/{self.version}" if self.version is not None else ""
        return f"/CommunityGalleries/{self.gallery}/Images/{self.image}{version}"


async def read(
    requests: ArmRequests, subscription_id: str, location: str, community_id: CommunityId
) -> dict[str, Any] | None:
    """Read an image or a version as it is seen in a region.

    Args:
        requests: Who asks.
        subscription_id: Whose budget; any subscription sees community galleries.
        location: Region, in normal form.
        community_id: The image or version.

    Returns:
        The document; None when there is no such thing in this region.

    Raises:
        AzureError: As Azure's answer means.
    """
    group = "community_gallery_images" if community_id.version is None else "community_gallery_image_versions"
    label = "communityGalleryImages" if community_id.version is None else "communityGalleryImageVersions"
    names = [community_id.gallery, community_id.image, *([community_id.version] if community_id.version else [])]
    try:
        response = await requests.call(
            subscription_id,
            OperationClass.READ,
            f"{label}.get",
            lambda client: getattr(client, group).get(
                location, *names, cls=lambda pipeline_response, *_: pipeline_response.http_response
            ),
        )
    except AzureError as error:
        if is_absence(error):
            return None
        raise
    return document_of(response)
