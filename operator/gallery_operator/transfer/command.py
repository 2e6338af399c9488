"""``gallery-operator upload``: a disk into a page blob or a managed disk, without a cluster."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gallery_operator.azure.credentials import CredentialError
from gallery_operator.azure.errors import AzureError
from gallery_operator.azure.settings import AzureSettings, SettingsError
from gallery_operator.contract import ChecksDocument, ChecksumsFile, SignatureFile, UploadFacts
from gallery_operator.planning.bandwidth import bytes_per_second
from gallery_operator.prerequisites import render
from gallery_operator.prerequisites.cli import add_judgement, judgement, style_of
from gallery_operator.redact import redact
from gallery_operator.transfer.cloud import Cloud, credential_of
from gallery_operator.transfer.ends import UploadError, UploadExit, of_azure, of_worker
from gallery_operator.transfer.places import ManagedDisk, PageBlob, PlaceError, left_disk, read_destination, read_disk
from gallery_operator.transfer.progress import Display, LogHandler, mode_for
from gallery_operator.transfer.run import Outcome, Wish, plan, transfer
from gallery_operator.transfer.state import State, default_folder
from gallery_operator.transfer.target import BlobByIdentity, BlobWithSas, Destination, NewDisk
from gallery_operator.worker.errors import Stopped
from gallery_operator.worker.proof import SIGNING_KEY
from gallery_operator.worker.runtime import as_worker_error
from gallery_operator.worker.upload import give_back_large_buffers

_DESCRIPTION = """\
Checks a Linux disk for Azure and uploads it as a fixed VHD into a page blob or a new managed disk: what is zero is not
sent, and an upload that was interrupted goes on when the same command is given again.

DISK         a file (raw, VHD, VHDX, qcow2, VMDK; plain or compressed with gzip, xz, zstd, bzip2), a block device, or
             an https URL
DESTINATION  https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME.vhd, or the ARM id of a managed disk to be made:
             /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Compute/disks/NAME
"""

_EPILOG = """\
credentials:
  a page blob: a SAS (--sas-file or $AZURE_STORAGE_SAS_TOKEN) to read, create and write, else your identity
  a managed disk: your identity
  Your identity is what azure-identity finds: AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, workload
  identity, managed identity, or whoever is signed in with `az login`.
  The cloud: AZURE_RESOURCE_MANAGER_ENDPOINT, AZURE_AUTHORITY_HOST, AZURE_RESOURCE_MANAGER_AUDIENCE (default: Azure's
  public one). Certificates of a private CA: SSL_CERT_FILE.

exit codes:
  0    done (or, with --dry-run, nothing speaks against it)
  1    a prerequisite is not met; nothing was sent
  2    wrong usage, or no credential
  3    no error, but a check that could be one is undecided; nothing was sent (--on-unknown Allow goes on)
  4    the disk cannot be fetched or read, or there is no room for it
  5    the destination refuses, or holds something else
  6    what time may mend (network, throttling): give the same command again
  130  interrupted (Ctrl-C); 143: terminated. Give the same command again to go on

examples:
  gallery-operator upload debian-12.qcow2 https://images.blob.core.windows.net/vhds/debian-12.vhd
  gallery-operator upload debian-12.vhd https://images.blob.core.windows.net/vhds/debian-12.vhd --sas-file sas.txt
  gallery-operator upload https://images.example.org/debian-12.raw.xz --checksum sha256:... \\
      /subscriptions/.../resourceGroups/rg/providers/Microsoft.Compute/disks/debian-12 --sku Premium_LRS
  gallery-operator upload data.raw /subscriptions/.../disks/data --disk-role data --bandwidth-limit 50Mi
  gallery-operator upload debian-12.qcow2 https://... --dry-run --output json
