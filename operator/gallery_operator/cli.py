"""Command line. Sub-commands import their part only when they are used: the worker never loads the operator."""

import argparse
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from gallery_operator import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        Exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # `check`, `checks`, `upload` and `export` have a command line of their own, with its own help.
    if arguments[:1] == ["check"]:
        from gallery_operator.prerequisites.cli import check_main

        return check_main(arguments[1:])
    if arguments[:1] == ["checks"]:
        from gallery_operator.prerequisites.cli import checks_main

        return checks_main(arguments[1:])
    if arguments[:1] == ["export"]:
        from gallery_operator.export.command import main as export_main

        return export_main(arguments[1:])
    if arguments[:1] == ["upload"]:
        from gallery_operator.transfer.command import main as upload_main

        return upload_main(arguments[1:])
    options = _parser().parse_args(arguments)
    if options.command == "worker":
        from gallery_operator.worker.lean import lean_imports

        with lean_imports():
            if options.job == "prepare":
                from gallery_operator.worker.prepare import main as job
            else:
                from gallery_operator.worker.upload import main as job
        return int(job())
    return _run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gallery-operator",
        description="Brings Linux images into Azure Compute Gallery, driven by Kubernetes resources.",
    )
    parser.add_argument("--version", action="version", version=f"gallery-operator {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the operator", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    _run_arguments(run)
    worker = commands.add_parser("worker", help="run a step of an import (used by the Jobs)")
    worker.add_argument("job", choices=["prepare", "upload"])
    commands.add_parser("check", help="check a disk image on this machine (see: check --help)", add_help=False)
    commands.add_parser("checks", help="list the checks (see: checks --help)", add_help=False)
    commands.add_parser("upload", help="upload a disk without a cluster (see: upload --help)", add_help=False)
    commands.add_parser(
        "export", help="write the manifests of a gallery that exists (see: export --help)", add_help=False
    )
    return parser


def _run_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--namespace", action="append", default=[], metavar="NS", help="serve only this namespace (repeatable)"
    )
    run.add_argument(
        "--cluster-name", default="kubernetes", metavar="NAME", help="name of this cluster in ownership tags"
    )
    run.add_argument("--workers", type=int, default=8, metavar="N", help="reconciles at the same time")
    run.add_argument(
        "--resync-seconds", type=float, default=600.0, metavar="S", help="interval of comparing with Azure"
    )
    run.add_argument(
        "--poll-seconds", type=float, default=15.0, metavar="S", help="shortest interval of looking at what runs"
    )
    run.add_argument("--health-port", type=int, default=8081, metavar="PORT", help="port of /healthz and /readyz")
    run.add_argument("--metrics-port", type=int, default=9090, metavar="PORT", help="port of /metrics")
    run.add_argument(
        "--leader-election-namespace", metavar="NS", help="namespace of the lease (default: $POD_NAMESPACE)"
    )
    run.add_argument("--no-leader-election", action="store_true", help="run without a lease: only ever one process")
    run.add_argument("--worker-image", required=True, metavar="IMAGE", help="container image of the Jobs")
    run.add_argument("--worker-image-pull-policy", default="IfNotPresent", choices=["Always", "IfNotPresent", "Never"])
    run.add_argument("--worker-service-account", default="default", metavar="NAME", help="its token is never mounted")
    run.add_argument(
        "--allowed-source-cidr",
        action="append",
        default=[],
        metavar="CIDR",
        help="non-public network that source URLs may point into",
    )
    run.add_argument(
        "--allowed-source-host",
        action="append",
        default=[],
        metavar="HOST",
        help="host that source URLs may name although its address is not public",
    )
    run.add_argument("--scratch-storage-class", metavar="NAME", help="class of scratch claims that name none")
    run.add_argument("--kubeconfig", metavar="FILE", help="default: the service account, else $KUBECONFIG")
    run.add_argument("--log-format", default="text", choices=["text", "json"])
    run.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])


def _run(options: argparse.Namespace) -> int:
    from gallery_operator.azure.credentials import CredentialError, CredentialSpec
    from gallery_operator.azure.settings import AzureSettings, SettingsError
    from gallery_operator.handlers.app import Options
    from gallery_operator.handlers.app import main as run_operator
    from gallery_operator.planning.jobs import WorkerSettings
    from gallery_operator.reconcilers.context import Settings
    from gallery_operator.runtime import logs
    from gallery_operator.runtime.lease import LeaseSettings

    logs.configure(options.log_format, options.log_level)
    environment = dict(os.environ)
    try:
        azure = AzureSettings.from_environment(environment)
        _check_cluster_name(options.cluster_name)
    except (SettingsError, ValueError) as error:
        _usage_error(str(error))
    credential, problem = None, ""
    try:
        credential = CredentialSpec.from_environment(environment)
    except CredentialError as error:
        problem = f"the operator has no identity of its own ({error})"
    bundle = environment.get("SSL_CERT_FILE")
    worker = WorkerSettings(
        image=options.worker_image,
        pull_policy=options.worker_image_pull_policy,
        service_account=options.worker_service_account,
        allowed_cidrs=tuple(options.allowed_source_cidr),
        allowed_hosts=tuple(options.allowed_source_host),
        scratch_storage_class=options.scratch_storage_class,
        ca_pem=Path(bundle).read_text() if bundle else None,
        storage_api_version=azure.storage_api_version,
        proxies=_worker_proxies(environment),
    )
    namespace = options.leader_election_namespace or environment.get("POD_NAMESPACE")
    lease = None
    if not options.no_leader_election:
        if not namespace:
            _usage_error("name the lease's namespace: --leader-election-namespace or POD_NAMESPACE")
        lease = LeaseSettings(namespace, "gallery-operator", environment.get("POD_ID") or f"pid-{os.getpid()}")
    return run_operator(
        Options(
            reconcilers=Settings(
                cluster=options.cluster_name,
                worker=worker,
                poll_seconds=options.poll_seconds,
                default_credential=credential,
                default_credential_problem=problem,
            ),
            azure=azure,
            lease=lease,
            namespaces=tuple(options.namespace),
            workers=options.workers,
            resync_seconds=options.resync_seconds,
            health_port=options.health_port,
            metrics_port=options.metrics_port,
            kubeconfig=options.kubeconfig,
            trust_env=any(environment.get(name) for name in ("HTTPS_PROXY", "https_proxy")),
        )
    )


def _worker_proxies(environment: Mapping[str, str]) -> Mapping[str, str]:
    from gallery_operator.planning.proxies import worker_proxies

    try:
        return worker_proxies(environment)
    except ValueError as problem:
        logging.getLogger(__name__).warning("the Jobs' pods go without a proxy: %s", problem)
        return {}


def _usage_error(message: str) -> NoReturn:
    sys.stderr.write(f"gallery-operator: {message}\n")
    raise SystemExit(2)


def _check_cluster_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", name):
        raise ValueError("--cluster-name must be letters, digits, '.', '_' and '-', at most 128 of them")
