"""What the Helm chart renders from several sets of values."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import yaml
from tests.support.apiserver import ROOT, tool
from tests.support.chart import CHART, GUID, NAMESPACE, VALUE_SETS, ChartError, Rendered, render

from gallery_operator import metrics
from gallery_operator.cli import _parser
from gallery_operator.runtime.census import Census

TOKEN_FILE = "/var/run/secrets/azure/tokens/azure-identity-token"
CA_FILE = "/etc/gallery-operator/ca/ca.crt"


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rendered]:
    return {name: render(tmp_path_factory.mktemp(name), values) for name, values in VALUE_SETS.items()}


@pytest.fixture(params=sorted(VALUE_SETS))
def release(releases: dict[str, Rendered], request: pytest.FixtureRequest) -> Rendered:
    return releases[request.param]


def test_lint() -> None:
    done = subprocess.run([tool("helm"), "lint", "--strict", CHART], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_pod_fits_the_restricted_profile(release: Rendered) -> None:
    pod, container = release.pod["spec"], release.container
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    allowed = {"configMap", "emptyDir", "projected", "secret"}
    assert all(set(volume) - {"name"} <= allowed for volume in pod["volumes"])
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


def test_arguments_are_understood_by_the_program(release: Rendered) -> None:
    options = _parser().parse_args(release.container["args"])
    assert options.command == "run"
    assert options.leader_election_namespace == NAMESPACE
    ports = {port["name"]: port["containerPort"] for port in release.container["ports"]}
    assert ports == {"health": options.health_port, "metrics": options.metrics_port}


def test_every_option_of_the_program_can_be_set(releases: dict[str, Rendered]) -> None:
    run = next(action for action in _parser()._actions if action.dest == "command").choices["run"]  # type: ignore[index]
    options = {action.option_strings[0] for action in run._actions if action.option_strings}
    used = {argument.split("=")[0] for release in releases.values() for argument in release.container["args"]}
    # What makes no sense in a pod.
    assert options - used == {"-h", "--kubeconfig", "--no-leader-election"}


def test_values_reach_the_arguments(releases: dict[str, Rendered]) -> None:
    options = _parser().parse_args([*releases["everything"].container["args"]])
    assert options.namespace == ["team-a"]
    assert options.cluster_name == "blue"
    assert (options.workers, options.resync_seconds, options.poll_seconds) == (4, 60, 0.5)
    assert (options.log_format, options.log_level) == ("text", "info")  # extraArgs come last
    assert options.worker_image == "registry.example/worker:1"
    assert options.worker_image_pull_policy == "Always"
    assert options.worker_service_account == "imports"
    assert options.allowed_source_cidr == ["10.20.0.0/16", "fd00::/8"]
    assert options.allowed_source_host == ["*.corp.example"]
    assert options.scratch_storage_class == "fast"
    assert releases["everything"].container["image"] == "registry.example/gallery-operator@sha256:" + "a" * 64
    # The Jobs run the operator's image unless told otherwise.
    default = _parser().parse_args(releases["default"].container["args"])
    assert default.worker_image == releases["default"].container["image"] == "localhost/gallery-operator:dev"
    assert default.namespace == []


def test_a_proxy_is_for_all_but_the_cluster(releases: dict[str, Rendered]) -> None:
    environment = {each["name"]: each.get("value") for each in releases["everything"].container["env"]}
    assert environment["HTTPS_PROXY"] == "http://proxy.corp.example:3128"
    assert environment["NO_PROXY"].split(",")[:2] == [".corp.example", "$(KUBERNETES_SERVICE_HOST)"]
    assert not {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"} & {
        each["name"] for each in releases["default"].container["env"]
    }


def test_selectors_find_the_pod(release: Rendered) -> None:
    labels = release.pod["metadata"]["labels"].items()
    selectors = [release.one("Deployment")["spec"]["selector"]["matchLabels"]]
    selectors += [each["spec"]["selector"] for each in release.of("Service")]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in release.of("PodDisruptionBudget")]
    own = [each for each in release.of("NetworkPolicy") if each["metadata"]["namespace"] == NAMESPACE]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in own]
    for selector in selectors:
        assert selector.items() <= labels
    for monitor in release.of("ServiceMonitor"):
        assert (
            monitor["spec"]["selector"]["matchLabels"].items() <= release.one("Service")["metadata"]["labels"].items()
        )
        assert monitor["spec"]["endpoints"][0]["port"] in [p["name"] for p in release.one("Service")["spec"]["ports"]]


def test_no_identity_by_default(releases: dict[str, Rendered]) -> None:
    release = releases["default"]
    assert set(release.env) == {"POD_ID", "POD_NAMESPACE"}
    assert "azure.workload.identity/use" not in release.pod["metadata"]["labels"]
    assert "annotations" not in release.one("ServiceAccount")["metadata"]


def test_workload_identity(releases: dict[str, Rendered]) -> None:
    release = releases["workload-identity"]
    assert release.pod["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert release.one("ServiceAccount")["metadata"]["annotations"] == {
        "azure.workload.identity/client-id": GUID,
        "azure.workload.identity/tenant-id": GUID,
        "azure.workload.identity/service-account-token-expiration": "3600",
    }
    # The webhook sets this one.
    assert "AZURE_FEDERATED_TOKEN_FILE" not in release.env


def test_projected_token(releases: dict[str, Rendered]) -> None:
    release = releases["projected-token"]
    assert "azure.workload.identity/use" not in release.pod["metadata"]["labels"]
    assert release.env["AZURE_FEDERATED_TOKEN_FILE"] == TOKEN_FILE
    assert release.env["AZURE_CLIENT_ID"] == release.env["AZURE_TENANT_ID"] == GUID
    volume = next(each for each in release.pod["spec"]["volumes"] if each["name"] == "azure-identity-token")
    token = volume["projected"]["sources"][0]["serviceAccountToken"]
    assert token == {
        "audience": "api://AzureADTokenExchange",
        "expirationSeconds": 3600,
        "path": "azure-identity-token",
    }


def test_credential_secret(releases: dict[str, Rendered]) -> None:
    env = releases["credential-secret"].env
    # A value of the chart goes before the Secret's.
    assert env["AZURE_SUBSCRIPTION_ID"] == GUID
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE"):
        assert env[name] == {"secretKeyRef": {"name": "azure", "key": name, "optional": True}}


def test_cloud_and_ca(releases: dict[str, Rendered]) -> None:
    release = releases["sovereign"]
    assert release.env["AZURE_AUTHORITY_HOST"] == "https://login.microsoftonline.us"
    assert release.env["AZURE_RESOURCE_MANAGER_ENDPOINT"] == "https://management.usgovcloudapi.net"
    assert release.env["AZURE_RESOURCE_MANAGER_AUDIENCE"] == "https://management.core.usgovcloudapi.net"
    assert release.env["GALLERY_OPERATOR_STORAGE_API_VERSION"] == "2025-01-05"
    assert release.env["GALLERY_OPERATOR_AZURE_RATE_FACTOR"] == "0.5"
    assert release.env["SSL_CERT_FILE"] == release.env["REQUESTS_CA_BUNDLE"] == CA_FILE
    assert "BEGIN CERTIFICATE" in release.one("ConfigMap")["data"]["ca.crt"]
    volume = next(each for each in release.pod["spec"]["volumes"] if each["name"] == "ca")
    assert volume["configMap"]["name"] == release.one("ConfigMap")["metadata"]["name"]
    existing = releases["everything"]
    volume = next(each for each in existing.pod["spec"]["volumes"] if each["name"] == "ca")
    assert volume["configMap"] == {"name": "corporate-ca", "items": [{"key": "bundle.pem", "path": "ca.crt"}]}
    assert not existing.of("ConfigMap")


def test_no_wildcards_and_no_listing_of_secrets(release: Rendered) -> None:
    rules = [rule for kind in ("Role", "ClusterRole") for role in release.of(kind) for rule in role["rules"]]
    for rule in rules:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        if "secrets" in rule["resources"]:
            assert rule["resources"] == ["secrets"]
            assert not {"list", "watch", "deletecollection"} & set(rule["verbs"])


def test_named_namespaces_need_no_cluster_role(releases: dict[str, Rendered]) -> None:
    release = releases["namespaces"]
    bound = {each["roleRef"]["name"] for each in release.of("ClusterRoleBinding")}
    assert not bound
    # Those that are left belong to users, by aggregation.
    for role in release.of("ClusterRole"):
        assert any("aggregate-to" in label for label in role["metadata"]["labels"])
        assert {group for rule in role["rules"] for group in rule["apiGroups"]} == {"gallery-operator.dev"}
    roles = {role["metadata"]["namespace"] for role in release.of("Role", "gallery-operator")}
    assert roles == {"team-a", "team-b"}


def test_bindings_name_the_service_account(release: Rendered) -> None:
    for binding in release.of("RoleBinding") + release.of("ClusterRoleBinding"):
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": release.pod["spec"]["serviceAccountName"], "namespace": NAMESPACE}
        ]


def test_jobs_network_policies(releases: dict[str, Rendered]) -> None:
    release = releases["everything"]
    policies = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"] for each in release.of("NetworkPolicy")
    }
    assert {namespace for namespace, _ in policies} == {NAMESPACE, "team-a", "team-c"}
    prepare = policies["team-a", "gallery-operator-prepare"]
    upload = policies["team-a", "gallery-operator-upload"]
    public = next(rule["to"][0]["ipBlock"] for rule in prepare["egress"] if "to" in rule)
    assert {"169.254.0.0/16", "168.63.129.16/32", "10.0.0.0/8"} <= set(public["except"])
    blocks = [peer["ipBlock"]["cidr"] for rule in prepare["egress"] for peer in rule.get("to", [])]
    assert blocks == ["0.0.0.0/0", "2000::/3", "10.20.0.0/16", "fd00::/8"]
    ports = [port["port"] for rule in upload["egress"] if "to" in rule for port in rule["ports"]]
    assert ports == [443, 10000]
    for policy in (prepare, upload):
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        peer = policy["ingress"][0]["from"][0]
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": NAMESPACE}
        assert peer["podSelector"]["matchLabels"].items() <= release.pod["metadata"]["labels"].items()


def test_jobs_network_policies_select_the_jobs_pods(releases: dict[str, Rendered]) -> None:
    from tests.support import samples

    from gallery_operator.api import VhdImport
    from gallery_operator.planning.jobs import labels

    sample: dict[str, Any] = samples.minimal("VhdImport")
    sample["metadata"]["namespace"] = "team-a"
    for policy in releases["namespaces"].of("NetworkPolicy"):
        selector = policy["spec"]["podSelector"]["matchLabels"]
        if policy["metadata"]["namespace"] != NAMESPACE:
            pod = labels(VhdImport.model_validate(sample), selector["app.kubernetes.io/component"])
            assert selector.items() <= pod.items()


def test_crds_are_those_of_the_checkout(releases: dict[str, Rendered]) -> None:
    for document in releases["default"].of("CustomResourceDefinition"):
        assert document["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        plural = document["spec"]["names"]["plural"]
        assert document == yaml.safe_load((ROOT / f"crds/{plural}.yaml").read_text())
    assert len(releases["default"].of("CustomResourceDefinition")) == 4
    assert not releases["bare"].of("CustomResourceDefinition")


def test_crds_need_not_be_kept(tmp_path: Path) -> None:
    for document in render(tmp_path, {"crds": {"keep": False}}).of("CustomResourceDefinition"):
        assert "annotations" not in document["metadata"]


def test_drain_is_never_held_up(releases: dict[str, Rendered]) -> None:
    spec = releases["default"].one("PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == 1
    assert "minAvailable" not in spec


def test_rollout_does_not_wait_for_the_lease(release: Rendered) -> None:
    assert release.one("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 1


def test_everything_can_be_left_out(releases: dict[str, Rendered]) -> None:
    assert [each["kind"] for each in releases["bare"]] == ["Deployment"]
    assert releases["bare"].pod["spec"]["serviceAccountName"] == "existing"


def test_alerts_use_metrics_that_exist(releases: dict[str, Rendered]) -> None:
    known = set()
    for family in [*prometheus_client.REGISTRY.collect(), *Census().collect()]:
        known |= {family.name, f"{family.name}_total", f"{family.name}_bucket"}
    rules = releases["everything"].one("PrometheusRule")["spec"]["groups"][0]["rules"]
    assert len(rules) == len({rule["alert"] for rule in rules}) >= 8
    for rule in rules:
        used = set(re.findall(rf"\b{metrics.PREFIX}_\w+", rule["expr"] + rule["annotations"]["runbook"]))
        assert used <= known, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["labels"]["team"] == "platform"
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"watchNamespace": ["a"]}, "watchNamespace"),
        ({"replicaCount": "two"}, "replicaCount"),
        ({"operator": {"logFormat": "xml"}}, "logFormat"),
        ({"worker": {"allowedSourceCidrs": ["10.0.0.1"]}}, "allowedSourceCidrs"),
        ({"azure": {"resourceManagerEndpoint": "http://management.azure.com"}}, "resourceManagerEndpoint"),
        ({"azure": {"caBundle": "ca.crt"}}, "caBundle"),
        ({"azure": {"workloadIdentity": {"enabled": True}}}, "needs azure.clientId"),
        (
            {"azure": {"workloadIdentity": {"enabled": True, "mode": "projected"}, "clientId": GUID}},
            "projected needs azure.tenantId",
        ),
        (
            {"azure": {"workloadIdentity": {"enabled": True}, "clientId": GUID, "credentialSecret": "a"}},
            "set one of azure.workloadIdentity.enabled and azure.credentialSecret",
        ),
        (
            {"azure": {"caBundle": "-----BEGIN CERTIFICATE-----", "caBundleConfigMap": {"name": "a"}}},
            "set one of azure.caBundle and azure.caBundleConfigMap.name",
        ),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is needed"),
        (
            {"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}},
            "metrics.serviceMonitor.enabled needs metrics.service.enabled",
        ),
    ],
)
def test_bad_values_are_refused(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ChartError, match=re.escape(message)):
        render(tmp_path, values)


def test_schema_knows_every_value() -> None:
    """Helm checks the chart's own values against the schema, which allows no others: nothing may be missing there."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def differences(schema: dict[str, Any], values: Any, path: str) -> list[str]:
        if "properties" not in schema:
            return []
        names = set(schema["properties"]) - {"global"}
        own = [f"{path}.{name}" for name in names ^ set(values)]
        common = [(schema["properties"][name], values[name], f"{path}.{name}") for name in names & set(values)]
        return own + [each for inner in common for each in differences(*inner)]

    assert not differences(schema, values, "")
