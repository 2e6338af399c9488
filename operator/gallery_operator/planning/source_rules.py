"""What a version's source must be, checked on what Azure tells of it before Azure is asked to make the version. Pure.

Each rule is one that the service enforces (its own words are in Microsoft's "troubleshooting shared images" table),
most of them only minutes later. What a document does not tell is no reason to refuse.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gallery_operator.api import VhdImport
from gallery_operator.planning.regions import normal
from gallery_operator.planning.source_problems import (
    Problem,
    Wanted,
    absent,
    differs,
    elsewhere,
    not_settled,
    plan_of,
    too_large,
)

_GIB = 1024**3
_FILLING = frozenset({"ReadyToUpload", "ActiveUpload"})
_RUNNING = frozenset({"Attached"})
_GENERALIZED = "osstate/generalized"


def disk(wanted: Wanted, field: str, found: Mapping[str, Any] | None, resource_id: str, *, os: bool) -> list[Problem]:
    """Check a managed disk or a snapshot.

    Args:
        wanted: What it must fit.
        field: The field that names it, for messages.
        found: Its document, or None when it does not exist.
        resource_id: Its id, for messages.
        os: It is to be the OS disk; else a data disk.
    """
    if found is None:
        return [absent(field, resource_id)]
    properties = found.get("properties") or {}
    problems = list(elsewhere(wanted, field, found))
    if os:
        capabilities = properties.get("supportedCapabilities") or {}
        problems += differs(wanted, field, {**properties, **capabilities})
    problems += _encrypted_elsewhere(wanted, field, properties, resource_id)
    problems += too_large(wanted, field, [_gib_of(properties)])
    problems += not_settled(field, properties)
    state = str(properties.get("diskState") or "")
    if state in _FILLING:
        problems.append(
            Problem("SourceNotReady", f"{field}: it is being uploaded ({state}); waiting until that ends.", True)
        )
    if state in _RUNNING:
        holder = found.get("managedBy") or "a virtual machine"
        problems.append(
            Problem(
                "SourceInUse",
                f"{field}: it is in use by {holder}. Deallocate the machine, or make a snapshot and a new ImageVersion "
                "from that.",
                passing=True,
            )
        )
    copied = properties.get("completionPercent")
    if isinstance(copied, int | float) and copied < 100:
        problems.append(
            Problem("SourceNotReady", f"{field}: the snapshot is still being copied ({copied:.0f} %).", passing=True)
        )
    return problems


def managed_image(wanted: Wanted, field: str, found: Mapping[str, Any] | None, resource_id: str) -> list[Problem]:
    """Check a managed image: generalized, of the definition's generation, in the gallery's region."""
    problems = []
    if wanted.os_state != "Generalized":
        problems.append(
            Problem(
                "SourceMismatch",
                f"{field}: definition {wanted.definition} is {wanted.os_state}, and a managed image makes Generalized "
                "versions only. Use a disk, a snapshot or a virtual machine, or a definition with osState Generalized.",
            )
        )
    if found is None:
        return problems or [absent(field, resource_id)]
    properties = found.get("properties") or {}
    storage = properties.get("storageProfile") or {}
    main = storage.get("osDisk") or {}
    problems += elsewhere(wanted, field, found)
    told = {"osType": main.get("osType"), "hyperVGeneration": properties.get("hyperVGeneration")}
    if wanted.os_state == "Generalized":
        told["osState"] = main.get("osState")
    problems += differs(wanted, field, told)
    problems += too_large(wanted, field, _sizes_of_machine(storage))
    problems += not_settled(field, properties)
    return problems


def virtual_machine(wanted: Wanted, field: str, found: Mapping[str, Any] | None, resource_id: str) -> list[Problem]:
    """Check a virtual machine, read with its instance view: generalized if the definition is, and only then."""
    if found is None:
        return [absent(field, resource_id)]
    properties = found.get("properties") or {}
    storage = properties.get("storageProfile") or {}
    main = storage.get("osDisk") or {}
    view = properties.get("instanceView")
    problems = list(elsewhere(wanted, field, found))
    told = {"osType": main.get("osType"), "hyperVGeneration": (view or {}).get("hyperVGeneration")}
    problems += differs(wanted, field, told)
    if view is not None:
        codes = {str(each.get("code")).lower() for each in view.get("statuses") or ()}
        if wanted.os_state == "Generalized" and _GENERALIZED not in codes:
            problems.append(
                Problem(
                    "SourceMismatch",
                    f"{field}: the virtual machine is not generalized, and definition {wanted.definition} is. "
                    "Deprovision it (waagent -deprovision+user), deallocate it and mark it (az vm generalize), or use "
                    "a definition with osState Specialized.",
                )
            )
        if wanted.os_state == "Specialized" and _GENERALIZED in codes:
            problems.append(
                Problem(
                    "SourceMismatch",
                    f"{field}: the virtual machine is generalized, and definition {wanted.definition} is Specialized. "
                    "Use a definition with osState Generalized.",
                )
            )
    problems += _unfit_machine(wanted, field, found, main)
    problems += too_large(wanted, field, _sizes_of_machine(storage))
    problems += not_settled(field, properties)
    return problems


def gallery_version(
    wanted: Wanted,
    field: str,
    found: Mapping[str, Any] | None,
    definition: Mapping[str, Any] | None,
    resource_id: str,
) -> list[Problem]:
    """Check another version.

    Args:
        wanted: What it must fit.
        field: The field that names it, for messages.
        found: Its document, or None when it does not exist.
        definition: The document of its definition, or None when it is not known.
        resource_id: Its id, for messages.
    """
    if found is None:
        return [absent(field, resource_id)]
    properties = found.get("properties") or {}
    state = properties.get("provisioningState")
    problems = []
    if state == "Failed":
        problems.append(
            Problem(
                "SourceFailed",
                f"{field}: {resource_id} is in provisioningState Failed. Make a new ImageVersion that names another.",
            )
        )
    regions = (properties.get("publishingProfile") or {}).get("targetRegions")
    if regions is not None and normal(wanted.location) not in {normal(str(each.get("name"))) for each in regions}:
        problems.append(
            Problem(
                "SourceElsewhere",
                f"{field}: {resource_id} is not replicated to {wanted.location}, the region of the gallery. Add this "
                "region to its target regions.",
            )
        )
    told = (definition or {}).get("properties") or {}
    problems += differs(wanted, field, told)
    problems += too_large(wanted, field, _sizes(properties))
    if state == "Creating":
        problems += not_settled(field, properties)
    return problems


def community_version(
    wanted: Wanted,
    field: str,
    found: Mapping[str, Any] | None,
    image: Mapping[str, Any] | None,
    community_id: str,
) -> list[Problem]:
    """Check a version (or the latest one) of a community gallery, as it is seen in the gallery's region.

    Args:
        wanted: What it must fit.
        field: The field that names it, for messages.
        found: Document of the version; that of the image where no version is named; None when there is none.
        image: Document of the image, or None when it is not known.
        community_id: Its id, for messages.
    """
    if found is None:
        return [
            Problem(
                "SourceNotFound",
                f"{field}: {community_id} is not there in {wanted.location}, the region of the gallery. Ask its "
                "publisher to replicate it, or make a new ImageVersion that names another.",
                passing=True,
            )
        ]
    properties = found.get("properties") or {}
    problems = []
    if properties.get("imageState") == "SoftDeleted":
        problems.append(
            Problem(
                "SourceNotFound",
                f"{field}: its publisher has deleted {community_id}. Make a new ImageVersion that names another.",
            )
        )
    told = (image or {}).get("properties") or {}
    problems += differs(wanted, field, told)
    problems += too_large(wanted, field, _sizes(properties))
    return problems


def blob(wanted: Wanted, field: str, account: Mapping[str, Any] | None, account_id: str) -> list[Problem]:
    """Check the storage account of a VHD.

    Args:
        wanted: What it must fit.
        field: The field that names the blob, for messages.
        account: Document of the storage account, or None when it does not exist.
        account_id: Its id, for messages.
    """
    if account is None:
        return [absent(f"{field}.storageAccountId", account_id)]
    return list(elsewhere(wanted, f"{field}.storageAccountId", account))


def blob_content(field: str, uri: str, blob_type: str | None) -> list[Problem]:
    """Check a VHD in a storage account.

    Args:
        field: The field that names the blob, for messages.
        uri: Its URL.
        blob_type: ``PageBlob`` or another; None when it does not exist.
    """
    if blob_type is None:
        return [absent(f"{field}.uri", uri)]
    if blob_type != "PageBlob":
        return [
            Problem(
                "SourceMismatch",
                f"{field}.uri: {uri} is a {blob_type}, and Azure takes VHDs in page blobs only. Upload it as a page "
                "blob (a VhdImport with destination.pageBlob does) and make a new ImageVersion.",
            )
        ]
    return []


def imported(wanted: Wanted, field: str, found: VhdImport, *, os: bool) -> list[Problem]:
    """Check an import, finished or not: where its disk is to be, how large it is, for which profile it is checked."""
    problems: list[Problem] = []
    target, destination = found.status.target, found.spec.destination
    if destination is not None and destination.managed_image is not None:
        problems.append(
            Problem(
                "SourceMismatch",
                f"{field}: VhdImport {found.key} ends in a managed image, not in a disk. Make a new ImageVersion that "
                "names the image in source.managedImageId, or an import with another destination.",
            )
        )
    location = target.location if target is not None else None
    if location is None and destination is not None and destination.managed_disk is not None:
        location = destination.managed_disk.location
    problems += elsewhere(wanted, field, {"location": location})
    if os and found.spec.profile is not None:
        profile = found.spec.profile.to_wire()
        problems += differs(wanted, field, profile)
    size = found.status.disk.virtual_size if found.status.disk is not None else None
    problems += too_large(wanted, field, [size / _GIB if size is not None else None])
    return problems


def same_source(ids: Iterable[tuple[str, str]]) -> list[Problem]:
    """Check that no two disks are made of the same thing, whatever fields name it.

    Args:
        ids: Field, and what it stands for in the end: an ARM id or the URL of a blob.
    """
    seen: dict[str, str] = {}
    problems = []
    for field, resource_id in ids:
        # The path of a blob heeds case, an ARM id does not.
        key = resource_id if resource_id.startswith("http") else resource_id.lower()
        if key in seen:
            problems.append(
                Problem(
                    "SourceTwice",
                    f"{seen[key]} and {field} are the same: {resource_id}. Each disk needs a source of its own; make a "
                    "new ImageVersion.",
                )
            )
        seen.setdefault(key, field)
    return problems


def _unfit_machine(wanted: Wanted, field: str, found: Mapping[str, Any], main: Mapping[str, Any]) -> Iterator[Problem]:
    if main.get("diffDiskSettings"):
        yield Problem(
            "SourceMismatch",
            f"{field}: the virtual machine has an ephemeral OS disk, which Azure makes no version of. Make a new "
            "ImageVersion of a machine with a managed OS disk.",
        )
    if main.get("vhd"):
        yield Problem(
            "SourceMismatch",
            f"{field}: the virtual machine's OS disk is not a managed disk. Convert it (az vm convert), or make a new "
            "ImageVersion of the VHD (osDisk.blob).",
        )
    plan = plan_of(found.get("plan"))
    if plan != wanted.plan:
        has, wants = ("/".join(each) if each else "none" for each in (plan, wanted.plan))
        yield Problem(
            "SourceMismatch",
            f"{field}: the virtual machine has the purchase plan {has}, definition {wanted.definition} has {wants}. "
            "Use a definition with the same purchasePlan.",
        )


def _encrypted_elsewhere(
    wanted: Wanted, field: str, properties: Mapping[str, Any], resource_id: str
) -> Iterator[Problem]:
    key = (properties.get("encryption") or {}).get("diskEncryptionSetId")
    parts = resource_id.split("/")
    own = parts[2] if len(parts) > 2 else ""
    if key and wanted.subscription_id and own.lower() != wanted.subscription_id.lower():
        yield Problem(
            "SourceElsewhere",
            f"{field}: the disk is encrypted with a key of its owner ({key}) and in another subscription than the "
            "gallery. Copy it to the gallery's subscription, or decrypt it, and make a new ImageVersion.",
        )


def _sizes_of_machine(storage: Mapping[str, Any]) -> list[float | None]:
    return [each.get("diskSizeGB") for each in (storage.get("osDisk") or {}, *(storage.get("dataDisks") or ()))]


def _gib_of(properties: Mapping[str, Any]) -> float | None:
    size = properties.get("diskSizeBytes")
    if isinstance(size, int):
        return size / _GIB
    gib = properties.get("diskSizeGB")
    return float(gib) if isinstance(gib, int) else None


def _sizes(properties: Mapping[str, Any]) -> list[float | None]:
    storage = properties.get("storageProfile") or {}
    disks = (storage.get("osDiskImage") or {}, *(storage.get("dataDiskImages") or ()))
    # Versions say sizeInGB, what consumers of a community gallery see says diskSizeGB.
    return [each.get("sizeInGB") or each.get("diskSizeGB") for each in disks]
