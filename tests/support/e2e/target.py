"""Which cluster the end-to-end tests use: one of their own, or the one that a person names.

Environment:

- ``KUBECONFIG`` with ``GALLERY_OPERATOR_E2E_IMAGE``: use this cluster and this image of the operator. The simulator's
  images are named by ``GALLERY_OPERATOR_E2E_SIMULATOR_IMAGE`` and ``GALLERY_OPERATOR_E2E_AZURITE_IMAGE``.
- ``GALLERY_OPERATOR_E2E_CONTEXT``: the kubeconfig's context to use; it also says that this context is meant for tests.
- ``GALLERY_OPERATOR_CLUSTER``: name of the cluster that the tests make, so that several can be there at a time.
- ``GALLERY_OPERATOR_E2E_KEEP=1``: leave the cluster as it is at the end, for a look or for a quicker next run.
- ``GALLERY_OPERATOR_E2E_INSTALLED=1``: everything is installed already, by a run before; nothing is built or installed.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.support.e2e.shell import ROOT, run, tool

INSTANCE = os.environ.get("GALLERY_OPERATOR_CLUSTER") or "gallery-operator-test"
LOCAL_PREFIXES = ("gallery-operator-local-", "kind-", "minikube")
_IMAGES = {"operator": "gallery-operator", "simulator": "azure-simulator", "azurite": "azurite"}


class RefusedContextError(Exception):
    """A kubeconfig's context does not look like a test cluster's."""


@dataclass(frozen=True)
class Target:
    """A cluster to test on.

    Attributes:
        kubeconfig: How to reach it.
        context: Context in the kubeconfig.
        images: Container image by ``operator``, ``simulator`` and ``azurite``.
        own: The cluster was made by these tests.
    """

    kubeconfig: Path
    context: str
    images: dict[str, str]
    own: bool


def choose() -> Target:
    """Return the cluster to test on, after making it where it is our own; skips the tests where that is impossible.

    Raises:
        RefusedContextError: The kubeconfig's context is not a test cluster's.
    """
    image = os.environ.get("GALLERY_OPERATOR_E2E_IMAGE")
    if image and os.environ.get("KUBECONFIG"):
        return _given(image)
    if why := _impossible():
        pytest.skip(why)
    environment = {"GALLERY_OPERATOR_CLUSTER": INSTANCE}
    kubeconfig = Path(run([ROOT / "hack/cluster", "up"], env=environment).splitlines()[-1])
    images = {name: f"localhost/{image}:dev" for name, image in _IMAGES.items()}
    if not installed():
        run([ROOT / "hack/images/build", *_IMAGES])
        run([ROOT / "hack/cluster", "load-image", *images.values()], env=environment)
    context = check_context(yaml.safe_load(kubeconfig.read_text()), None)
    return Target(kubeconfig, context, images, own=True)


def take_down(target: Target) -> None:
    """Remove a cluster that these tests made, unless it is to be kept."""
    if target.own and not keep():
        run([ROOT / "hack/cluster", "down"], env={"GALLERY_OPERATOR_CLUSTER": INSTANCE})


def keep() -> bool:
    """Whether everything is to be left as it is."""
    return os.environ.get("GALLERY_OPERATOR_E2E_KEEP", "") not in ("", "0")


def installed() -> bool:
    """Whether a run before has installed everything."""
    return os.environ.get("GALLERY_OPERATOR_E2E_INSTALLED", "") not in ("", "0")


def _given(image: str) -> Target:
    # KUBECONFIG may be several files; kubectl knows how they add up.
    config = json.loads(run([tool("kubectl"), "config", "view", "--output", "json"]))
    context = check_context(config, os.environ.get("GALLERY_OPERATOR_E2E_CONTEXT") or None)
    images = {
        "operator": image,
        "simulator": os.environ.get("GALLERY_OPERATOR_E2E_SIMULATOR_IMAGE", "localhost/azure-simulator:dev"),
        "azurite": os.environ.get("GALLERY_OPERATOR_E2E_AZURITE_IMAGE", "localhost/azurite:dev"),
    }
    return Target(_only(context), context, images, own=False)


def _only(context: str) -> Path:
    """Return a kubeconfig with nothing but one context, so that no program can take another one."""
    text = run([tool("kubectl"), "--context", context, "config", "view", "--raw", "--flatten", "--minify"])
    folder = Path(tempfile.mkdtemp(prefix="gallery-operator-e2e-"))  # private to this user
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "kubeconfig"
    path.write_text(text)
    return path


def check_context(kubeconfig: dict[str, object], named: str | None) -> str:
    """Return the context to use.

    Args:
        kubeconfig: Parsed kubeconfig.
        named: Context that a person named for these tests, or None.

    Raises:
        RefusedContextError: Nobody named it and its name is not a local cluster's: the tests install and remove things.
    """
    context = named or str(kubeconfig.get("current-context") or "")
    known = [str(each.get("name")) for each in kubeconfig.get("contexts") or []]  # type: ignore[attr-defined]
    if context not in known:
        raise RefusedContextError(f"the kubeconfig has no context {context!r}; it has: {', '.join(known) or 'none'}")
    if named is None and not context.startswith(LOCAL_PREFIXES):
        raise RefusedContextError(
            f"the context {context!r} does not look like a test cluster's (its name begins with none of "
            f"{', '.join(LOCAL_PREFIXES)}): set GALLERY_OPERATOR_E2E_CONTEXT={context} if it is one"
        )
    return context


def _impossible() -> str | None:
    """Why no cluster can be made here, or None."""
    if os.geteuid() == 0 or _succeeds("docker", "info") or _succeeds("sudo", "-n", "true"):
        return None
    return (
        "end-to-end tests need a cluster: run as root, with sudo without a password, or with Docker; or point "
        "KUBECONFIG and GALLERY_OPERATOR_E2E_IMAGE at one"
    )


def _succeeds(*command: str) -> bool:
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True, timeout=15, check=False).returncode == 0