"""

_DISK_OPTIONS = ("location", "sku", "zone", "disk_encryption_set_id", "tag")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``gallery-operator upload``.

    Args:
        argv: Arguments after ``upload``; None: none.

    Returns:
        An ``UploadExit``.
    """
    try:
        options = _parser().parse_args(list(argv or ()))
    except SystemExit as end:  # argparse has said what is wrong, or printed the help
        return int(end.code or 0)
    display = Display(sys.stderr, mode_for(sys.stderr, quiet=options.quiet))
    handler = LogHandler(display)
    logging.getLogger().handlers[:] = [handler]
    if options.quiet:
        handler.setLevel(logging.ERROR)
    outcome = Outcome()
    signals = _Signals()
    give_back_large_buffers()
    try:
        with signals:
            _run(options, dict(os.environ), display, outcome)
    except UploadError as error:
        return _ended(options, outcome, error)
    except AzureError as error:
        return _ended(options, outcome, of_azure(error))
    except (Stopped, KeyboardInterrupt):
        exit_code = UploadExit.INTERRUPTED if signals.seen == signal.SIGINT else UploadExit.TERMINATED
        text = "Interrupted. Give the same command again to go on where it stopped; --abort removes what is left."
        return _ended(options, outcome, UploadError(exit_code, text, "Interrupted"))
    except BrokenPipeError:
        # The reader of a pipe (head, less) is gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UploadExit.USAGE
    except Exception as error:  # noqa: BLE001 - a person must see a sentence, without secrets
        return _ended(options, outcome, of_worker(as_worker_error(error)))
    return UploadExit.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gallery-operator upload",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("disk", metavar="DISK")
    parser.add_argument("destination", metavar="DESTINATION")
    parser.add_argument("--sas-file", type=Path, metavar="FILE", help="file with the SAS of the page blob")
    parser.add_argument("--checksum", type=_checksum, metavar="sha256:HEX", help="of DISK's file as it is; or sha512:")
    parser.add_argument(
        "--checksums", metavar="URL", help="of a file that lists the checksum of DISK (a URL): SHA256SUMS, CHECKSUM"
    )
    parser.add_argument("--checksums-file", metavar="NAME", help="name in it; default: the last part of DISK")
    parser.add_argument(
        "--signing-key",
        type=Path,
        metavar="FILE",
        help="public key of who signs --checksums; in clear, or see --signature",
    )
    parser.add_argument("--signature", metavar="URL", help="detached OpenPGP signature of --checksums")
    parser.add_argument("--format", choices=["raw", "vhd", "vhdx", "qcow2", "vmdk"], help="default: recognised")
    parser.add_argument("--concurrency", type=_concurrency, default=16, metavar="N", help="most requests in flight")
    parser.add_argument(
        "--bandwidth-limit", type=_bandwidth, metavar="RATE", help="most bytes a second to send, such as 50Mi"
    )
    parser.add_argument(
        "--verify", choices=["None", "Sample", "Full"], default="Sample", help="how much of what was sent is read back "
        "and compared; default: Sample",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="prepare and check, and say what would be sent")
    parser.add_argument(
        "--abort", action="store_true", help="remove what an interrupted upload left, here and at DESTINATION"
    )
    parser.add_argument("--yes", "-y", action="store_true", help="with --abort: do not ask")
    parser.add_argument(
        "--state-dir", metavar="DIR", help="for what an interrupted upload leaves, and for a disk that is downloaded "
        "or unpacked; default: $XDG_STATE_HOME/gallery-operator/uploads",
    )  # fmt: skip
    parser.add_argument("--output", "-o", choices=["text", "json"], default="text", help="of the report on stdout")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress, and of the report only what is wrong")
    disk = parser.add_argument_group("a managed disk that is made")
    disk.add_argument("--location", metavar="REGION", help="default: that of the resource group")
    disk.add_argument("--sku", metavar="SKU", help="default: Standard_LRS")
    disk.add_argument("--zone", metavar="N", help="availability zone")
    disk.add_argument("--disk-encryption-set-id", metavar="ID", help="ARM id, for a key of your own")
    disk.add_argument("--tag", action="append", default=[], type=_tag, metavar="NAME=VALUE", help="repeatable")
    parser.add_argument("--no-check", action="store_true", help="do not check Azure's prerequisites")
    parser.add_argument(
        "--policy", choices=["Enforce", "Warn"], default="Enforce", help="Warn: findings do not stop it"
    )
    add_judgement(parser)
    return parser


def _checksum(text: str) -> str:
    if not re.fullmatch(r"sha256:[0-9a-fA-F]{64}|sha512:[0-9a-fA-F]{128}", text):
        raise argparse.ArgumentTypeError("is sha256: and 64 hexadecimal digits, or sha512: and 128")
    return text


