"""The security profile of an image version: UEFI keys and secrets provisioning. Pure.

Shapes are those of the SDK's models and of published examples. That UEFI keys need a definition with Trusted Launch or
confidential computing is documented for the feature; the words of refusals are inferred.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import bad_parameter
from .base import as_object

__all__ = ["metadata_profiles", "normal_security", "security_type"]

_PATH = "galleryImageVersion.properties.securityProfile"
_TEMPLATES = ("NoSignatureTemplate", "MicrosoftUefiCertificateAuthorityTemplate", "MicrosoftWindowsTemplate")


def security_type(definition: Mapping[str, Any]) -> str:
    """Return the feature `SecurityType` of a definition's properties in lower case, `standard` if there is none."""
    for feature in definition.get("features") or []:
        if str(feature.get("name", "")).lower() == "securitytype":
            return str(feature.get("value", "")).lower()
    return "standard"


def normal_security(value: object, definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a security profile as stored.

    Args:
        value: what was sent.
        definition: properties of the definition.

    Raises:
        ArmError: 400, a template, a key's type or value, or the definition does not do.
    """
    sent = as_object(value, _PATH)
    shown: dict[str, Any] = {}
    if sent.get("uefiSettings"):
        if security_type(definition) == "standard":
            raise bad_parameter(
                "UEFI settings are supported for images with the security type Trusted Launch or Confidential VM only.",
                f"{_PATH}.uefiSettings",
            )
        shown["uefiSettings"] = _uefi(as_object(sent["uefiSettings"], f"{_PATH}.uefiSettings"))
    if sent.get("secretsProvisioningSettings"):
        shown["secretsProvisioningSettings"] = as_object(
            sent["secretsProvisioningSettings"], f"{_PATH}.secretsProvisioningSettings"
        )
    return shown


def metadata_profiles(security: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return `imageMetadataProfiles`, which the service makes of secrets provisioning settings."""
    settings = security.get("secretsProvisioningSettings")
    if not settings:
        return []
    rows = [("Linux.AzureSecretsProvisioning.Enabled", str(bool(settings.get("isSupported"))).lower())]
    if settings.get("osName"):
        rows.append(("OS.Name", str(settings["osName"])))
    rows += [(f"{item['name']}.Version", str(item.get("version", ""))) for item in settings.get("components") or []]
    listed = [{"metadataKey": key, "metadataValue": text} for key, text in rows]
    return [{"type": "UserProvidedSecretsProvisioningMetadata", "publicMetadataList": listed}]


def _uefi(sent: dict[str, Any]) -> dict[str, Any]:
    for name in sent.get("signatureTemplateNames") or []:
        if name not in _TEMPLATES:
            raise bad_parameter(
                f"The value '{name}' of parameter '{_PATH}.uefiSettings.signatureTemplateNames' is not allowed. "
                f"Allowed values are: {', '.join(_TEMPLATES)}.",
                f"{_PATH}.uefiSettings.signatureTemplateNames",
            )
    extra = as_object(sent.get("additionalSignatures"), f"{_PATH}.uefiSettings.additionalSignatures")
    for name, value in extra.items():
        path = f"{_PATH}.uefiSettings.additionalSignatures.{name}"
        if name not in ("pk", "kek", "db", "dbx") or isinstance(value, list) is (name == "pk"):
            raise bad_parameter(f"The value of parameter {path} is invalid.", path)
        for key in value if isinstance(value, list) else [value]:
            given = as_object(key, path)
            texts = given.get("value")
            if given.get("type") not in ("sha256", "x509") or not isinstance(texts, list) or not all(texts):
                raise bad_parameter(f"The value of parameter {path} is invalid.", path)
    return sent
