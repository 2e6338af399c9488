"""Keeps a Secret with a credential as long as an object needs it to clean up in Azure (ADR 0009).

What is about to be held is written into the object's status first, and what has been cleaned up is marked before the
Secret is let go: whatever is killed in between, the next look ends what was begun.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from gallery_operator.kube import KubeError, KubeReason
from gallery_operator.planning.credential_use import IN_USE_FINALIZER, USING_KINDS, held, needs, wanted
from gallery_operator.reconcilers.context import Context
from gallery_operator.runtime.workqueue import Key

_log = logging.getLogger(__name__)

Body = dict[str, Any]
WriteStatus = Callable[[Body, dict[str, Any]], Awaitable[Body]]
"""Sets fields of an object's status (None removes one); returns the object as the server has it then."""


async def hold(ctx: Context, key: Key, body: Body, write: WriteStatus) -> Body:
    """See that the Secret that an object uses has our finalizer, and that those it no longer uses are let go.

    Args:
        ctx: Context.
        key: The object.
        body: The object, with our finalizer on it and not being deleted.
        write: Sets fields of its status.

    Returns:
        The object as the server has it.

    Raises:
        KubeError: The Secret changed meanwhile (``CONFLICT``), or could not be read.
    """
    name, before = wanted(key.kind, body), held(body)
    secret = await ctx.kube.get("Secret", key.namespace, name) if name is not None else None
    # No finalizer can be put on what is being deleted: a Secret that is going without it will be gone.
    keeps = secret is not None and (_is_held(secret) or not secret["metadata"].get("deletionTimestamp"))
    now = (name,) if name is not None and keeps else ()
    if not now and not before:
        return body
    both = (*before, *(each for each in now if each not in before))
    if both != before:
        body = await write(body, {"credentialSecrets": list(both)})
    if secret is not None and keeps and not _is_held(secret):
        await _set(ctx, secret, [*(secret["metadata"].get("finalizers") or []), IN_USE_FINALIZER])
    if both != now:
        for each in both:
            if each not in now:
                await let_go(ctx, key, each)
        body = await write(body, {"credentialSecrets": list(now) or None})
    return body


async def let_go(ctx: Context, key: Key, name: str) -> None:
    """Take our finalizer off a Secret, unless another object than this one needs it.

    Args:
        ctx: Context.
        key: The object that no longer needs it.
        name: Name of the Secret.

    Raises:
        KubeError: The Secret changed meanwhile (``CONFLICT``), or something could not be read.
    """
    secret = await ctx.kube.get("Secret", key.namespace, name)
    if secret is None or not _is_held(secret):
        return
    for kind in USING_KINDS:
        for other in await ctx.kube.list(kind, key.namespace):
            if (kind, other["metadata"]["name"]) != (key.kind, key.name) and needs(kind, other, name):
                return
    await _set(ctx, secret, [each for each in secret["metadata"]["finalizers"] if each != IN_USE_FINALIZER])


def _is_held(secret: Body) -> bool:
    return IN_USE_FINALIZER in (secret["metadata"].get("finalizers") or ())


async def _set(ctx: Context, secret: Body, finalizers: list[str]) -> None:
    # A replacement, because the operator has the right to update Secrets (its own) and needs none to patch them; the
    # resourceVersion in it makes it a conflict if anybody has changed the Secret meanwhile.
    meta = {**secret["metadata"], "finalizers": finalizers}
    try:
        await ctx.kube.replace("Secret", {**secret, "metadata": meta})
    except KubeError as error:
        where = f"{meta['namespace']}/{meta['name']}"
        if error.reason is KubeReason.FORBIDDEN:
            # Work goes on: only a deletion of everything at once would find the credential gone.
            _log.warning("Secret %s cannot be kept while it is in use: no right to update it", where)
        elif error.reason is not KubeReason.NOT_FOUND:
            raise