def _concurrency(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 64")
    return int(text)


def _bandwidth(text: str) -> int | None:
    if not re.fullmatch(r"[1-9][0-9]{0,9}(k|M|G|Ki|Mi|Gi)", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number with k, M, G, Ki, Mi or Gi, such as 50Mi")
    return bytes_per_second(text)


def _tag(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


class _Signals:
    """Makes signals end the work in good order. A context manager.

    Attributes:
        seen: The signal that came, if one did.
    """

    def __init__(self) -> None:
        self.seen: int | None = None

    def __enter__(self) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, self._stop)

    def __exit__(self, *_: object) -> None:
        self._ignore()

    def _stop(self, number: int, _frame: object) -> None:
        self.seen = number
        self._ignore()
        raise Stopped

    def _ignore(self) -> None:
        # What follows is short, and worth its end.
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)


def _run(options: argparse.Namespace, environment: Mapping[str, str], display: Display, outcome: Outcome) -> None:
    try:
        guest, prerequisites = judgement(options)
        disk = (
            left_disk(options.disk) if options.abort else read_disk(options.disk, options.checksum, _checksums(options))
        )
        place = read_destination(options.destination, options.sas_file, environment)
        settings = AzureSettings.from_environment(environment)
        _require_fitting(options, place)
    except (ValueError, SettingsError) as error:  # PlaceError is one
        raise UploadError(UploadExit.USAGE, str(error)) from None
    if isinstance(place, PageBlob) and place.exposed:
        _say(options, display, "the SAS is in your shell's history now; better: --sas-file or $AZURE_STORAGE_SAS_TOKEN")
    wish = Wish(
        disk=disk,
        target="pageBlob" if isinstance(place, PageBlob) else "managedDisk",
        guest=guest,
        prerequisites=None if options.no_check else prerequisites.model_copy(update={"policy": options.policy}),
        format=options.format,
        concurrency=options.concurrency,
        bandwidth_limit=options.bandwidth_limit,
        read_back=options.verify,
        dry_run=options.dry_run,
    )
    base = Path(options.state_dir).absolute() if options.state_dir else default_folder(environment)
    with (
        State(base, disk.name, place.name) as state,
        _destination(place, options, wish, state, settings, environment) as destination,
    ):
        if options.abort:
            _abort(options, destination, state, place)
            return
        if options.signing_key is not None:
            _bring_key(options.signing_key, state)
        outcome.resumed = state.holds_work()
        if outcome.resumed:
            what = "some of it is sent" if state.sending_began() else "the disk is ready" if state.prepared() else ""
            _say(options, display, f"going on where an earlier run stopped{f' ({what})' if what else ''}")
        transfer(wish, destination, state, settings, display, outcome, lambda found: _findings(options, found))
        _done(options, outcome, place, state)


def _checksums(options: argparse.Namespace) -> ChecksumsFile | None:
    if options.checksums is None:
        if options.signature or options.signing_key or options.checksums_file:
            raise PlaceError("--checksums-file, --signing-key and --signature belong to --checksums")
        return None
    if options.checksum is not None:
        raise PlaceError("--checksum and --checksums exclude each other: give the digest, or the file that lists it")
    if options.signature is not None and options.signing_key is None:
        raise PlaceError("--signature needs --signing-key: a signature by anybody proves nothing")
    signed = None if options.signing_key is None else SignatureFile(url=options.signature)
    return ChecksumsFile(url=options.checksums, file=options.checksums_file, signature=signed)


def _bring_key(file: Path, state: State) -> None:
    """Put the public key where the worker looks for it, as it is mounted in a pod."""
    place = state.folder / SIGNING_KEY
    try:
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(file.read_bytes())
    except OSError as error:
        raise UploadError(UploadExit.USAGE, f"--signing-key cannot be read: {error.strerror}") from None


def _require_fitting(options: argparse.Namespace, place: PageBlob | ManagedDisk) -> None:
    given = [each for each in _DISK_OPTIONS if getattr(options, each)]
    if isinstance(place, PageBlob) and given:
        raise PlaceError(f"--{given[0].replace('_', '-')} is for managed disks, and DESTINATION is a page blob")
    if options.yes and not options.abort:
        raise PlaceError("--yes belongs to --abort")
    if options.abort and not options.yes and not sys.stdin.isatty():
        raise PlaceError("--abort removes what is at DESTINATION: confirm it by --yes")


@contextlib.contextmanager
def _destination(
    place: PageBlob | ManagedDisk,
    options: argparse.Namespace,
    wish: Wish,
    state: State,
    settings: AzureSettings,
    environment: Mapping[str, str],
) -> Iterator[Destination]:
    if isinstance(place, PageBlob) and place.sas is not None:
        yield BlobWithSas(place, state, settings)
        return
    try:
        credential = credential_of(environment)
    except CredentialError as error:
        raise UploadError(UploadExit.USAGE, str(error)) from None
    with Cloud(settings, credential) as cloud:
        if isinstance(place, PageBlob):
            yield BlobByIdentity(place, state, cloud)
        else:
            yield NewDisk(place, _wanted(options), wish.guest, state, cloud)


def _wanted(options: argparse.Namespace) -> dict[str, Any]:
    wanted: dict[str, Any] = {"tags": dict(options.tag)}
    if options.zone:
        wanted["zones"] = [options.zone]
    fields = {"location": options.location, "sku": options.sku, "diskEncryptionSetId": options.disk_encryption_set_id}
    return wanted | {name: value for name, value in fields.items() if value}


def _abort(options: argparse.Namespace, destination: Destination, state: State, place: PageBlob | ManagedDisk) -> None:
    if not options.yes:
        sys.stderr.write(f"Remove what an interrupted upload left at {place.name}? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise UploadError(UploadExit.USAGE, "nothing was removed")
    said = destination.abandon()
    state.remove()
    if not options.quiet:
        sys.stderr.write(f"{said}\n")


def _say(options: argparse.Namespace, display: Display, text: str) -> None:
    if not options.quiet:
        display.write(f"gallery-operator upload: {text}")


def _findings(options: argparse.Namespace, document: ChecksDocument) -> None:
    """Print the findings as ``check`` does; when quiet, only where there are any that stop the upload."""
    wrong = document.summary.errors or document.summary.unknown
    if options.output == "text" and (not options.quiet or wrong):
        sys.stdout.write(redact(render.table(document, style_of(sys.stdout))) + "\n")
        sys.stdout.flush()


def _done(options: argparse.Namespace, outcome: Outcome, place: PageBlob | ManagedDisk, state: State) -> None:
    if options.output == "json":
        _json(options, outcome, place.name, UploadExit.DONE, None)
    elif options.quiet:
        return
    elif outcome.upload is None:
        sys.stdout.write(f"{plan(outcome, place.name)}Nothing was sent. What was prepared is kept in {state.folder}.\n")
    else:
        sent = outcome.upload
        sys.stdout.write(
            f"{place.name} holds the disk: {sent.sent_bytes} bytes sent, {sent.skipped_bytes} zero bytes skipped, "
            f"{sent.resumed_bytes} found from an earlier run{_verified(sent)}.\n"
        )


def _verified(sent: UploadFacts) -> str:
    found = sent.verification
    if found is None or found.read_back == "None":
        return f"; nothing was read back{f' ({redact(found.refused)})' if found is not None and found.refused else ''}"
    repaired = f", {found.repaired_pieces} ranges were damaged and sent again" if found.repaired_pieces else ""
    return f"; {found.read_back_bytes} bytes read back and compared{repaired}"


def _ended(options: argparse.Namespace, outcome: Outcome, error: UploadError) -> int:
    if options.output == "json":
        _json(options, outcome, redact(options.destination), error.exit, error)
    sys.stderr.write(f"gallery-operator upload: {error.message}{f' {outcome.left}' if outcome.left else ''}\n")
    return error.exit


def _json(
    options: argparse.Namespace, outcome: Outcome, name: str, exit_code: UploadExit, error: UploadError | None
) -> None:
    document = {
        "disk": redact(options.disk),
        "destination": name,
        "dryRun": options.dry_run,
        "exitCode": int(exit_code),
        "error": None if error is None else {"code": error.code, "message": error.message},
        "resumed": outcome.resumed,
        "facts": None if outcome.disk is None else outcome.disk.model_dump(mode="json", exclude_none=True),
        "checks": None if outcome.checks is None else outcome.checks.model_dump(mode="json", by_alias=True),
        "left": outcome.left or None,
        "upload": None if outcome.upload is None else outcome.upload.model_dump(mode="json", exclude_none=True),
    }
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()
