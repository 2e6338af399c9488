"""Firmware settings of an image version: the keys of secure boot, and what provisions secrets."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.meta import ApiModel, ObjectName, Rule, exactly_one


class KeyRef(ApiModel):
    """A key of a Secret or ConfigMap in this namespace.

    Attributes:
        key: Key in its data.
    """

    name: ObjectName
    key: Annotated[str, Field(min_length=1, max_length=253)]


class UefiKey(ApiModel):
    """Keys or hashes for one of the firmware's databases.

    Attributes:
        type: `x509`: certificates; `sha256`: hashes of binaries.
        value: They themselves, base64 (a certificate as DER).
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            ("value", "secretKeyRef", "configMapKeyRef"),
            "set exactly one of value, secretKeyRef and configMapKeyRef",
        ),
    )

    type: Literal["x509", "sha256"]
    value: (
        Annotated[tuple[Annotated[str, Field(min_length=1, max_length=8192)], ...], Field(min_length=1, max_length=16)]
        | None
    ) = None
    secret_key_ref: Annotated[
        KeyRef | None,
        Field(
            description="Where they are: PEM (one or more certificates), DER, base64 of DER, or hashes in hex or base64."
        ),
    ] = None
    config_map_key_ref: Annotated[KeyRef | None, Field(description="As secretKeyRef, in a ConfigMap.")] = None


_Keys = Annotated[tuple[UefiKey, ...], Field(max_length=16)]


class UefiKeySignatures(ApiModel):
    """Keys that are added to those of the templates.

    Attributes:
        pk: Platform key: who holds it decides about the others.
        kek: Key encryption keys: who may change `db` and `dbx`.
        db: What may boot.
        dbx: What may not boot although `db` would allow it.
    """

    pk: UefiKey | None = None
    kek: _Keys = ()
    db: _Keys = ()
    dbx: _Keys = ()


class UefiSettings(ApiModel):
    """Keys of secure boot.

    Attributes:
        signature_template_names: Sets of keys that Azure brings.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.signatureTemplateNames) || !('NoSignatureTemplate' in self.signatureTemplateNames) || "
            "self.signatureTemplateNames.size() == 1",
            "NoSignatureTemplate means that there is no other: name it alone, or leave it out",
            ".signatureTemplateNames",
        ),
    )

    signature_template_names: Annotated[
        tuple[
            Literal["NoSignatureTemplate", "MicrosoftUefiCertificateAuthorityTemplate", "MicrosoftWindowsTemplate"], ...
        ],
        Field(max_length=3, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    additional_signatures: UefiKeySignatures | None = None


class SecretsProvisioningComponent(ApiModel):
    """A component that takes part in provisioning secrets.

    Attributes:
        version: Its version in the image.
    """

    name: Annotated[
        Literal["OS", "CloudInit", "AzureGuestAgent", "SecretsProvisioningLibrary"],
        Field(description="The component."),
    ]
    version: Annotated[str, Field(min_length=1, max_length=64)]


class SecretsProvisioningSettings(ApiModel):
    """What in the image provisions secrets.

    Attributes:
        is_supported: The image can do it.
        os_name: Name of the operating system, for example `mariner`.
        components: Versions of what takes part.
    """

    is_supported: bool
    os_name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    components: Annotated[
        tuple[SecretsProvisioningComponent, ...],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()


class SecurityProfile(ApiModel):
    """Firmware and secrets."""

    uefi_settings: Annotated[
        UefiSettings | None,
        Field(description="Keys of secure boot; needs V2 and a SecurityType other than Standard. Cannot be changed."),
    ] = None
    secrets_provisioning_settings: Annotated[
        SecretsProvisioningSettings | None, Field(description="What in the image provisions secrets.")
    ] = None
