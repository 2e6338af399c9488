from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.integration.worker.badserver import BadServer
from tests.integration.worker.blobproxy import BlobProxy
from tests.integration.worker.certificates import make_certificate
from tests.integration.worker.fetching import Fetch
from tests.integration.worker.stages import Stage
from tests.support.azure import AzureStand, azure, azure_stand  # noqa: F401

from gallery_operator.contract import PrepareConfig, PrerequisitesConfig, PvcSource, UrlSource

MIB = 1024 * 1024


@pytest.fixture
def server() -> Iterator[BadServer]:
    made = BadServer()
    yield made
    made.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), names=(x509.DNSName("localhost"),))


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    paths = {"scratch_dir": "scratch", "source_dir": "source", "secrets_dir": "secrets"}
    for name in paths.values():
        (tmp_path / name).mkdir()
    return {key: str(tmp_path / name) for key, name in paths.items()}


@pytest.fixture
def url_config(folders: dict[str, str]) -> Callable[..., PrepareConfig]:
    """Configuration for a URL on loopback; without checks, which have their own tests."""

    def make(url: str, checksum: str | None = None, **options: Any) -> PrepareConfig:
        source_options = {
            name: options.pop(name)
            for name in ("has_headers", "has_ca_bundle", "allowed_cidrs", "allowed_hosts")
            if name in options
        }
        source = UrlSource(url=url, checksum=checksum, **{"allowed_cidrs": ("127.0.0.0/8",), **source_options})
        values: dict[str, Any] = {"max_virtual_size": 64 * MIB, "prerequisites": PrerequisitesConfig(policy="Warn")}
        return PrepareConfig(source=source, **{**values, **folders, **options}, port=0)

    return make


@pytest.fixture
def pvc_config(folders: dict[str, str]) -> Callable[..., PrepareConfig]:
    def make(path: str | None, checksum: str | None = None, **options: Any) -> PrepareConfig:
        values: dict[str, Any] = {"max_virtual_size": 64 * MIB, "prerequisites": PrerequisitesConfig(policy="Warn")}
        source = PvcSource(path=path, checksum=checksum)
        return PrepareConfig(source=source, **{**values, **folders, **options}, port=0)

    return make


@pytest.fixture
def stage(
    tmp_path: Path,
    azure_stand: AzureStand,  # noqa: F811 - a fixture is both imported and asked for
    pvc_config: Callable[..., PrepareConfig],
) -> Iterator[Stage]:
    proxy = BlobProxy(azure_stand.blob_url, azure_stand.ca_file)
    made = Stage(tmp_path, azure_stand, proxy, pvc_config("disk", max_virtual_size=512 * MIB))
    yield made
    proxy.close()
    made.close()


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    return Fetch(tmp_path)
