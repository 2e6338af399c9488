"""The Jobs of an import: made when missing, read when there, judged when ended."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gallery_operator import metrics
from gallery_operator.api import VhdImport
from gallery_operator.api.disk_source import BlobDisk, ChecksumsList, ChecksumsSignature, DiskSource, GuestStateSource
from gallery_operator.api.meta import RECONCILE_ANNOTATION, LocalRef
from gallery_operator.api.security import KeyRef
from gallery_operator.contract import (
    BlobSource,
    ChecksumsFile,
    CopySource,
    FailureCode,
    OciSource,
    PrepareConfig,
    PvcSource,
    Report,
    S3Source,
    SignatureFile,
    UploadConfig,
    UrlSource,
)
from gallery_operator.contract.config import PrerequisitesConfig
from gallery_operator.kube import KubeError, KubeReason
from gallery_operator.planning import jobs
from gallery_operator.planning.bandwidth import bytes_per_second
from gallery_operator.planning.jobs import Component, JobPhase, JobState, WorkerSettings
from gallery_operator.planning.names import child_name, fingerprint
from gallery_operator.planning.outcome import Stalled, Waiting
from gallery_operator.planning.progress import progress_fields
from gallery_operator.planning.remote_sources import oci_source, s3_source
from gallery_operator.planning.status import timestamp
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.import_scope import ImportScope

_WAIT_SECONDS = 30.0
_POLL_SECONDS = 3.0

_NEXT_STEPS: Mapping[FailureCode, str] = {
    FailureCode.BAD_CONFIGURATION: "Correct the import (its source cannot be changed: make a new one).",
    FailureCode.SOURCE_NOT_FOUND: "Correct the source (make a new VhdImport), or put the file there.",
    FailureCode.SOURCE_FORBIDDEN: "Give credentials for the source in the Secret that it names, or grant them "
    "access to it.",
    FailureCode.SOURCE_ADDRESS_FORBIDDEN: "Use a public address, or let the administrator allow the host or network "
    "(chart values worker.allowedSourceHosts, worker.allowedSourceCidrs).",
    FailureCode.TLS_FAILED: "Give the CA of the server in caBundleRef, or mend its certificate.",
    FailureCode.CHECKSUM_MISMATCH: "Compare the checksum with the file's: one of the two is wrong.",
    FailureCode.CHECKSUM_NOT_FOUND: "Name the file as the list has it (checksums.file), or give checksum (make a new "
    "VhdImport).",
    FailureCode.SIGNATURE_INVALID: "Compare the key with the publisher's; never go on without knowing why.",
    FailureCode.SOURCE_TRUNCATED: "Put the whole file there.",
    FailureCode.NOT_A_DISK: "The file must be a raw disk, VHD, VHDX, qcow2 or VMDK, plain or compressed.",
    FailureCode.UNSUPPORTED_FORMAT: "Convert the disk to raw, VHD, VHDX, qcow2 or VMDK.",
    FailureCode.UNSAFE_IMAGE: "Flatten the image (qemu-img convert), so that it needs no other file.",
    FailureCode.CORRUPT_IMAGE: "Make the image anew.",
    FailureCode.TOO_LARGE: "Make the disk smaller, or choose a destination with a higher limit.",
    FailureCode.TOO_SMALL: "Enlarge the disk (qemu-img resize) before the import, or choose the destination pageBlob.",
    FailureCode.SCRATCH_FULL: "Raise spec.scratch.size.",
    FailureCode.PREREQUISITES_NOT_MET: "See status.prerequisites for each finding and its remedy.",
    FailureCode.PREREQUISITES_UNKNOWN: "See status.prerequisites; prerequisites.onUnknown: Allow goes on anyway.",
    FailureCode.READ_BACK_REFUSED: "Set spec.verification.readBack to Sample, which goes on without, or to None.",
    FailureCode.VERIFICATION_FAILED: f"Ask for another try (annotation {RECONCILE_ANNOTATION}): it prepares and "
    "uploads the disk anew.",
    FailureCode.TARGET_CONFLICT: "Something else writes to the target, or it is not ours: choose another name.",
}


_MENDED_BY_TIME = frozenset(
    {
        FailureCode.SOURCE_UNREACHABLE,
        FailureCode.TARGET_UNREACHABLE,
        FailureCode.TARGET_FORBIDDEN,
        FailureCode.INTERNAL,
    }
)
_MENDED_IN_AZURE = frozenset({FailureCode.SOURCE_NOT_FOUND, FailureCode.SOURCE_FORBIDDEN})
"""Of a blob: what is missing is looked at before the next try, with the operator's own eyes."""
_NEEDS_PREPARING = frozenset({FailureCode.SOURCE_CHANGED, FailureCode.VERIFICATION_FAILED})
_PAUSE_SECONDS = 300.0


