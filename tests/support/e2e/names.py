"""Names that the end-to-end tests and what they deploy agree on."""

OPERATOR_NAMESPACE = "gallery-operator-system"
RELEASE = "gallery-operator"
SIMULATOR_NAMESPACE = "azure-simulator"
DISKS_NAMESPACE = "gallery-operator-e2e"
DISKS_HOST = f"disks.{DISKS_NAMESPACE}.svc"
SANDBOX_LABEL = "gallery-operator.dev/e2e"
"""Label of the namespaces that scenarios make; what carries it may be removed."""

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-0000000000aa"
CLIENT = "11111111-1111-1111-1111-111111111111"
