"""Which objects need which Secret with a credential, so that it does not go before they have cleaned up. Pure."""

from collections.abc import Mapping
from typing import Any

from gallery_operator.api.meta import FINALIZER, GROUP

NAMESPACE_SECRET = "gallery-operator-credential"  # noqa: S105 - the name of a Secret
"""Secret with the credential of all objects in its namespace that name none."""
IN_USE_FINALIZER = f"{GROUP}/credential-in-use"
"""On a Secret: an object that has, or had, something in Azure needs it to clean up."""
USING_KINDS = ("Gallery", "GalleryImageDefinition", "VhdImport")
"""Kinds that use a Secret by themselves. A version uses its definition's, which cannot go before it."""


def wanted(kind: str, body: Mapping[str, Any]) -> str | None:
    """Return the name of the Secret in its own namespace that an object uses if it exists.

    What only observes cleans up nothing, and what belongs to a gallery of ours is outlived by it.
    """
    spec = body.get("spec") or {}
    if spec.get("managementPolicy") == "Observe":
        return None
    if kind == "Gallery":
        return str((spec.get("credentialRef") or {}).get("name") or NAMESPACE_SECRET)
    if (kind == "GalleryImageDefinition" and spec.get("gallery")) or (
        kind == "VhdImport" and not spec.get("definitionRef")
    ):
        return NAMESPACE_SECRET
    return None


def held(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the Secrets that an object holds, or was about to hold."""
    return tuple((body.get("status") or {}).get("credentialSecrets") or ())


def needs(kind: str, body: Mapping[str, Any], name: str) -> bool:
    """Whether an object needs a Secret of its namespace: it uses it and has not cleaned up yet."""
    if (body.get("spec") or {}).get("managementPolicy") == "Observe":
        return False
    holds = FINALIZER in ((body.get("metadata") or {}).get("finalizers") or ())
    done = bool((body.get("status") or {}).get("finalized"))
    return holds and not done and (name == wanted(kind, body) or name in held(body))
