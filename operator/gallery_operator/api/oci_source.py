"""A disk in a container registry."""

from typing import Annotated, ClassVar

from pydantic import Field

from gallery_operator.api.meta import ApiModel, CaBundleRef, LocalRef, Rule, text

_HOST = r"([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[0-9]{1,5})?|[A-Za-z0-9-]+:[0-9]{1,5})"
_REPOSITORY = r"[a-z0-9]+([._/-]+[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"


class OciDisk(ApiModel):
    """A disk in a container registry: an artifact (as ORAS pushes it) or a container disk (as KubeVirt has it)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.path) || !self.path.split('/').exists(part, part == '..')",
            "path must not contain '..'",
            ".path",
        ),
    )

    reference: Annotated[
        str,
        text(
            rf"^{_HOST}/{_REPOSITORY}(:{_TAG})?@{_DIGEST}$",
            "a reference is written as `host/repository@sha256:<hex>`: name the registry's host and the digest, as a "
            "tag may be moved; one may stand before the digest, for people",
            max_length=640,
            description="`host/repository@sha256:<hex>` of an image, an artifact, or an index of images, of which the "
            "one for the architecture of definition or profile is taken. A tag before the digest is not looked at.",
        ),
    ]
    path: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=1024,
                description="Name of the artifact's file (its title), or path of the disk in the container disk; "
                "default: the only file, in a container disk the only one below `/disk`.",
            ),
        ]
        | None
    ) = None
    insecure: Annotated[
        bool,
        Field(
            description="Whether the registry is spoken to over http; only to a host that the administrator allows by "
            "name."
        ),
    ] = False
    pull_secret_ref: (
        Annotated[
            LocalRef,
            Field(
                description="Secret of this namespace of the type `kubernetes.io/dockerconfigjson`, with user and "
                "password for the registry; default: it asks for none."
            ),
        ]
        | None
    ) = None
    ca_bundle_ref: CaBundleRef | None = None
