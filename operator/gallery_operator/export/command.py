"""``gallery-operator export``: reads a gallery in Azure and writes the manifests for it. Changes nothing."""

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import yaml

from gallery_operator.azure import resource_ids
from gallery_operator.azure.credentials import CLIENT_ID, SUBSCRIPTION_ID, CredentialError, CredentialSpec
from gallery_operator.azure.errors import AzureError
from gallery_operator.azure.gateway import Arm, AzureGateway
from gallery_operator.azure.resource_ids import InvalidResourceIdError, ResourceId
from gallery_operator.azure.settings import AzureSettings, SettingsError
from gallery_operator.export import manifests
from gallery_operator.export.manifests import ExportOptions, Manifest

_EPILOG = """\
The credential: the variables AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or AZURE_CLIENT_CERTIFICATE,
AZURE_FEDERATED_TOKEN_FILE) where AZURE_CLIENT_ID is set, else whoever is signed in with `az login`.

The objects only observe (managementPolicy: Observe) unless --management-policy Manage is given; they never delete
anything in Azure (deletionPolicy: Retain). See docs/adopting.md.

exit codes:
  0  written
  1  Azure refused, or the gallery does not exist
  2  wrong usage, or there is no credential

examples:
  gallery-operator export platform --resource-group rg-images --namespace images > platform.yaml
  gallery-operator export /subscriptions/.../galleries/platform --output-directory platform/
"""


class _ExportError(Exception):
    """The export cannot go on; the message is for the user."""


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after ``export``.

    Returns:
        Exit code.
    """
    options = _parser().parse_args(argv)
    environment = dict(os.environ)
    try:
        settings = AzureSettings.from_environment(environment)
        who = _credential(environment)
        gallery_id = _gallery_id(options, who)
    except (SettingsError, CredentialError, InvalidResourceIdError, _ExportError) as error:
        sys.stderr.write(f"gallery-operator export: {error}\n")
        return 2
    written = ExportOptions(options.namespace, options.management_policy)
    try:
        groups = asyncio.run(_read(settings, who, gallery_id, written))
    except AzureError as error:
        sys.stderr.write(f"gallery-operator export: {error.message}. {error.next_step}\n")
        return 1
    except _ExportError as error:
        sys.stderr.write(f"gallery-operator export: {error}\n")
        return 1
    _write(groups, options.output_directory)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gallery-operator export",
        description="Writes the manifests for a gallery that exists: the gallery, its definitions and their versions.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("gallery", metavar="GALLERY", help="name or ARM id of the gallery")
    parser.add_argument("--resource-group", "-g", metavar="NAME", help="resource group, where GALLERY is a name")
    parser.add_argument(
        "--subscription", metavar="ID", help=f"subscription, where GALLERY is a name; else ${SUBSCRIPTION_ID}"
    )
    parser.add_argument("--namespace", "-n", metavar="NAME", help="namespace to write into the manifests")
    parser.add_argument(
        "--management-policy",
        choices=["Observe", "Manage"],
        default="Observe",
        help="Observe (default): the objects only read; Manage: they adopt what is there",
    )
    parser.add_argument(
        "--output-directory",
        "-d",
        type=Path,
        metavar="DIR",
        help="one file for the gallery and one for each definition; default: all of it on standard output",
    )
    return parser


def _credential(environment: Mapping[str, str]) -> CredentialSpec:
    if environment.get(CLIENT_ID):
        return CredentialSpec.from_environment(environment)
    if shutil.which("az") is None:
        raise _ExportError(
            f"there is no credential: set AZURE_TENANT_ID, {CLIENT_ID} and AZURE_CLIENT_SECRET, or install the Azure "
            "CLI and sign in with `az login`"
        )
    return CredentialSpec.of_azure_cli(environment.get(SUBSCRIPTION_ID) or None)


def _gallery_id(options: argparse.Namespace, who: CredentialSpec) -> ResourceId:
    if options.gallery.startswith("/"):
        found = ResourceId.parse(options.gallery)
        if found.type.lower() != "microsoft.compute/galleries":
            raise _ExportError(f"{options.gallery} is not the ARM id of a gallery")
        return found
    subscription = options.subscription or who.subscription_id
    if not options.resource_group or not subscription:
        raise _ExportError(
            "a gallery's name needs --resource-group, and --subscription (or AZURE_SUBSCRIPTION_ID); or give its ARM id"
        )
    return resource_ids.gallery(subscription, options.resource_group, options.gallery)


async def _read(
    settings: AzureSettings, who: CredentialSpec, gallery_id: ResourceId, options: ExportOptions
) -> list[tuple[str, list[Manifest]]]:
    """Return the manifests by file name."""
    async with AzureGateway(settings) as gateway:
        arm = gateway.arm(who, gallery_id.subscription_id)
        found = await arm.get(gallery_id, expand="SharingProfile/Groups")
        if found is None:
            raise _ExportError(f"gallery {gallery_id} does not exist, or this credential cannot see it")
        gallery = manifests.gallery(found, options)
        groups = [("gallery.yaml", [gallery])]
        definitions = await arm.list(f"{gallery_id}/images")
        for number, document in enumerate(sorted(definitions, key=lambda each: str(each["name"])), start=1):
            if (why := manifests.why_not(document)) is not None:
                sys.stderr.write(f"{number}/{len(definitions)}  not exported: {why}\n")
                continue
            definition = manifests.definition(document, gallery.name, options)
            sys.stderr.write(f"{number}/{len(definitions)}  {definition.name}\n")
            versions = await _versions(arm, document, definition.name, options)
            groups.append((f"{definition.name}.yaml", [definition, *versions]))
    return groups


async def _versions(
    arm: Arm, definition: Mapping[str, Any], definition_object: str, options: ExportOptions
) -> list[Manifest]:
    found = await arm.list(f"{definition['id']}/versions")
    documents = sorted(found, key=lambda each: [int(part) for part in str(each["name"]).split(".") if part.isdigit()])
    return [manifests.version(each, definition_object, options) for each in documents]


def _write(groups: Sequence[tuple[str, Sequence[Manifest]]], folder: Path | None) -> None:
    count = sum(len(each) for _, each in groups)
    if folder is None:
        _dump(sys.stdout, [manifest for _, each in groups for manifest in each])
    else:
        folder.mkdir(parents=True, exist_ok=True)
        for name, each in groups:
            with (folder / name).open("w", encoding="utf-8") as stream:
                _dump(stream, each)
    notes = sum(len(manifest.notes) for _, each in groups for manifest in each)
    sys.stderr.write(f"{count} objects" + (f", {notes} notes (comments in the manifests)" if notes else "") + "\n")


def _dump(stream: TextIO, objects: Sequence[Manifest]) -> None:
    for each in objects:
        stream.write("---\n")
        for note in each.notes:
            stream.write(f"# {' '.join(note.split())}\n")
        yaml.safe_dump(each.body, stream, sort_keys=False, allow_unicode=True, width=120)
