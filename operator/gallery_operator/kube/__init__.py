"""Gateway to the Kubernetes API; the only importer of the ``kubernetes`` client."""

from gallery_operator.kube.errors import KubeError, KubeReason
from gallery_operator.kube.gateway import KubeGateway
from gallery_operator.kube.paths import ResourcePath, path_of

__all__ = ["KubeError", "KubeGateway", "KubeReason", "ResourcePath", "path_of"]
