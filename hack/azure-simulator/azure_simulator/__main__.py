"""Command line of the simulator."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from . import certs
from .blobs import BlobStore
from .config import Config, StorageAccount
from .engine import Engine
from .server import serve

_DEFAULTS = Config()
_PREFIX = "AZURE_SIMULATOR_"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="azure_simulator",
        description="Serves the parts of Azure Resource Manager and Entra ID that gallery-operator uses.",
        epilog=f"Every option of `serve` may be given as an environment variable: --time-scale is {_PREFIX}TIME_SCALE; "
        "options that may be repeated take a comma-separated list there.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("certs", help="make a private CA and a server certificate, unless they are there")
    make.add_argument("folder", type=Path)
    make.add_argument("--name", action="append", required=True, help="DNS name or IP address; may be repeated")
    run = commands.add_parser("serve", help="run the server")
    run.add_argument("--listen", default="127.0.0.1:8443", help="address and port; port 0 takes a free one")
    run.add_argument("--tls-cert", type=Path, help="PEM file of the server certificate")
    run.add_argument("--tls-key", type=Path, help="PEM file of its key")
    run.add_argument("--self-signed", type=Path, metavar="DIR", help="make a CA and a certificate in DIR instead")
    run.add_argument("--dns-name", action="append", help="name in the self-signed certificate; may be repeated")
    run.add_argument("--state-dir", type=Path, help="folder of the database; without it state is lost at exit")
    run.add_argument("--azurite", default="https://127.0.0.1:10000", help="URL of the blob service")
    run.add_argument("--azurite-public", help="URL of the blob service as clients see it, if another")
    run.add_argument("--azurite-ca", help="PEM file with the CA of the blob service")
    run.add_argument("--account-key-file", type=Path, help="file with the key (base64) of all storage accounts")
    run.add_argument("--disk-account", default="mdimpexp", help="storage account that holds simulated disks")
    run.add_argument(
        "--storage-account", action="append", metavar="NAME:GROUP:REGION", help="account that exists; may be repeated"
    )
    run.add_argument("--blob-container", action="append", help="container in each storage account; may be repeated")
    run.add_argument("--subscription", action="append", help="subscription that exists; may be repeated")
    run.add_argument(
        "--resource-group", action="append", metavar="NAME:REGION", help="group that exists; may be repeated"
    )
    run.add_argument("--tenant", default=_DEFAULTS.tenant, help="tenant of the subscriptions")
    run.add_argument("--bad-secret", action="append", help="client secret to refuse; may be repeated")
    run.add_argument("--time-scale", type=float, default=1.0, help="Azure seconds per second (60: a minute in 1 s)")
    run.add_argument("--no-throttle", action="store_true", help="count requests but never answer 429 by itself")
    run.add_argument("--seed", type=int, help="make the chances of faults repeatable")
    run.add_argument("--verbose", action="store_true")
    return parser


_REPEATED = {"dns_name", "storage_account", "blob_container", "subscription", "resource_group", "bad_secret"}


def _from_environment(parser: argparse.ArgumentParser) -> list[str]:
    """Return options given as environment variables, to be put before those of the command line."""
    run = next(action.choices["serve"] for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    found: list[str] = []
    for action in run._actions:
        value = os.environ.get(_PREFIX + action.dest.upper())
        if not value or not action.option_strings or action.dest == "help":
            continue
        option = action.option_strings[-1]
        if isinstance(action, argparse._StoreTrueAction):
            found.extend([option] if value.lower() in ("1", "true", "yes") else [])
        else:
            for item in value.split(",") if action.dest in _REPEATED else [value]:
                found.extend([option, item.strip()])
    return found


def _config(options: argparse.Namespace) -> Config:
    key = options.account_key_file.read_text().strip() if options.account_key_file else ""
    accounts = []
    for item in options.storage_account or []:
        name, group, region = item.split(":")
        accounts.append(StorageAccount(name, group, region))
    return Config(
        state_dir=options.state_dir,
        azurite=options.azurite,
        azurite_public=options.azurite_public,
        azurite_ca=options.azurite_ca,
        account_key=key,
        disk_account=options.disk_account,
        accounts=tuple(accounts),
        containers=tuple(options.blob_container or ()),
        subscriptions=tuple(options.subscription or _DEFAULTS.subscriptions),
        groups=dict(item.split(":") for item in options.resource_group or []),
        tenant=options.tenant,
        bad_secrets=tuple(options.bad_secret or _DEFAULTS.bad_secrets),
        time_scale=options.time_scale,
        throttle=not options.no_throttle,
        seed=options.seed,
    )


def _context(options: argparse.Namespace) -> ssl.SSLContext:
    cert, key = options.tls_cert, options.tls_key
    if options.self_signed:
        certs.ensure(options.self_signed, options.dns_name or ["localhost", "127.0.0.1"])
        cert, key = options.self_signed / "tls.crt", options.self_signed / "tls.key"
    if not cert or not key:
        sys.exit(
            "azure_simulator: give --tls-cert and --tls-key, or --self-signed DIR (Azure clients refuse plain HTTP)"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


async def _serve(options: argparse.Namespace) -> None:
    config = _config(options)
    host, _, port = options.listen.rpartition(":")
    names = {config.disk_account, *(account.name for account in config.accounts)}
    blobs = BlobStore(
        config.azurite,
        dict.fromkeys(names, config.account_key),
        public_endpoint=config.azurite_public,
        ca_file=config.azurite_ca,
    )
    context = _context(options)
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)

    def ready(bound: int) -> None:
        print(f"listening https://{host}:{bound}", flush=True)

    try:
        with contextlib.suppress(asyncio.CancelledError):
            await serve(Engine(config, blobs), host, int(port), context, ready)
    finally:
        await blobs.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = _parser()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] == "serve":
        given = ["serve", *_from_environment(parser), *given[1:]]
    options = parser.parse_args(given)
    if options.command == "certs":
        made = certs.ensure(options.folder, options.name)
        print("made" if made else "kept", options.folder)
        return
    level = logging.DEBUG if options.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(_serve(options))


if __name__ == "__main__":
    main()