@dataclass(frozen=True)
class JobRef:
    """A Job of an import and what it needs.

    Attributes:
        component: Which step.
        name: Name of the Job; other settings of pod or scratch claim give another one.
        config: Its configuration.
        fingerprint: Of the configuration alone: what a finished Job need not be repeated for.
    """

    component: Component
    name: str
    config: PrepareConfig | UploadConfig
    fingerprint: str


def scratch_name(vhd_import: VhdImport) -> str:
    """Return the name of the scratch claim; another size or class gives another claim, as few can be resized."""
    scratch = vhd_import.spec.scratch.model_dump(mode="json")
    return child_name(vhd_import.metadata.name, "scratch", fingerprint(vhd_import.metadata.uid, scratch))


def prepare_job(ctx: Context, vhd_import: VhdImport, scope: ImportScope) -> JobRef:
    """Return the prepare Job; another configuration gives another Job."""
    spec = vhd_import.spec
    worker = ctx.settings.worker
    source = _disk_source(spec.source, scope, worker)
    state = spec.source.vm_guest_state
    if source is None:
        raise Halt(
            Stalled("InvalidSpec", "Set exactly one of source.url, source.s3, source.oci, source.blob and source.pvc.")
        )
    config = PrepareConfig(
        source=source,
        format=spec.source.format,
        min_virtual_size=scope.min_virtual_size,
        max_virtual_size=scope.max_virtual_size,
        guest=scope.guest,
        prerequisites=PrerequisitesConfig(
            policy=spec.prerequisites.policy,
            level=spec.prerequisites.level,
            on_unknown=spec.prerequisites.on_unknown,
            ignore=spec.prerequisites.ignore,
        ),
        guest_state=_source(state, worker) if state is not None else None,
    )
    return _job_ref(vhd_import, "prepare", config)


def _disk_source(
    source: DiskSource, scope: ImportScope, worker: WorkerSettings
) -> UrlSource | S3Source | OciSource | BlobSource | PvcSource | None:
    if source.s3 is not None:
        return s3_source(source.s3, worker)
    if source.oci is not None:
        return oci_source(source.oci, scope.guest.architecture, worker)
    if source.blob is not None:
        return _blob_source(source.blob)
    return _source(source, worker)


def _blob_source(blob: BlobDisk) -> BlobSource:
    name = f"{blob.storage_account_id}/{blob.container}/{blob.blob_name}"
    return BlobSource(name=f"{name} {blob.version_id or blob.snapshot or ''}".strip(), checksum=blob.checksum)


def _source(source: DiskSource | GuestStateSource, worker: WorkerSettings) -> UrlSource | PvcSource | None:
    if source.url is not None:
        return UrlSource(
            url=source.url.url,
            mirrors=source.url.mirrors,
            checksum=source.url.checksum,
            checksums=_checksums(source.url.checksums),
            has_headers=source.url.headers_secret_ref is not None,
            has_ca_bundle=source.url.ca_bundle_ref is not None,
            allowed_cidrs=worker.allowed_cidrs,
            allowed_hosts=worker.allowed_hosts,
        )
    if source.pvc is not None:
        return PvcSource(path=source.pvc.path, checksum=source.pvc.checksum)
    return None


def _checksums(wanted: ChecksumsList | None) -> ChecksumsFile | None:
    if wanted is None:
        return None
    signed = wanted.signature
    return ChecksumsFile(
        url=wanted.url, file=wanted.file, signature=None if signed is None else SignatureFile(url=signed.url)
    )


def upload_job(ctx: Context, vhd_import: VhdImport, scope: ImportScope, metadata: dict[str, str]) -> JobRef:
    """Return the upload Job of a prepared disk.

    Args:
        ctx: Context.
        vhd_import: The import; its status holds the disk's size and digest.
        scope: Where it goes.
        metadata: Metadata for a page blob.
    """
    disk = vhd_import.status.disk
    if disk is None or disk.virtual_size is None or disk.sha256 is None:
        raise AssertionError("an upload follows a finished prepare Job")
    pvc = vhd_import.spec.source.pvc
    config = UploadConfig(
        source=PvcSource(path=pvc.path, checksum=pvc.checksum) if pvc is not None else None,
        copy_source=CopySource(etag=disk.source_etag) if disk.source_etag is not None else None,
        target="pageBlob" if scope.target.type == "PageBlob" else "managedDisk",
        virtual_size=disk.virtual_size,
        sha256=disk.sha256,
        guest_state_sha256=disk.guest_state_sha256,
        blob_metadata=metadata,
        read_back=vhd_import.spec.verification.read_back,
        bandwidth_limit=bytes_per_second(vhd_import.spec.job.bandwidth_limit),
        api_version=ctx.settings.worker.storage_api_version,
        ca_bundle="/etc/worker/target/ca.crt" if ctx.settings.worker.ca_pem is not None else None,
    )
    return _job_ref(vhd_import, "upload", config)


