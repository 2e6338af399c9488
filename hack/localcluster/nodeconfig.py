"""Configuration files of the node's own programs: containerd, CNI, kubelet, kube-proxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hack.localcluster.instance import DNS_SERVICE_IP, POD_CIDR, Instance

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
PAUSE_IMAGE = "localhost/pause:dev"


def containerd(instance: Instance, *, cni_plugins: Path, snapshotter: str, restrict_oom: bool) -> str:
    """Makes containerd's configuration, in a form that 1.6 to 2.x read.

    AppArmor is off: containerd would load a profile into the machine's kernel, where it would stay.

    Args:
        instance: the cluster.
        cni_plugins: folder with the CNI plugins.
        snapshotter: `overlayfs`, or `native` where the state folder's file system cannot carry that.
        restrict_oom: whether this machine may not lower OOM scores; without it every sandbox would fail there
            with "can't get final child's PID from pipe: EOF".
    """
    return f"""\
version = 2
root = "{instance.state}/containerd"
state = "/run/containerd"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = {str(restrict_oom).lower()}
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_plugins}"
    conf_dir = "{instance.conf}/cni"
"""


def cni() -> str:
    """Pod network: a routed link for each pod.

    Not a bridge: what goes from pod to pod through a service would bypass the node's address translation on its
    way back, unless the kernel has the module br_netfilter.
    """
    plugins = [
        {
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/cni-addresses",
                "ranges": [[{"subnet": POD_CIDR}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}, indent=1)


def kubelet(instance: Instance) -> str:
    """The kubelet's configuration."""
    config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{instance.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{instance.pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{instance.pki}/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{instance.cgroup}/pods",
        "enforceNodeAllocatable": ["none"],
        "oomScoreAdj": 0,
        "failSwapOn": False,
        "clusterDNS": [DNS_SERVICE_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{instance.conf}/resolv.conf",
        "podLogsDir": f"{instance.state}/pod-logs",
        "volumePluginDir": f"{instance.state}/kubelet/volume-plugins",
        "makeIPTablesUtilChains": False,
        # The disk is the machine's, and full or busy for reasons that are not this cluster's.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "imageMinimumGCAge": "24h",
        "shutdownGracePeriod": "0s",
    }
    return json.dumps(config, indent=1)


def kube_proxy(kubeconfig: Path, *, nftables: bool) -> str:
    """kube-proxy's configuration; it leaves the kernel's connection tracking limits alone."""
    config: dict[str, Any] = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "mode": "nftables" if nftables else "iptables",
        "clusterCIDR": POD_CIDR,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        # A second by default, in which a new service cannot be reached.
        "nftables": {"minSyncPeriod": "50ms"},
        "iptables": {"minSyncPeriod": "50ms"},
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
    return json.dumps(config, indent=1)
