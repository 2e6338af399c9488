"""What is looked up before Azure is asked to store a version: disk encryption sets, keys of secure boot."""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from gallery_operator.api import ImageVersion
from gallery_operator.api.security import KeyRef, UefiKey
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.planning import preconditions
from gallery_operator.planning.outcome import Stalled, Waiting
from gallery_operator.planning.regions import normal
from gallery_operator.planning.uefi import UefiKeyError, values
from gallery_operator.reconcilers.common import properties
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.scope import DefinitionScope

_WAIT_SECONDS = 30.0


def refuse_impossible(version: ImageVersion, scope: DefinitionScope) -> None:
    """Refuse what Azure would refuse, without asking it anything.

    Raises:
        Halt: The version cannot be stored as the spec says.
    """
    problem = preconditions.refusal(version, scope.definition, scope.gallery.subscription_id)
    if problem is not None:
        raise Halt(Stalled(*problem))


async def check_encryption(version: ImageVersion, scope: DefinitionScope, added: Iterable[str]) -> None:
    """Look whether the encryption that is asked for new regions is possible.

    What this identity may not read is left to Azure to judge.

    Args:
        version: The version.
        scope: Its definition and gallery.
        added: Regions (normal form) that Azure does not have yet; others are not looked at.

    Raises:
        Halt: A disk encryption set is missing or in another region, or the gallery is shared directly.
        AzureError: A request failed for another reason than missing rights.
    """
    names = set(added)
    wanted = [each for each in preconditions.encryptions(version) if normal(each[1]) in names]
    if not any(encryption.set_ids() for _, _, encryption in wanted):
        return
    gallery = await _readable(scope, scope.gallery.resource_id)
    sharing = (properties(gallery).get("sharingProfile") or {}) if gallery else {}
    if sharing.get("permissions") == "Groups":
        raise Halt(
            Stalled(
                "EncryptedInSharedGallery",
                "The gallery is shared directly (sharingProfile.permissions: Groups), and Azure keeps no versions "
                "there that are encrypted with a disk encryption set: take the encryption out, or use another gallery.",
            )
        )
    seen: dict[str, dict[str, Any] | None] = {}
    for field, region, encryption in wanted:
        for disk, identity in encryption.set_ids().items():
            if identity not in seen:
                seen[identity] = await _readable(scope, identity)
            found = seen[identity]
            if found is None:
                raise Halt(
                    Waiting(
                        "EncryptionSetNotFound",
                        f"{field} names {identity} for {disk}, which does not exist: make it, or correct the id.",
                        _WAIT_SECONDS,
                    )
                )
            location = str(found.get("location") or region)
            if normal(location) != normal(region):
                raise Halt(
                    Stalled(
                        "EncryptionSetElsewhere",
                        f"{field} names {identity} for {disk}, which is in {location}: a region needs a disk "
                        f"encryption set of its own, make one in {region}.",
                    )
                )


async def _readable(scope: DefinitionScope, resource_id: str) -> dict[str, Any] | None:
    """Return a resource; an empty one where this identity may not read it, None where there is none."""
    try:
        return await scope.gallery.arm.get(resource_id)
    except AzureError as error:
        if error.kind is ErrorKind.FORBIDDEN:
            return {}
        raise


async def uefi_settings(ctx: Context, version: ImageVersion) -> dict[str, Any] | None:
    """Return ``uefiSettings`` with the keys themselves, or None.

    Raises:
        Halt: A Secret, a ConfigMap or a key in it is missing, or holds something else.
        KubeError: The Kubernetes API could not be asked.
    """
    profile = version.spec.security_profile
    settings = profile.uefi_settings if profile is not None else None
    if settings is None:
        return None
    wire: dict[str, Any] = {}
    if settings.signature_template_names:
        wire["signatureTemplateNames"] = list(settings.signature_template_names)
    signatures = settings.additional_signatures
    if signatures is not None:
        added: dict[str, Any] = {}
        if signatures.pk is not None:
            added["pk"] = await _key(ctx, version, "pk", signatures.pk)
        for name, keys in (("kek", signatures.kek), ("db", signatures.db), ("dbx", signatures.dbx)):
            if keys:
                added[name] = [await _key(ctx, version, name, each) for each in keys]
        wire["additionalSignatures"] = added
    return wire


async def _key(ctx: Context, version: ImageVersion, database: str, key: UefiKey) -> dict[str, Any]:
    if key.value is not None:
        return {"type": key.type, "value": list(key.value)}
    kind, ref = (
        ("Secret", key.secret_key_ref) if key.secret_key_ref is not None else ("ConfigMap", key.config_map_key_ref)
    )
    if ref is None:
        raise Halt(Stalled("InvalidSpec", f"additionalSignatures.{database} names neither a value nor a place."))
    data = await _content(ctx, version.metadata.namespace, kind, ref, database)
    try:
        return {"type": key.type, "value": values(data, key.type)}
    except UefiKeyError as error:
        where = f"Key {ref.key} of {kind} {version.metadata.namespace}/{ref.name}"
        raise Halt(
            Stalled("UefiKeyUnusable", f"{where} (additionalSignatures.{database}) cannot be used: {error}.")
        ) from None


async def _content(ctx: Context, namespace: str, kind: str, ref: KeyRef, database: str) -> bytes:
    found = await ctx.kube.get(kind, namespace, ref.name)
    what = f"{kind} {namespace}/{ref.name} (additionalSignatures.{database})"
    if found is None:
        raise Halt(Waiting(f"{kind}NotFound", f"{what} does not exist: create it.", _WAIT_SECONDS))
    if kind == "ConfigMap" and ref.key in (found.get("data") or {}):
        return str(found["data"][ref.key]).encode()
    encoded = (found.get("data" if kind == "Secret" else "binaryData") or {}).get(ref.key)
    if encoded is None:
        raise Halt(Waiting("KeyNotFound", f"{what} has no key {ref.key}: add it, or correct the key.", _WAIT_SECONDS))
    try:
        return base64.b64decode(encoded)
    except binascii.Error:
        raise Halt(Stalled("UefiKeyUnusable", f"Key {ref.key} of {what} is not base64.")) from None
