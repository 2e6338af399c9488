"""Resolves what an object refers to: credential, gallery, definition. Every dead end says what to do next."""

import base64
from dataclasses import dataclass

from gallery_operator.api import Gallery, GalleryImageDefinition
from gallery_operator.azure import resource_ids
from gallery_operator.azure.credentials import CredentialError, CredentialSpec
from gallery_operator.azure.gateway import Arm
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.planning.credential_use import NAMESPACE_SECRET
from gallery_operator.planning.outcome import Stalled, Waiting
from gallery_operator.planning.status import ready_condition
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt

_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class GalleryScope:
    """A gallery, and who may act on it.

    Attributes:
        resource_id: ARM id of the gallery.
        location: Its region.
        credential: Credential for it.
        subscription_id: Its subscription.
        arm: Gateway to ARM with both.
        soft_delete: Deleted versions can be restored for a while.
    """

    resource_id: str
    location: str
    credential: CredentialSpec
    subscription_id: str
    arm: Arm
    soft_delete: bool = False

    @property
    def resource_group(self) -> str:
        """Resource group of the gallery."""
        return ResourceId.parse(self.resource_id).resource_group


@dataclass(frozen=True)
class DefinitionScope:
    """A definition in its gallery."""

    definition: GalleryImageDefinition
    gallery: GalleryScope
    resource_id: str


async def credential(ctx: Context, namespace: str, secret_name: str | None) -> CredentialSpec:
    """Return the credential to use: the named Secret, else the namespace's, else the operator's own.

    Raises:
        Halt: The named Secret is missing or unusable, or there is no credential at all.
    """
    name = secret_name or NAMESPACE_SECRET
    secret = await ctx.kube.get("Secret", namespace, name)
    if secret is None:
        if secret_name is not None:
            raise Halt(
                Waiting(
                    "SecretNotFound",
                    f"Secret {namespace}/{name} (credentialRef) does not exist: create it with AZURE_TENANT_ID, "
                    "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.",
                    _WAIT_SECONDS,
                )
            )
        if ctx.settings.default_credential is None:
            raise Halt(
                Stalled(
                    "NoCredential",
                    f"There is no credential for Azure: {ctx.settings.default_credential_problem}. Name a Secret in "
                    f"the Gallery's credentialRef, create the Secret {NAMESPACE_SECRET} in this namespace, or give the "
                    "operator an identity (chart value azure.workloadIdentity).",
                )
            )
        return ctx.settings.default_credential
    try:
        data = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
        return CredentialSpec.from_secret(data)
    except (CredentialError, ValueError) as error:
        raise Halt(Stalled("CredentialUnusable", f"Secret {namespace}/{name}: {error}")) from error


def subscription(spec_value: str | None, who: CredentialSpec, ctx: Context) -> str:
    """Return the subscription: the spec's, else the credential's, else that of the operator's own identity.

    Raises:
        Halt: None of them names one.
    """
    own = ctx.settings.default_credential
    found = spec_value or who.subscription_id or (own.subscription_id if own is not None else None)
    if found is None:
        raise Halt(
            Stalled(
                "NoSubscription",
                "No subscription is known: set subscriptionId in the spec, or AZURE_SUBSCRIPTION_ID in the credential.",
            )
        )
    return found


async def gallery_of_object(ctx: Context, gallery: Gallery) -> GalleryScope:
    """Return the scope of a Gallery object; the gallery need not exist in Azure yet."""
    ref = gallery.spec.credential_ref
    who = await credential(ctx, gallery.metadata.namespace, ref.name if ref is not None else None)
    subscription_id = subscription(gallery.spec.subscription_id, who, ctx)
    if gallery.status.resource_id is not None:
        subscription_id = ResourceId.parse(gallery.status.resource_id).subscription_id
    resource_id = resource_ids.gallery(subscription_id, gallery.spec.resource_group, gallery.gallery_name)
    policy = gallery.status.soft_delete_policy
    soft = policy is not None and policy.is_soft_delete_enabled
    arm = ctx.azure.arm(who, subscription_id)
    return GalleryScope(str(resource_id), gallery.spec.location, who, subscription_id, arm, soft)


