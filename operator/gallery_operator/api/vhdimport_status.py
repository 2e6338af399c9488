"""Status of a ``VhdImport``: how far it is, what the disk is, what the checks found, where it went."""

from typing import Annotated, Literal

from pydantic import Field

from gallery_operator.api.meta import ApiModel, Status, Time


class ImportProgress(ApiModel):
    """How far the running step is; written when something visible has changed, every ten seconds at most.

    Attributes:
        step: What the Job's pod is doing: ``Downloading``, ``Reading``, ``Decompressing``, ``Hashing``, ``Checking``,
            ``Uploading``, ``Verifying``.
        bytes: Bytes of the step's work that are done. Zeros that need not be sent are no work of an upload.
        total_bytes: Bytes of the step's work; absent while unknown.
        percent: `bytes` of `totalBytes`; 100 only when the disk is in Azure.
        percent_text: The same for `kubectl get`; the bytes alone while the total is unknown.
        bytes_per_second: Over the last while; absent while it is not known.
        rate: The same for `kubectl get`.
        estimated_completion: Of the step, at that rate.
        remaining: Time until then in round numbers, for `kubectl get`.
        read_bytes: Bytes read from the source, or read back from Azure, by this pod.
        sent_bytes: Bytes sent to Azure by this pod.
        copied_bytes: Bytes that Azure has copied from the source blob by itself.
        skipped_bytes: Bytes that need not be sent because they are zero.
        retried_requests: Requests to source or Azure that this pod had to repeat.
        last_update_time: When the pod said so.
    """

    step: str | None = None
    bytes: int = 0
    total_bytes: int | None = None
    percent: int | None = None
    percent_text: str | None = None
    bytes_per_second: int | None = None
    rate: str | None = None
    estimated_completion: Time | None = None
    remaining: str | None = None
    read_bytes: int | None = None
    sent_bytes: int | None = None
    copied_bytes: int | None = None
    skipped_bytes: int | None = None
    retried_requests: int | None = None
    last_update_time: Time | None = None


class ImportedDisk(ApiModel):
    """What was learned about the disk.

    Attributes:
        format: `raw`, `vhd`, `vhdx`, `qcow2` or `vmdk`.
        compression: Of the file it came in.
        virtual_size: Size of the disk in bytes, as the guest sees it.
        size: The same for `kubectl get`.
        data_bytes: Bytes that are not zero.
        sha256: Of the fixed VHD that is uploaded.
        distribution: Distribution and release, as found in the image.
        architecture: As found in the image.
        in_place: The disk is read from its claim, without a copy.
        guest_state_sha256: Of the VM guest state that came with the disk.
        source_checksum: What the file of the source has met: the checksum that was given, or that its list has.
        source_etag: ETag of the blob whose bytes are the disk's, so that Azure can copy them by itself.
    """

    format: str | None = None
    compression: str | None = None
    virtual_size: int | None = None
    size: str | None = None
    data_bytes: int | None = None
    sha256: str | None = None
    distribution: str | None = None
    architecture: str | None = None
    in_place: bool | None = None
    guest_state_sha256: str | None = None
    source_checksum: str | None = None
    source_etag: str | None = None


class PrerequisiteFinding(ApiModel):
    """A check that did not pass.

    Attributes:
        id: Of the check, for example `NET003`.
        severity: `error`, `warning` or `info`.
        message: What was found, and where.
        remedy: What to do about it.
    """

    id: str
    severity: str
    message: str
    remedy: str | None = None


class ReportRef(ApiModel):
    """A ConfigMap in the import's namespace.

    Attributes:
        name: Its name.
    """

    name: str


