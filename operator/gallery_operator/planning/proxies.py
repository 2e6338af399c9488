"""Which of the operator's proxy settings the Jobs' pods get."""

from collections.abc import Mapping
from urllib.parse import urlsplit

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_NAMES = (*_PROXIES, "NO_PROXY")


def worker_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for the pods' environment.

    Args:
        environment: The operator's own; names may be in lower case, as elsewhere.

    Returns:
        The variables that are set, in upper case; empty when no proxy is.

    Raises:
        ValueError: A proxy has a user or password, which a pod's environment would show to all who may read pods.
    """
    found = {name: value for name in _NAMES if (value := environment.get(name) or environment.get(name.lower(), ""))}
    if not found.keys() & set(_PROXIES):
        return {}
    for name in found.keys() & set(_PROXIES):
        value = found[name]
        if "@" in urlsplit(value if "://" in value else f"//{value}").netloc:
            raise ValueError(f"{name} has a user or password, which the environment of pods would show")
    return found
