"""Scenarios that run at the same time, each reported as a test of its own.

An import or a replication is mostly waiting, so a dozen of them on one cluster take hardly longer than one. A test
function that is marked with ``@scenario`` takes a ``Sandbox``; when the first of the selected scenarios is to run, all
are started, a few at a time, and each test item then waits for its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from tests.support.e2e import leaks
from tests.support.e2e.cluster import Cluster
from tests.support.e2e.sandbox import Sandbox

AT_ONCE = 7
_BODY, _GROUP, _LONG = "_scenario_body", "_scenario_group", "_scenario_long"
Body = Callable[..., None]


def scenario(function: Body) -> Callable[..., None]:
    """Turn a function of a sandbox (and of parameters) into a test that runs beside others."""
    return _wrapped(function, "calm")


def long_scenario(function: Body) -> Callable[..., None]:
    """Do the same for one that takes long: it is begun before the others, so that nobody waits for it at the end."""
    test = scenario(function)
    setattr(test, _LONG, True)
    return test


def under_fire(function: Body) -> Callable[..., None]:
    """Turn a function of a sandbox into a test that runs beside others while the operator is killed."""
    return _wrapped(function, "killed")


def _wrapped(function: Body, group: str) -> Callable[..., None]:
    fixture = f"{group}_scenarios"

    def test(**fixtures: Any) -> None:
        fixtures[fixture].result(fixtures["request"].node)

    # What pytest sees: the group's fixture, and the function's own parameters for `parametrize`.
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
        for name in ("request", fixture, *list(inspect.signature(function).parameters)[1:])
    ]
    test.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    test.__name__, test.__doc__, test.__module__ = function.__name__, function.__doc__, function.__module__
    setattr(test, _BODY, function)
    setattr(test, _GROUP, group)
    return test


def group_of(item: pytest.Item) -> str:
    """Return ``calm``, ``killed``, or an empty text for a test that is no scenario."""
    return getattr(getattr(item, "function", None), _GROUP, "")


class Scenarios:
    """Runs the selected scenarios of one group."""

    def __init__(self, cluster: Cluster, items: list[pytest.Item], about: Callable[[], str] = lambda: "") -> None:
        """Start scenarios, a few at a time: first the long ones, then the others in their order.

        Args:
            cluster: Where.
            items: Their tests.
            about: What went on meanwhile, for the message of a failure.
        """
        self._about = about
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="scenario")
        self._futures: dict[str, Future[None]] = {}
        for item in sorted(items, key=lambda each: not hasattr(each.function, _LONG)):  # type: ignore[attr-defined]
            parameters = dict(item.callspec.params) if hasattr(item, "callspec") else {}
            body = getattr(item.function, _BODY)  # type: ignore[attr-defined]
            self._futures[item.nodeid] = self._pool.submit(_run, cluster, item.name, body, parameters)

    def result(self, item: pytest.Item) -> None:
        """Wait for a scenario and raise what it raised."""
        try:
            self._futures[item.nodeid].result()
        except BaseException as error:
            if told := self._about():
                error.add_note(told)
            raise

    def stop(self) -> None:
        """Start no more scenarios and wait for those that run."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _run(cluster: Cluster, name: str, body: Body, parameters: dict[str, Any]) -> None:
    with Sandbox.make(cluster, name) as sandbox:
        body(sandbox, **parameters)
        leaked = leaks.in_namespace(cluster.kube, sandbox.namespace, cluster.secrets)
        assert not leaked, "\n".join(leaked)
        sandbox.clean()
