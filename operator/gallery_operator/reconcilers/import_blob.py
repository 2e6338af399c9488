"""The blob that a disk comes from: looked at before a Job is started, opened for reading while one needs it."""

from typing import Any
from urllib.parse import quote

from gallery_operator.api import VhdImport
from gallery_operator.api.disk_source import BlobDisk
from gallery_operator.azure.blobs import Revision
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.planning import jobs
from gallery_operator.planning.names import child_name, fingerprint
from gallery_operator.planning.outcome import Stalled, Waiting
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.import_scope import ImportScope
from gallery_operator.reconcilers.import_secrets import keep_fresh

_WAIT_SECONDS = 30.0
_READER = (
    "Give the identity the roles Storage Blob Data Reader on the container and Storage Blob Delegator on the account "
    "of source.blob, and let it in by the account's network rules; a new role assignment takes up to 10 minutes."
)


def secret_name(vhd_import: VhdImport) -> str:
    """Return the name of the Secret with the source's SAS."""
    return child_name(vhd_import.metadata.name, "source", fingerprint(vhd_import.metadata.uid))


async def check(ctx: Context, vhd_import: VhdImport, scope: ImportScope) -> None:
    """See that the source blob, if there is one, is there and can be read.

    Raises:
        Halt: It is not, or not yet.
        AzureError: A request to Azure failed for another reason.
    """
    blob = vhd_import.spec.source.blob
    if blob is None:
        return
    url = await _url(ctx, scope, blob)
    which = f"{'Snapshot' if blob.snapshot else 'Version' if blob.version_id else 'Blob'} {url}"
    try:
        found = await ctx.azure.blobs(scope.credential, blob.storage_account_id).properties(url, _revision(blob))
    except AzureError as error:
        raise _explained(error, which) from error
    if found is None:
        raise Halt(Waiting("SourceNotFound", f"{which} does not exist: put it there, or correct source.blob in a new "
                           "VhdImport.", _WAIT_SECONDS))  # fmt: skip
    if found.folder:
        raise Halt(Stalled("SourceNotADisk", f"{which} is a folder: name the blob in it in a new VhdImport."))
    if found.archived:
        text = f"{which} is in the archive tier: rehydrate it (set its tier to Hot); the import goes on by itself then."
        raise Halt(Waiting("SourceArchived", text, _WAIT_SECONDS))


async def ensure_secret(ctx: Context, vhd_import: VhdImport, scope: ImportScope) -> str | None:
    """Put a SAS for the source blob into its Secret, and renew it before it ends.

    Returns:
        The Secret's name; None when the disk comes from elsewhere.
    """
    blob = vhd_import.spec.source.blob
    if blob is None:
        return None
    name = secret_name(vhd_import)

    async def make(seconds: int, expires_at: str) -> dict[str, Any]:
        url = await _url(ctx, scope, blob)
        try:
            sas = await ctx.azure.blobs(scope.credential, blob.storage_account_id).read_sas(
                url, seconds, _revision(blob)
            )
        except AzureError as error:
            raise _explained(error, f"Blob {url}") from error
        return jobs.source_secret(vhd_import, name, sas, expires_at, ctx.settings.worker)

    await keep_fresh(ctx, vhd_import, name, make)
    return name


async def remove_secret(ctx: Context, vhd_import: VhdImport) -> None:
    """Remove the Secret with the source's SAS."""
    if vhd_import.spec.source.blob is not None:
        await ctx.kube.delete("Secret", vhd_import.metadata.namespace, secret_name(vhd_import))


async def _url(ctx: Context, scope: ImportScope, blob: BlobDisk) -> str:
    """Return the blob's URL: the host is what Resource Manager says, as for a destination."""
    account = ResourceId.parse(blob.storage_account_id)
    endpoint = await ctx.azure.arm(scope.credential, account.subscription_id).blob_endpoint(account)
    return f"{endpoint}/{quote(blob.container)}/{quote(blob.blob_name)}"


def _revision(blob: BlobDisk) -> Revision:
    return Revision(blob.version_id, blob.snapshot)


def _explained(error: AzureError, which: str) -> Exception:
    """Say of an error what to do about a source: a target needs other roles."""
    match error.kind:
        case ErrorKind.DEPENDENCY | ErrorKind.NOT_FOUND:
            text = f"{which} cannot be found ({error.code}): correct source.blob in a new VhdImport, or make it."
            return Halt(Waiting("SourceNotFound", text, _WAIT_SECONDS))
        case ErrorKind.FORBIDDEN:
            text = f"{which} cannot be read ({error.code}). {_READER}"
            return Halt(Stalled("SourceForbidden", text, recheck=_WAIT_SECONDS * 2))
    return error
