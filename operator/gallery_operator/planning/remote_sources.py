"""What a worker is told about a disk in object storage or in a registry."""

from typing import Literal

from gallery_operator.api.oci_source import OciDisk
from gallery_operator.api.s3_source import S3Disk
from gallery_operator.contract import OciSource, S3Source
from gallery_operator.planning.jobs import WorkerSettings

_DEFAULT_REGION = "us-east-1"
_PARTITIONS = {"cn": "amazonaws.com.cn"}
"""Amazon's domains by the first part of a region; elsewhere it is amazonaws.com."""


def s3_source(disk: S3Disk, worker: WorkerSettings) -> S3Source:
    """Return the worker's view of an object, with what the spec leaves out."""
    region = disk.region or _DEFAULT_REGION
    domain = _PARTITIONS.get(region.partition("-")[0], "amazonaws.com")
    path_style = disk.path_style if disk.path_style is not None else disk.endpoint is not None or "." in disk.bucket
    return S3Source(
        endpoint=(disk.endpoint or f"https://s3.{region}.{domain}").rstrip("/"),
        region=region,
        bucket=disk.bucket,
        key=disk.key,
        version_id=disk.version_id,
        path_style=path_style,
        checksum=disk.checksum,
        has_credentials=disk.credentials_secret_ref is not None,
        has_ca_bundle=disk.ca_bundle_ref is not None,
        allowed_cidrs=worker.allowed_cidrs,
        allowed_hosts=worker.allowed_hosts,
    )


def oci_source(disk: OciDisk, architecture: Literal["x64", "Arm64"], worker: WorkerSettings) -> OciSource:
    """Return the worker's view of an artifact.

    Args:
        disk: The spec.
        architecture: Of the image that the disk is for.
        worker: What the administrator allows.
    """
    return OciSource(
        reference=disk.reference,
        path=disk.path,
        architecture=architecture,
        plain_http=disk.insecure,
        has_credentials=disk.pull_secret_ref is not None,
        has_ca_bundle=disk.ca_bundle_ref is not None,
        allowed_cidrs=worker.allowed_cidrs,
        allowed_hosts=worker.allowed_hosts,
    )