class PrerequisitesStatus(ApiModel):
    """Outcome of the checks.

    Attributes:
        passed: Number of checks that passed.
        warnings: Number of warnings.
        failures: Number of errors.
        unknown: Number of checks that could not be decided.
        ignored: Number of checks that `spec.prerequisites.ignore` names.
        summary: All that in a few words, for `kubectl get`.
        findings: Checks that did not pass.
        findings_omitted: Number of findings that there was no room for.
        report_ref: ConfigMap with the report of all checks: `report.json` and `report.txt`.
        report_problem: Why there is no such ConfigMap.
    """

    passed: int = 0
    warnings: int = 0
    failures: int = 0
    unknown: int = 0
    ignored: int = 0
    summary: str | None = None
    findings: Annotated[tuple[PrerequisiteFinding, ...], Field(max_length=256)] = ()
    findings_omitted: int | None = None
    report_ref: ReportRef | None = None
    report_problem: str | None = None


class ImportTarget(ApiModel):
    """Where the disk is in Azure.

    Attributes:
        type: ``PageBlob``, ``ManagedDisk`` or ``ManagedImage``.
        resource_id: ARM id of the disk or image, or of the storage account of a blob.
        blob_url: URL of the blob, without a SAS.
        location: Region of a disk or image.
        upload_disk_id: ARM id of the disk that an image is made from, until the image has its content.
        staging: The disk is temporary: it goes when the version that uses it has succeeded.
    """

    type: Literal["PageBlob", "ManagedDisk", "ManagedImage"]
    resource_id: str
    blob_url: str | None = None
    location: str | None = None
    upload_disk_id: str | None = None
    staging: bool = False


class RefusedUpload(ApiModel):
    """An upload whose result Azure has refused for good.

    Attributes:
        job_uid: Of the upload Job.
        reason: Azure's code.
        message: What Azure said, and what to do.
    """

    job_uid: str
    reason: str
    message: str


class VerificationStatus(ApiModel):
    """How what is in Azure was compared with the disk.

    Attributes:
        read_back: How much was read back and compared in the end: all of it (``Full``) also where a sample was damaged,
            ``None`` also where Azure did not let it be read.
        read_back_bytes: Bytes read back.
        pages_listed: Azure's list of written pages was compared, too.
        repaired_bytes: Bytes that were lost or damaged, and were sent again; or written where the disk is zero, and
            cleared.
        not_read_back: Why nothing was read back though `spec.verification` asks for it.
        sha256: Of the fixed VHD that is in Azure.
        time: When it was found to be right.
    """

    read_back: Literal["None", "Sample", "Full"]
    read_back_bytes: int = 0
    pages_listed: bool = False
    repaired_bytes: int = 0
    not_read_back: str | None = None
    sha256: str
    time: Time


class VhdImportStatus(Status):
    """Observed state of an import.

    Attributes:
        phase: Where the import is.
        progress: How far the phase is.
        verification: How what is in Azure was compared with the disk.
        uploaded: The upload Job has finished.
        sent_bytes: Bytes sent to Azure by all upload pods together.
        copied_bytes: Bytes that Azure has copied from the source blob by itself, for all upload pods together.
        copy_problem: Why Azure has not copied (all of) the source blob by itself, so that it was sent.
        next_retry_time: When a failed step is tried again.
        prepared: Fingerprint of the settings that the finished prepare Job ran with.
        attempts: Pods started for the current Job.
        refused_upload: The upload whose result Azure has refused; it is not repeated until a person asks.
        staging_released: The staging disk has been removed because a version has taken its content.
    """

    phase: (
        Literal["Pending", "Preparing", "Checked", "Uploading", "Finalizing", "Succeeded", "Failed", "Deleting"] | None
    ) = None
    progress: ImportProgress | None = None
    disk: ImportedDisk | None = None
    prerequisites: PrerequisitesStatus | None = None
    target: ImportTarget | None = None
    verification: VerificationStatus | None = None
    prepared: str | None = None
    uploaded: bool | None = None
    sent_bytes: int | None = None
    copied_bytes: int | None = None
    copy_problem: str | None = None
    attempts: int | None = None
    next_retry_time: Time | None = None
    refused_upload: RefusedUpload | None = None
    staging_released: bool | None = None
