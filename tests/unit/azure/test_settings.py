from pathlib import Path

import pytest

from gallery_operator.azure.settings import AzureSettings, SettingsError


def test_public_cloud_by_default() -> None:
    settings = AzureSettings.from_environment({"AZURE_AUTHORITY_HOST": "", "SSL_CERT_FILE": ""})
    assert settings == AzureSettings()
    assert settings.resource_manager_scope == "https://management.azure.com/.default"


def test_known_cloud_fills_in_the_rest() -> None:
    settings = AzureSettings.from_environment(
        {"AZURE_RESOURCE_MANAGER_ENDPOINT": "https://management.usgovcloudapi.net/"}
    )
    assert settings.authority_host == "https://login.microsoftonline.us"
    assert settings.resource_manager_scope == "https://management.core.usgovcloudapi.net/.default"


def test_unknown_cloud() -> None:
    env = {
        "AZURE_RESOURCE_MANAGER_ENDPOINT": "https://azure-simulator.azure-simulator.svc",
        "AZURE_AUTHORITY_HOST": "https://azure-simulator.azure-simulator.svc/",
        "SSL_CERT_FILE": "/etc/ca.crt",
        "GALLERY_OPERATOR_STORAGE_API_VERSION": "2026-06-06",
        "GALLERY_OPERATOR_AZURE_RATE_FACTOR": "50",
    }
    settings = AzureSettings.from_environment(env)
    assert settings.audience == "https://azure-simulator.azure-simulator.svc"
    assert settings.authority_host == "https://azure-simulator.azure-simulator.svc"
    assert settings.ca_bundle == Path("/etc/ca.crt")
    assert (settings.storage_api_version, settings.rate_factor) == ("2026-06-06", 50.0)
    assert AzureSettings.from_environment({**env, "AZURE_RESOURCE_MANAGER_AUDIENCE": "api://x/"}).audience == "api://x"
    del env["AZURE_AUTHORITY_HOST"]
    with pytest.raises(SettingsError, match="AZURE_AUTHORITY_HOST must be set"):
        AzureSettings.from_environment(env)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AZURE_RESOURCE_MANAGER_ENDPOINT", "http://management.azure.com"),
        ("AZURE_RESOURCE_MANAGER_ENDPOINT", "https://a@b"),
        ("AZURE_RESOURCE_MANAGER_ENDPOINT", "https://h:port"),
        ("AZURE_AUTHORITY_HOST", "login.microsoftonline.com"),
        ("AZURE_RESOURCE_MANAGER_AUDIENCE", "management"),
        ("GALLERY_OPERATOR_STORAGE_API_VERSION", "latest"),
        ("GALLERY_OPERATOR_AZURE_RATE_FACTOR", "0"),
        ("GALLERY_OPERATOR_AZURE_RATE_FACTOR", "nan"),
        ("GALLERY_OPERATOR_AZURE_RATE_FACTOR", "fast"),
    ],
)
def test_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        AzureSettings.from_environment({name: value})


@pytest.mark.parametrize(
    ("endpoint", "host", "trusted"),
    [
        ("https://management.azure.com", "acct.blob.core.windows.net", True),
        ("https://management.azure.com", "acct.z1.blob.storage.azure.net", True),
        ("https://management.azure.com", "management.azure.com", False),
        ("https://management.azure.com", "evil.westeurope.cloudapp.azure.com", False),
        ("https://management.azure.com", "acct.blob.core.windows.net.evil.example", False),
        ("https://management.azure.com", "evilblob.core.windows.net", False),
        ("https://management.local.azurestack.external", "acct.blob.local.azurestack.external", True),
        ("https://management.local.azurestack.external", "vm.local.cloudapp.azurestack.external", False),
        ("https://management.local.azurestack.external", "vm.site.cloudapp.local.azurestack.external", False),
        ("https://azure-simulator.azure-simulator.svc", "AZURITE.azure-simulator.svc", True),
        ("https://azure-simulator.azure-simulator.svc", "web.default.svc", False),
        ("https://azure-simulator.azure-simulator.svc", "evil.example", False),
        ("https://127.0.0.1:1", "127.0.0.1", True),
        ("https://127.0.0.1:1", "8.0.0.1", False),
        ("https://localhost", "evil.localhost", False),
        ("https://arm.com", "evil.com", False),
    ],
)
def test_hosts_that_may_get_a_token(endpoint: str, host: str, trusted: bool) -> None:
    assert AzureSettings(resource_manager_endpoint=endpoint).is_blob_host(host) is trusted