async def gallery_of_definition(
    ctx: Context, definition: GalleryImageDefinition, *, deleting: bool = False, need_ready: bool = True
) -> GalleryScope:
    """Return the scope of the gallery that a definition belongs to.

    Args:
        ctx: Context.
        definition: The definition.
        deleting: The definition (or what belongs to it) is being deleted: a gallery that is not ready will do, and one
            whose object is gone is known from the definition's status.
        need_ready: The gallery must be ready: something is about to be made in it. What exists already does not become
            un-ready because its parent is being updated.

    Raises:
        Halt: The gallery is missing, not ready, or does not allow this namespace.
    """
    namespace = definition.metadata.namespace
    if definition.spec.gallery is not None:
        resource_id = ResourceId.parse(definition.spec.gallery.resource_id)
        who = await credential(ctx, namespace, None)
        arm = ctx.azure.arm(who, resource_id.subscription_id)
        existing = await arm.get(str(resource_id))
        if existing is None and not deleting:
            raise Halt(
                Waiting(
                    "GalleryNotFound",
                    f"The gallery {resource_id} does not exist in Azure, or this identity cannot see it.",
                    _WAIT_SECONDS,
                )
            )
        location = str((existing or {}).get("location") or "")
        policy = ((existing or {}).get("properties") or {}).get("softDeletePolicy") or {}
        soft = bool(policy.get("isSoftDeleteEnabled"))
        return GalleryScope(str(resource_id), location, who, resource_id.subscription_id, arm, soft)
    ref = definition.spec.gallery_ref
    if ref is None:
        raise Halt(Stalled("InvalidSpec", "Set exactly one of galleryRef and gallery."))
    where = ref.namespace or namespace
    body = await ctx.kube.get("Gallery", where, ref.name)
    if body is None:
        if deleting and definition.status.resource_id is not None:
            gallery_id = ResourceId.parse(definition.status.resource_id).parent
            if gallery_id is not None:
                who = await credential(ctx, namespace, None)
                arm = ctx.azure.arm(who, gallery_id.subscription_id)
                return GalleryScope(str(gallery_id), "", who, gallery_id.subscription_id, arm)
        raise Halt(
            Waiting(
                "GalleryNotFound",
                f"Gallery {where}/{ref.name} does not exist: create it, or correct galleryRef.",
                _WAIT_SECONDS,
            )
        )
    gallery = Gallery.model_validate(body)
    allowed = gallery.spec.allowed_namespaces.names if gallery.spec.allowed_namespaces is not None else ()
    if not deleting and where != namespace and namespace not in allowed and "*" not in allowed:
        raise Halt(
            Stalled(
                "NamespaceNotAllowed",
                f"Gallery {where}/{ref.name} does not allow namespace {namespace}: add it to the gallery's "
                "allowedNamespaces.names.",
            )
        )
    if need_ready and not deleting:
        if gallery.metadata.deletion_timestamp is not None:
            raise Halt(Waiting("GalleryDeleting", f"Gallery {where}/{ref.name} is being deleted.", _WAIT_SECONDS))
        ready = ready_condition(body.get("status") or {})
        if ready is None or ready["status"] != "True":
            why = f": {ready['message']}" if ready else ""
            raise Halt(Waiting("GalleryNotReady", f"Gallery {where}/{ref.name} is not ready{why}", _WAIT_SECONDS))
    return await gallery_of_object(ctx, gallery)


async def definition_of(
    ctx: Context, namespace: str, name: str, *, deleting: bool = False, need_ready: bool = True
) -> DefinitionScope | None:
    """Return the scope of a definition that something refers to.

    Args:
        ctx: Context.
        namespace: Namespace of the referring object, and so of the definition.
        name: Name of the definition.
        deleting: The referring object is being deleted; a definition that is not ready will do.
        need_ready: The definition must be ready: something is about to be made in it.

    Returns:
        The scope; None when ``deleting`` and the definition does not exist.

    Raises:
        Halt: The definition is missing or not ready.
    """
    body = await ctx.kube.get("GalleryImageDefinition", namespace, name)
    if body is None:
        if deleting:
            return None
        raise Halt(
            Waiting(
                "DefinitionNotFound",
                f"GalleryImageDefinition {namespace}/{name} does not exist: create it, or correct definitionRef.",
                _WAIT_SECONDS,
            )
        )
    definition = GalleryImageDefinition.model_validate(body)
    if need_ready and not deleting:
        if definition.metadata.deletion_timestamp is not None:
            raise Halt(
                Waiting(
                    "DefinitionDeleting", f"GalleryImageDefinition {namespace}/{name} is being deleted.", _WAIT_SECONDS
                )
            )
        ready = ready_condition(body.get("status") or {})
        if ready is None or ready["status"] != "True":
            why = f": {ready['message']}" if ready else ""
            raise Halt(
                Waiting(
                    "DefinitionNotReady", f"GalleryImageDefinition {namespace}/{name} is not ready{why}", _WAIT_SECONDS
                )
            )
    gallery = await gallery_of_definition(ctx, definition, deleting=deleting, need_ready=need_ready)
    resource_id = ResourceId.parse(gallery.resource_id).child("images", definition.definition_name)
    return DefinitionScope(definition, gallery, str(resource_id))