def _job_ref(vhd_import: VhdImport, component: Component, config: PrepareConfig | UploadConfig) -> JobRef:
    settings = fingerprint(vhd_import.metadata.uid, config.model_dump(mode="json"))
    # A bigger scratch claim or more memory is what a failure's message advises: then it must run again.
    pod = vhd_import.spec.job.model_dump(mode="json")
    name = child_name(vhd_import.metadata.name, component, fingerprint(settings, pod, scratch_name(vhd_import)))
    return JobRef(component, name, config, settings)


async def check_sources(ctx: Context, vhd_import: VhdImport) -> None:
    """See that the claim, Secret and ConfigMap that the pod will mount are there; a pod would only hang without them.

    Raises:
        Halt: One is missing, or the claim's mode does not fit.
    """
    source = vhd_import.spec.source
    await _check_source(ctx, vhd_import.metadata.namespace, source, "source")
    await _check_remote(ctx, vhd_import.metadata.namespace, source)
    if source.vm_guest_state is not None:
        await _check_source(ctx, vhd_import.metadata.namespace, source.vm_guest_state, "source.vmGuestState")


async def _check_source(ctx: Context, namespace: str, source: DiskSource | GuestStateSource, field: str) -> None:
    if source.pvc is not None:
        claim = await ctx.kube.get("PersistentVolumeClaim", namespace, source.pvc.claim_name)
        which = f"PersistentVolumeClaim {namespace}/{source.pvc.claim_name}"
        if claim is None:
            raise Halt(
                Waiting("PVCNotFound", f"{which} does not exist: create it, or correct {field}.pvc.", _WAIT_SECONDS)
            )
        block = (claim.get("spec") or {}).get("volumeMode") == "Block"
        if block and source.pvc.path is not None:
            raise Halt(
                Stalled("WrongVolumeMode", f"{which} is a block volume, which is the disk itself: leave path out.")
            )
        if not block and source.pvc.path is None:
            raise Halt(Stalled("WrongVolumeMode", f"{which} holds a file system: name the file in {field}.pvc.path."))
    if source.url is not None and source.url.checksums is not None and source.url.checksums.signature is not None:
        await _check_signing_key(ctx, namespace, source.url.checksums.signature, f"{field}.url.checksums.signature")
    if source.url is not None:
        await _check_ref(ctx, namespace, "Secret", source.url.headers_secret_ref, f"{field}.url.headersSecretRef")
        await _check_ca(ctx, namespace, source.url.ca_bundle_ref, f"{field}.url.caBundleRef")


async def _check_remote(ctx: Context, namespace: str, source: DiskSource) -> None:
    if source.s3 is not None:
        field, keys = "source.s3.credentialsSecretRef", ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        await _check_ref(ctx, namespace, "Secret", source.s3.credentials_secret_ref, field, *keys)
        await _check_ca(ctx, namespace, source.s3.ca_bundle_ref, "source.s3.caBundleRef")
    if source.oci is not None:
        field = "source.oci.pullSecretRef"
        await _check_ref(ctx, namespace, "Secret", source.oci.pull_secret_ref, field, jobs.PULL_SECRET_KEY)
        await _check_ca(ctx, namespace, source.oci.ca_bundle_ref, "source.oci.caBundleRef")


async def _check_ca(ctx: Context, namespace: str, ref: LocalRef | None, field: str) -> None:
    body = await _check_ref(ctx, namespace, "ConfigMap", ref, field)
    if ref is not None and "ca.crt" not in (body.get("data") or {}):
        message = f"ConfigMap {namespace}/{ref.name} has no key ca.crt with PEM certificates."
        raise Halt(Stalled("CABundleUnusable", message))


async def _check_ref(
    ctx: Context, namespace: str, kind: str, ref: LocalRef | KeyRef | None, field: str, *keys: str
) -> Mapping[str, Any]:
    """See that what a source refers to is there and has the keys that it must have; returns it."""
    if ref is None:
        return {}
    which = f"{kind} {namespace}/{ref.name}"
    body = await ctx.kube.get(kind, namespace, ref.name)
    if body is None:
        message = f"{which} does not exist: create it, or correct {field}."
        raise Halt(Waiting(f"{kind}NotFound", message, _WAIT_SECONDS))
    missing = [key for key in keys if key not in (body.get("data") or {})]
    if missing:
        message = f"{which} has no key {' and no key '.join(missing)}: add it, or correct {field}."
        raise Halt(Waiting(f"{kind}Unusable", message, _WAIT_SECONDS))
    return body


