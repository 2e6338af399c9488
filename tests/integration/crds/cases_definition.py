"""Cases for GalleryImageDefinition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.crds.cases import ABSENT, Case, tag_cases
from tests.support import samples


def definition_cases() -> list[Case]:
    def case(title: str, change: Mapping[str, Any] = {}, message: str | None = None, **more: Any) -> Case:
        return Case("GalleryImageDefinition", title, change, message, **more)

    one_gallery = "set exactly one of galleryRef (a Gallery object) and gallery (an ARM id)"
    external = {"resourceId": f"{samples.COMPUTE}/galleries/shared"}
    plan = {"name": "a", "publisher": "b", "product": "c"}
    return [
        case("minimal"),
        *tag_cases("GalleryImageDefinition", "spec.tags"),
        case("no gallery", {"spec.galleryRef": ABSENT}, one_gallery, path="spec"),
        case("two galleries", {"spec.gallery": external}, one_gallery),
        case("external gallery", {"spec.galleryRef": ABSENT, "spec.gallery": external}),
        case(
            "external gallery, not an ARM id",
            {"spec.galleryRef": ABSENT, "spec.gallery": {"resourceId": "shared"}},
            "this must be the ARM id of a gallery: /subscriptions/<id>/resourceGroups/<name>/providers/"
            "Microsoft.Compute/galleries/<name>",
        ),
        case(
            "external gallery in Azure's other spelling",
            {"spec.galleryRef": ABSENT, "spec.gallery.resourceId": external["resourceId"].lower()},
        ),
        case(
            "external gallery, id of another resource",
            {"spec.galleryRef": ABSENT, "spec.gallery.resourceId": f"{samples.COMPUTE}/disks/shared"},
            "this must be the ARM id of a gallery",
        ),
        case("object name with 81 characters", {"metadata.name": "a" * 81}, "has at most 80 characters"),
        case(
            "object name with 81 characters, another in Azure",
            {"metadata.name": "a" * 81, "spec.imageDefinitionName": "a"},
        ),
        case("bad name in Azure", {"spec.imageDefinitionName": "-x"}, "an image definition's name has letters"),
        case("good name in Azure", {"spec.imageDefinitionName": "Debian_12.x64-gen2"}),
        case("bad publisher", {"spec.identifier.publisher": "a."}, "this has letters, digits, '-', '.' and '_' only"),
        case("bad offer", {"spec.identifier.offer": "a b"}, "this has letters, digits, '-', '.' and '_' only"),
        case("bad sku", {"spec.identifier.sku": "a/b"}, "this has letters, digits, '-', '.' and '_' only"),
        case(
            "range upside down", {"spec.recommended.memory": {"min": 9, "max": 8}}, "min must not be greater than max"
        ),
        case("range of processors", {"spec.recommended.vCPUs": {"min": 9, "max": 8}}, "min must not be greater than"),
        case("range with one end", {"spec.recommended.memory": {"min": 9}, "spec.recommended.vCPUs": {"max": 8}}),
        case("range of one", {"spec.recommended.memory": {"min": 8, "max": 8}}),
        case(
            "feature named twice",
            {"spec.features": [{"name": "SecurityType", "value": "a"}, {"name": "SecurityType", "value": "b"}]},
            "Duplicate value",
        ),
        case(
            "feature named twice in two spellings",
            {
                "spec.features": [
                    {"name": "SecurityType", "value": "Standard"},
                    {"name": "securitytype", "value": "Standard"},
                ]
            },
            "a feature is named twice",
            path="spec.features",
        ),
        *(
            case(f"{name} {value}", {"spec.features": [{"name": name, "value": value}]}, message)
            for name, value, message in [
                ("SecurityType", "TrustedLaunchSupported", None),
                ("securityType", "confidentialvm", None),
                ("SecurityType", "TrustedLaunchs", "SecurityType is one of Standard, TrustedLaunchSupported, "),
                ("DiskControllerTypes", "NVMe, SCSI", None),
                ("DiskControllerTypes", "scsi", None),
                ("DiskControllerTypes", "IDE", "DiskControllerTypes is SCSI, NVMe, or both"),
                ("DiskControllerTypes", "SCSI, IDE", "DiskControllerTypes is SCSI, NVMe, or both"),
                ("IsHibernateSupported", "true", None),
                ("IsHibernateSupported", "yes", "this feature is either True or False"),
                ("IsAcceleratedNetworkSupported", "1", "this feature is either True or False"),
                ("SomethingNew", "whatever", None),
            ]
        ),
        *(
            case(
                f"feature since {since}",
                {"spec.features": [{"name": "X", "value": "a", "startsAtVersion": since}]},
                message,
            )
            for since, message in [("2.0.0", None), ("2.0", "startsAtVersion must be Major.Minor.Patch")]
        ),
        case(
            "Trusted Launch with BIOS",
            {
                "spec.hyperVGeneration": "V1",
                "spec.features": [{"name": "SecurityType", "value": "TrustedLaunch"}],
            },
            "Trusted Launch and confidential VMs boot by UEFI: set hyperVGeneration to V2",
        ),
        case(
            "BIOS, said to be Standard",
            {"spec.hyperVGeneration": "V1", "spec.features": [{"name": "SecurityType", "value": "Standard"}]},
        ),
        case("features changed", {}, update={"spec.features": [{"name": "SecurityType", "value": "TrustedLaunch"}]}),
        case(
            "Arm64 with BIOS",
            {"spec.architecture": "Arm64", "spec.hyperVGeneration": "V1"},
            "Arm64 images are V2 (UEFI) only: set hyperVGeneration to V2",
        ),
        case("Arm64 with UEFI", {"spec.architecture": "Arm64"}),
        *(
            case(
                f"{name} changed",
                {f"spec.{name}": before},
                f"{name} cannot be changed: ",
                update={f"spec.{name}": after},
                path=f"spec.{name}",
            )
            for name, before, after in [
                ("galleryRef", {"name": "one"}, {"name": "two"}),
                ("imageDefinitionName", "one", "two"),
                ("osState", "Generalized", "Specialized"),
                ("hyperVGeneration", "V2", "V1"),
                ("architecture", "x64", "Arm64"),
                (
                    "identifier",
                    {"publisher": "a", "offer": "b", "sku": "c"},
                    {"publisher": "a", "offer": "b", "sku": "d"},
                ),
                ("purchasePlan", plan, {**plan, "name": "other"}),
                ("eula", "one", "two"),
                ("eula", "one", ABSENT),
            ]
        ),
        case(
            "gallery changed",
            {"spec.galleryRef": ABSENT, "spec.gallery": external},
            "gallery cannot be changed: ",
            update={"spec.gallery.resourceId": f"{samples.COMPUTE}/galleries/other"},
        ),
        # The only value there is.
        case("osType changed", {}, "osType", update={"spec.osType": "Windows"}),
        case("retention by number", {"spec.retention": {"keepVersions": 3}}),
        case("retention by age", {"spec.retention": {"keepYoungerThan": "720h", "notice": "90s"}}),
        case(
            "retention that keeps nothing",
            {"spec.retention": {"notice": "1h"}},
            "say what is to stay: set keepVersions",
        ),
        case("retention of none", {"spec.retention": {"keepVersions": 0}}, "spec.retention.keepVersions"),
        *(
            case(f"duration {text}", {"spec.retention": {"keepYoungerThan": text}}, "a duration is a whole number with")
            for text in ("30", "1h30m", "01h", "1.5h", "-1d", "1w")
        ),
        case(
            "objects deleted by a report",
            {"spec.retention": {"keepVersions": 1, "deleteObjects": True}},
            "deleteObjects has no effect while mode is Report: set mode to DeleteVersions",
        ),
        case(
            "objects deleted",
            {"spec.retention": {"keepVersions": 1, "deleteObjects": True, "mode": "DeleteVersions"}},
        ),
        case(
            "retention changed and taken away",
            {"spec.retention": {"keepVersions": 3}},
            update={"spec.retention": ABSENT},
        ),
        case(
            "updatable fields changed",
            {},
            update={"spec.description": "x", "spec.endOfLifeDate": "2030-01-01T00:00:00Z"},
        ),
    ]
