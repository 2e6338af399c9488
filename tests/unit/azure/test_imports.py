"""What importing costs: azure.mgmt.compute is 90 MiB, and most of the operator must not pay for it."""

import json
import subprocess
import sys

import pytest

import gallery_operator

ROOT = next(iter(gallery_operator.__path__)).removesuffix("gallery_operator")


def modules_after(statement: str) -> set[str]:
    code = f"import sys, json; sys.path.insert(0, {ROOT!r}); {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", ["errors", "resource_ids", "credentials", "settings", "throttle"])
def test_cheap_modules(module: str) -> None:
    loaded = modules_after(f"import gallery_operator.azure.{module}")
    assert not {"azure.mgmt", "azure.identity", "azure.storage", "aiohttp"} & loaded


def test_gateway_loads_compute_only_when_opened() -> None:
    assert "azure.mgmt.compute" not in modules_after("import gallery_operator.azure.gateway")