async def _check_signing_key(ctx: Context, namespace: str, signature: ChecksumsSignature, field: str) -> None:
    for kind, ref, name in (
        ("Secret", signature.secret_key_ref, "secretKeyRef"),
        ("ConfigMap", signature.config_map_key_ref, "configMapKeyRef"),
    ):
        if ref is None:
            continue
        body = await _check_ref(ctx, namespace, kind, ref, f"{field}.{name}")
        if ref.key not in {**(body.get("data") or {}), **(body.get("binaryData") or {})}:
            which = f"{kind} {namespace}/{ref.name}"
            message = (
                f"{which} has no key {ref.key} with the publisher's public key: add it, or correct {field}.{name}."
            )
            raise Halt(Waiting("KeyNotFound", message, _WAIT_SECONDS))


async def ensure_scratch(ctx: Context, vhd_import: VhdImport) -> str:
    """Make the scratch claim if it is missing; returns its name."""
    name = scratch_name(vhd_import)
    existing = await ctx.kube.get("PersistentVolumeClaim", vhd_import.metadata.namespace, name)
    if existing is None:
        await _create(ctx, "PersistentVolumeClaim", jobs.scratch_claim(vhd_import, name, ctx.settings.worker))
    return name


async def observe(ctx: Context, vhd_import: VhdImport, ref: JobRef) -> JobState:
    """Read a Job and its pods."""
    namespace = vhd_import.metadata.namespace
    body = await ctx.kube.get("Job", namespace, ref.name)
    if body is None:
        return jobs.observe(None, ())
    if not jobs.is_owned(body, vhd_import):
        raise Halt(
            Stalled("NameTaken", f"Job {namespace}/{ref.name} exists and was not made for this import: delete it.")
        )
    if body["metadata"].get("deletionTimestamp"):
        raise Halt(Waiting("Replacing", f"Waiting until the pods of Job {namespace}/{ref.name} have ended.", 1.0))
    pods = await ctx.kube.list("Pod", namespace, f"batch.kubernetes.io/job-name={ref.name}")
    return jobs.observe(body, pods)


async def start(
    ctx: Context, vhd_import: VhdImport, ref: JobRef, scratch: str, target: str | None, source: str | None
) -> None:
    """Create a Job, after removing those it takes the place of.

    Args:
        ctx: Context.
        vhd_import: For whom.
        ref: Which Job.
        scratch: Name of the scratch claim.
        target: Name of the Secret with the target's URL.
        source: Name of the Secret with the source blob's URL.

    Raises:
        Halt: A pod of theirs is still there, and would write to what this one reads.
    """
    before = [each for each in await owned_jobs(ctx, vhd_import) if each["metadata"]["name"] != ref.name]
    if ref.component == "upload":
        # The finished prepare Job stays, it has the log of the checks.
        before = [each for each in before if each["metadata"]["labels"].get(jobs.COMPONENT_LABEL) == "upload"]
    if before:
        await remove_jobs(ctx, before)
        raise Halt(Waiting("Replacing", "Ending the Job of earlier settings.", 1.0))
    body = jobs.job(vhd_import, ref.name, ref.component, ref.config, scratch, target, ctx.settings.worker, source)
    await _create(ctx, "Job", body)


async def owned_jobs(ctx: Context, vhd_import: VhdImport) -> list[dict[str, Any]]:
    """Return all Jobs of an import."""
    selector = f"{jobs.MANAGED_BY_LABEL}={jobs.MANAGED_BY}"
    found = await ctx.kube.list("Job", vhd_import.metadata.namespace, selector)
    return [each for each in found if jobs.is_owned(each, vhd_import)]


async def remove_jobs(ctx: Context, bodies: Iterable[Mapping[str, Any]]) -> None:
    """Delete Jobs; they are there until their pods are gone."""
    for body in bodies:
        meta = body["metadata"]
        if not meta.get("deletionTimestamp"):
            await ctx.kube.delete("Job", meta["namespace"], meta["name"], uid=meta["uid"], foreground=True)


