"""Getting container images into the node."""

from __future__ import annotations

import subprocess
import tempfile
from typing import IO

from hack.localcluster import node, nodeconfig
from hack.localcluster.archive import Layout, write_static
from hack.localcluster.errors import ClusterError
from hack.localcluster.instance import Instance
from hack.localcluster.process import Record
from hack.localcluster.shell import run, tool

COREDNS_IMAGE = "localhost/coredns:dev"
PROVISIONER_IMAGE = "localhost/local-path-provisioner:dev"
VOLUME_HELPER_IMAGE = "localhost/volume-helper:dev"

# Image -> (tool that is its only file, user).
OWN_IMAGES = {
    nodeconfig.PAUSE_IMAGE: ("pause", "65535:65535"),
    COREDNS_IMAGE: ("coredns", "65532:65532"),
    PROVISIONER_IMAGE: ("local-path-provisioner", "65532:65532"),
    VOLUME_HELPER_IMAGE: ("volume-helper", "0:0"),
}


def ctr(record: Record) -> list[str]:
    """Beginning of a ctr command line that speaks to the node's containerd."""
    return [*node.inside(record, "mount"), "ctr", "--address", nodeconfig.CONTAINERD_SOCKET, "--namespace", "k8s.io"]


def load_own(instance: Instance, record: Record) -> None:
    """Loads the images the cluster itself needs; each is one of our own binaries and nothing else."""
    for reference, (name, user) in OWN_IMAGES.items():
        binary = tool(name)
        # Beside the binary, whose folder is named after everything it is made from.
        folder = binary.with_name(f".{name}.oci")
        if not (folder / "index.json").exists():
            write_static(folder, {f"/{name}": binary}, entrypoint=[f"/{name}"], user=user)
        load_layout(instance, record, Layout(folder), reference)


def load_named(instance: Instance, record: Record, name: str) -> bool:
    """Loads an image that hack/images/build has made.

    Args:
        instance: the cluster.
        record: its node.
        name: `gallery-operator` or `localhost/gallery-operator:dev`.

    Returns:
        Whether anything had to be loaded.

    Raises:
        ClusterError: there is no such image.
    """
    short = name.removeprefix("localhost/").removesuffix(":dev")
    layout = Layout(instance.cache / "images" / "layout", short)
    for _ in range(5):
        if not layout.exists():
            break
        try:
            return load_layout(instance, record, layout, f"localhost/{short}:dev")
        except FileNotFoundError:
            # A build has just replaced the image, and removed what the older one was made of.
            continue
    raise ClusterError(f"there is no image '{name}': 'hack/images/build' makes images, or give an archive's path")


def load_layout(instance: Instance, record: Record, layout: Layout, reference: str) -> bool:
    """Loads an image, sending only those parts of it that the node does not have.

    Returns:
        Whether anything had to be loaded.

    Raises:
        ClusterError: containerd refused it.
    """
    digest = layout.descriptor["digest"]
    listed = run([*ctr(record), "images", "list", f"name=={reference}"])
    if any(line.split()[:1] == [reference] and digest in line.split() for line in listed.splitlines()[1:]):
        return False
    present = frozenset(run([*ctr(record), "content", "list", "--quiet"]).split())
    with tempfile.TemporaryFile(dir=instance.state) as stream:
        layout.write_tar(stream, reference, without=present)
        stream.seek(0)
        load_archive(instance, record, stream)
    return True


def load_archive(instance: Instance, record: Record, stream: IO[bytes]) -> str:
    """Loads all images of an archive, as `docker save` or `buildah push oci-archive:` write it.

    Raises:
        ClusterError: containerd refused it.
    """
    command = [*ctr(record), "images", "import", "--snapshotter", node.snapshotter(instance), "-"]
    done = subprocess.run(command, stdin=stream, capture_output=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"containerd did not take the image: {done.stderr.decode(errors='replace').strip()[-2000:]}")
    return done.stdout.decode(errors="replace")
