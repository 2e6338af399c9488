"""A disk in S3-compatible object storage."""

from typing import Annotated, ClassVar

from pydantic import Field

from gallery_operator.api.checksum import Checksum
from gallery_operator.api.meta import ApiModel, CaBundleRef, LocalRef, Rule, text


class S3Disk(ApiModel):
    """A disk in S3-compatible object storage: Amazon S3, MinIO, Ceph, Cloudflare R2 and others.

    Attributes:
        version_id: Version of the object, in a bucket with versioning; default: the current one.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.endpoint) || has(self.region)",
            "set region, or the endpoint of a service that is not Amazon's",
        ),
    )

    endpoint: (
        Annotated[
            str,
            text(
                r"^https?://[^/?#@\s]+/?$",
                "endpoint is an http or https URL without path, user info and query: the bucket has its own field",
                max_length=512,
                description="URL of the service; default: Amazon's of the region. An http URL needs `checksum`, unless "
                "the administrator allows its host by name.",
            ),
        ]
        | None
    ) = None
    region: (
        Annotated[
            str,
            text(
                r"^[a-z0-9-]+$",
                "a region is written as `eu-north-1`",
                max_length=64,
                description="Region that requests are signed for; default, with `endpoint`: `us-east-1`, which most "
                "services other than Amazon's take (Cloudflare R2 wants `auto`).",
            ),
        ]
        | None
    ) = None
    bucket: Annotated[
        str,
        text(
            r"^[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]$",
            "a bucket's name has letters, digits, '.', '-' and '_', and starts and ends with a letter or digit",
            min_length=3,
            max_length=63,
            description="Bucket that has the object.",
        ),
    ]
    key: Annotated[str, Field(min_length=1, max_length=1024, description="Key of the object; not percent-encoded.")]
    version_id: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    path_style: (
        Annotated[
            bool,
            Field(
                description="Whether the bucket is in the URL's path instead of its host name; default: true with "
                "`endpoint`, and for a bucket with a dot in its name, which no certificate would fit."
            ),
        ]
        | None
    ) = None
    checksum: Checksum | None = None
    credentials_secret_ref: (
        Annotated[
            LocalRef,
            Field(
                description="Secret of this namespace with the keys `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, "
                "for keys that end, `AWS_SESSION_TOKEN`; default: the object is public."
            ),
        ]
        | None
    ) = None
    ca_bundle_ref: CaBundleRef | None = None
