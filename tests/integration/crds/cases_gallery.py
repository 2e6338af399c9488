"""Cases for Gallery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.crds.cases import ABSENT, Case, tag_cases
from tests.support import samples


def gallery_cases() -> list[Case]:
    def case(title: str, change: Mapping[str, Any] = {}, message: str | None = None, **more: Any) -> Case:
        return Case("Gallery", title, change, message, **more)

    dash = "a gallery name has letters, digits, '_' and '.' only, starts and ends with a letter or digit, and no dash"
    named = {"spec.galleryName": "platform"}
    return [
        case("minimal"),
        *tag_cases("Gallery", "spec.tags"),
        case("object name with a dash", {"metadata.name": "my-gallery"}, dash, path="metadata.name"),
        case("object name with a dash, another name in Azure", {"metadata.name": "my-gallery"} | named),
        case("object name with 81 characters", {"metadata.name": "a" * 81}, "has at most 80 characters"),
        case("object name with 81 characters, another name in Azure", {"metadata.name": "a" * 81} | named),
        case("object name with 80 characters", {"metadata.name": "a" * 80}),
        case("galleryName with a dash", {"spec.galleryName": "my-gallery"}, dash, path="spec.galleryName"),
        case("galleryName that ends with a dot", {"spec.galleryName": "gallery."}, dash),
        case("galleryName with underscore, dot and capitals", {"spec.galleryName": "My_Gallery.1"}),
        case("bad subscription", {"spec.subscriptionId": "production"}, "a subscription is named by its id"),
        case("good subscription", {"spec.subscriptionId": samples.SUBSCRIPTION}),
        case("bad resource group", {"spec.resourceGroup": "images."}, "a resource group's name has letters"),
        case("resource group in another alphabet", {"spec.resourceGroup": "bilder-für-アレ_(1).x"}),
        case("bad region", {"spec.location": "west-europe"}, "a region is written as `westeurope`"),
        case("region by display name", {"spec.location": "West Europe"}),
        *(
            case(
                f"{name} changed",
                {f"spec.{name}": before},
                f"{name} cannot be changed: ",
                update={f"spec.{name}": after},
                path=f"spec.{name}",
            )
            for name, before, after in [
                ("galleryName", "one", "two"),
                ("galleryName", "one", ABSENT),
                ("subscriptionId", samples.SUBSCRIPTION, samples.SUBSCRIPTION.replace("1", "2")),
                ("resourceGroup", "one", "two"),
                ("location", "westeurope", "northeurope"),
            ]
        ),
        case("soft delete", {"spec.softDeletePolicy": {"isSoftDeleteEnabled": True, "retentionPeriodInDays": 7}}),
        case(
            "soft delete of no days",
            {"spec.softDeletePolicy": {"isSoftDeleteEnabled": True, "retentionPeriodInDays": 0}},
            "retentionPeriodInDays",
        ),
        case(
            "soft delete neither on nor off", {"spec.softDeletePolicy": {"gracePeriodInDays": 1}}, "isSoftDeleteEnabled"
        ),
        case(
            "soft delete switched off",
            {"spec.softDeletePolicy": {"isSoftDeleteEnabled": True}},
            update={"spec.softDeletePolicy.isSoftDeleteEnabled": False},
        ),
        case("galleryName added", {}, "galleryName cannot be changed", update=named),
        case("updatable fields changed", {}, update={"spec.description": "x", "spec.tags": {"a": "b"}}),
    ]
