"""Secrets of an import that hold a SAS: made, renewed before it ends, removed."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from gallery_operator.api import VhdImport
from gallery_operator.planning import jobs
from gallery_operator.planning.status import timestamp
from gallery_operator.reconcilers.context import Context


async def keep_fresh(
    ctx: Context, vhd_import: VhdImport, name: str, make: Callable[[int, str], Awaitable[dict[str, Any]]]
) -> None:
    """Make a Secret, or make it anew when four fifths of its SAS's time are over.

    Args:
        ctx: Context.
        vhd_import: Whose it is.
        name: Name of the Secret.
        make: Returns its body, from the seconds that the SAS shall live and the time of its end.
    """
    namespace, seconds = vhd_import.metadata.namespace, ctx.settings.sas_seconds
    existing = await ctx.kube.get("Secret", namespace, name)
    if existing is not None:
        expires = (existing["metadata"].get("annotations") or {}).get(jobs.EXPIRY_ANNOTATION)
        if expires is not None:
            left = (datetime.fromisoformat(expires) - ctx.now()).total_seconds()
            if left > seconds / 5:
                return
    body = await make(seconds, timestamp(ctx.now() + timedelta(seconds=seconds)))
    if existing is None:
        await ctx.kube.create("Secret", body)
    else:
        body["metadata"]["resourceVersion"] = existing["metadata"]["resourceVersion"]
        await ctx.kube.replace("Secret", body)