async def remove_scratch(ctx: Context, vhd_import: VhdImport, keep: str | None = None) -> None:
    """Delete the scratch claims of an import but one."""
    namespace = vhd_import.metadata.namespace
    selector = f"{jobs.MANAGED_BY_LABEL}={jobs.MANAGED_BY},{jobs.COMPONENT_LABEL}=scratch"
    for claim in await ctx.kube.list("PersistentVolumeClaim", namespace, selector):
        meta = claim["metadata"]
        if jobs.is_owned(claim, vhd_import) and meta["name"] != keep and not meta.get("deletionTimestamp"):
            await ctx.kube.delete("PersistentVolumeClaim", namespace, meta["name"])


async def _create(ctx: Context, kind: str, body: Mapping[str, Any]) -> None:
    try:
        await ctx.kube.create(kind, body)
    except KubeError as error:
        # It was made meanwhile (a lost answer, a restart); the next look sees it.
        if error.reason is not KubeReason.ALREADY_EXISTS:
            raise


async def running(ctx: Context, vhd_import: VhdImport, state: JobState, phase: str, message: str) -> Halt:
    """Return the end of a reconcile while a Job runs: progress in status, next look soon."""
    fields: dict[str, Any] = {"phase": phase, "attempts": state.attempts}
    before = vhd_import.status.progress
    if state.phase is JobPhase.PENDING:
        fields["progress"] = None  # What the pod before it said is over.
    elif (progress := await ctx.progress.read(state.pod_ip)) is not None:
        message = f"{progress.phase}."
        told = progress_fields(progress, before, ctx.now())
        if told is not None:
            fields["progress"] = told
    elif before is not None and before.step is not None:
        message = f"{before.step}."  # It is too busy to answer, or just ending.
    if state.problem:
        return Halt(Waiting("WorkerPending", state.problem, _POLL_SECONDS * 3), **fields)
    return Halt(Waiting(phase, message, _POLL_SECONDS), **fields)


def count(step: Component, state: JobState) -> None:
    """Count the pods of a Job that has ended, and the requests that the last one had to repeat."""
    metrics.IMPORT_ATTEMPTS.labels(step=step).inc(state.attempts)
    if state.report is not None:
        metrics.IMPORT_RETRIED_REQUESTS.labels(step=step).inc(state.report.retried_requests)


async def failed(ctx: Context, vhd_import: VhdImport, ref: JobRef, state: JobState) -> Halt:
    """Return the end of a reconcile whose Job has failed.

    What time may mend (an unreachable server) is tried anew after a pause; the rest waits for a person, who asks for
    another try by the annotation ``gallery-operator.dev/reconcile-requested-at``.
    """
    report = state.report
    fields: dict[str, Any] = {"phase": "Failed", "progress": None, "attempts": state.attempts, "nextRetryTime": None}
    mended = _MENDED_BY_TIME | _MENDED_IN_AZURE if vhd_import.spec.source.blob is not None else _MENDED_BY_TIME
    mended_by_time = report is None or report.succeeded or report.code is None or report.code in mended
    if report is None or report.succeeded or report.code is None:
        code, text = "WorkerFailed", f"The {ref.component} Job failed: {state.problem}"
    else:
        code = report.code.value
        step = _NEXT_STEPS.get(report.code, "See the log of the Job's pod.")
        text = f"{report.message.rstrip('.')}. {step}"
    if vhd_import.status.phase != "Failed":  # once a Job, not at every look
        metrics.IMPORT_FAILURES.labels(step=ref.component, code=code).inc()
        count(ref.component, state)
    if vhd_import.metadata.annotations.get(RECONCILE_ANNOTATION, "") != state.asked:
        return await _again(ctx, vhd_import, ref, report, f"{text} Trying again, as asked.", fields)
    if state.finished_at is not None and mended_by_time:
        again = datetime.fromisoformat(state.finished_at) + timedelta(seconds=_PAUSE_SECONDS)
        left = (again - ctx.now()).total_seconds()
        if left <= 0:
            return await _again(ctx, vhd_import, ref, report, f"{text} Trying again.", fields)
        fields["nextRetryTime"] = timestamp(again)
        return Halt(Waiting(code, f"{text} The next try is at {timestamp(again)}.", left + 1.0), **fields)
    return Halt(Stalled(code, text), **fields)


async def _again(
    ctx: Context, vhd_import: VhdImport, ref: JobRef, report: Report | None, message: str, fields: dict[str, Any]
) -> Halt:
    stale = await owned_jobs(ctx, vhd_import)
    if report is not None and report.code in _NEEDS_PREPARING:
        fields["prepared"] = None
    else:
        stale = [each for each in stale if each["metadata"]["name"] == ref.name]
    await remove_jobs(ctx, stale)
    return Halt(Waiting("Retrying", message, 1.0), **fields)
