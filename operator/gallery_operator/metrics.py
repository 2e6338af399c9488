"""Prometheus metrics of the operator. Every label is bounded: kinds, outcomes, operations, codes, regions.

Object names are never labels; regions are (Azure has some sixty). What the objects' states are is counted by
``runtime/census.py`` when it is asked for.
"""

from prometheus_client import Counter, Gauge, Histogram

PREFIX = "gallery_operator"

RECONCILES = Counter(
    f"{PREFIX}_reconcile_total",
    "Reconciliations by kind and outcome (done, waiting, retry, stalled, error).",
    ["kind", "outcome"],
)
RECONCILE_SECONDS = Histogram(
    f"{PREFIX}_reconcile_duration_seconds",
    "Duration of a reconciliation by kind.",
    ["kind"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
QUEUE_DEPTH = Gauge(f"{PREFIX}_queue_depth", "Keys that wait to be reconciled now, by kind.", ["kind"])
QUEUE_OLDEST_SECONDS = Gauge(f"{PREFIX}_queue_oldest_seconds", "Age of the key that waits longest.")
KUBERNETES_WRITES = Counter(
    f"{PREFIX}_kubernetes_writes_total", "Writes to the Kubernetes API by kind and verb.", ["kind", "verb"]
)
DRIFT_CORRECTIONS = Counter(
    f"{PREFIX}_drift_corrections_total", "Differences between spec and Azure that were corrected, by kind.", ["kind"]
)
EVENTS = Counter(f"{PREFIX}_events_total", "Events posted, by type.", ["type"])

AZURE_REQUESTS = Counter(
    f"{PREFIX}_azure_requests_total", "Requests to Azure by operation and answer.", ["operation", "code"]
)
AZURE_THROTTLE_SECONDS = Counter(
    f"{PREFIX}_azure_throttle_wait_seconds_total",
    "Seconds that requests waited, by our own limiter or because Azure asked to.",
    ["operation"],
)

IMPORT_BYTES_UPLOADED = Counter(f"{PREFIX}_import_uploaded_bytes_total", "Bytes sent to Azure by finished upload pods.")
IMPORT_BYTES_COPIED = Counter(
    f"{PREFIX}_import_copied_bytes_total", "Bytes that Azure has copied from source blobs by itself."
)
IMPORT_BYTES_SKIPPED = Counter(f"{PREFIX}_import_skipped_bytes_total", "Zero bytes that need not be sent.")
IMPORT_BYTES_READ_BACK = Counter(
    f"{PREFIX}_import_read_back_bytes_total", "Bytes read back from Azure and compared by finished upload pods."
)
IMPORT_BYTES_REPAIRED = Counter(
    f"{PREFIX}_import_repaired_bytes_total",
    "Bytes that Azure's storage had acknowledged and lost or damaged, mended by finished upload pods.",
)
IMPORT_ATTEMPTS = Counter(f"{PREFIX}_import_attempts_total", "Pods of ended import Jobs by step.", ["step"])
IMPORT_RETRIED_REQUESTS = Counter(
    f"{PREFIX}_import_retried_requests_total",
    "Requests to sources and Azure that the last pods of ended import Jobs had to repeat, by step.",
    ["step"],
)
IMPORT_FAILURES = Counter(f"{PREFIX}_import_failures_total", "Failed import pods by step and code.", ["step", "code"])
PREREQUISITE_CHECKS = Counter(
    f"{PREFIX}_prerequisite_checks_total",
    "Checks of disks by id and result (pass, failure, warning, info, unknown, ignored); those that do not apply are "
    "not counted.",
    ["check", "result"],
)
REGION_REPAIRS = Counter(
    f"{PREFIX}_region_repairs_total", "Regions taken out and added again after a failure.", ["region"]
)
VERSIONS_RESTORED = Counter(f"{PREFIX}_versions_restored_total", "Soft-deleted versions that were brought back.")
RETENTION_DELETIONS = Counter(
    f"{PREFIX}_retention_deletions_total", "Deletions begun by retention: versions in Azure, or objects.", ["what"]
)
QUOTA_USED = Gauge(
    f"{PREFIX}_quota_used",
    "What is used of a limit of a subscription in a region (Galleries, ImageDefinitions, ImageVersions).",
    ["subscription", "region", "resource"],
)
QUOTA_LIMIT = Gauge(
    f"{PREFIX}_quota_limit",
    "The limit of a subscription in a region (Galleries, ImageDefinitions, ImageVersions).",
    ["subscription", "region", "resource"],
)
LEADER = Gauge(f"{PREFIX}_leader", "1 while this process holds the lease.")
