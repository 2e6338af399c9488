"""What a worker is told about buckets and registries."""

from __future__ import annotations

from typing import Any

import pytest

from gallery_operator.api.oci_source import OciDisk
from gallery_operator.api.s3_source import S3Disk
from gallery_operator.planning.jobs import WorkerSettings
from gallery_operator.planning.remote_sources import oci_source, s3_source

SETTINGS = WorkerSettings(image="i", allowed_cidrs=("10.0.0.0/8",), allowed_hosts=("minio",))


@pytest.mark.parametrize(
    ("spec", "endpoint", "region", "path_style"),
    [
        ({"region": "eu-north-1"}, "https://s3.eu-north-1.amazonaws.com", "eu-north-1", False),
        ({"region": "cn-north-1"}, "https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1", False),
        ({"region": "eu-north-1", "bucket": "a.b"}, "https://s3.eu-north-1.amazonaws.com", "eu-north-1", True),
        ({"region": "eu-north-1", "pathStyle": True}, "https://s3.eu-north-1.amazonaws.com", "eu-north-1", True),
        ({"endpoint": "https://minio:9000/"}, "https://minio:9000", "us-east-1", True),
        ({"endpoint": "https://r2.example", "region": "auto"}, "https://r2.example", "auto", True),
        ({"endpoint": "https://minio", "bucket": "a.b", "pathStyle": False}, "https://minio", "us-east-1", False),
    ],
)
def test_what_the_spec_leaves_out(spec: dict[str, Any], endpoint: str, region: str, path_style: bool) -> None:
    found = s3_source(S3Disk.model_validate({"bucket": "images", "key": "a b", **spec}), SETTINGS)
    assert (found.endpoint, found.region, found.path_style) == (endpoint, region, path_style)
    assert (found.key, found.has_credentials, found.has_ca_bundle) == ("a b", False, False)
    assert (found.allowed_cidrs, found.allowed_hosts) == (SETTINGS.allowed_cidrs, SETTINGS.allowed_hosts)


def test_an_artifact_is_for_the_architecture_of_the_image() -> None:
    reference = f"registry.example.org/debian@sha256:{'a' * 64}"
    spec = {"reference": reference, "path": "disk/d", "insecure": True, "pullSecretRef": {"name": "s"}}
    found = oci_source(OciDisk.model_validate(spec), "Arm64", SETTINGS)
    assert (found.reference, found.path, found.architecture, found.plain_http) == (reference, "disk/d", "Arm64", True)
    assert (found.has_credentials, found.has_ca_bundle) == (True, False)
    assert (found.allowed_cidrs, found.allowed_hosts) == (SETTINGS.allowed_cidrs, SETTINGS.allowed_hosts)
