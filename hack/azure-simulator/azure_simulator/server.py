"""The HTTP server: faults, authentication, headers and errors around the front door."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from .arm import Arm, template
from .blobs import BlobError
from .control import Control
from .engine import Engine
from .entra import TokenRefusedError
from .errors import ArmError
from .faults import Fault
from .journal import Entry, Journal
from .operations import Call, Reply

__all__ = ["build_app", "serve"]

_LOG = logging.getLogger(__name__)
_TICK = 2.0
_MAX_BODY = 4 * 1024 * 1024  # ARM's own limit on request bodies


class Server:
    """Handlers of everything but the control endpoint."""

    def __init__(self, engine: Engine) -> None:
        """Serve an engine."""
        self.engine = engine
        self.arm = Arm(engine)
        self.journal = Journal()
        self._writes_left = 0

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Answer `/{tenant}/oauth2/v2.0/token`."""
        return await self._recorded(request, self._token)

    async def resource(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to ARM."""
        return await self._recorded(request, self._resource)

    async def discovery(self, request: web.Request) -> web.StreamResponse:
        """Answer OpenID discovery, which the synchronous azure-identity asks for."""
        base, tenant = _base(request), request.match_info["tenant"]
        return web.json_response(
            {
                "token_endpoint": f"{base}/{tenant}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/devicecode",
                "issuer": f"https://login.microsoftonline.com/{tenant}/v2.0",
                "tenant_region_scope": "EU",
            }
        )

    async def metadata(self, request: web.Request) -> web.StreamResponse:
        """Answer ARM's list of the cloud's endpoints."""
        base = _base(request)
        return web.json_response(
            {
                "name": "AzureSimulator",
                "resourceManager": base,
                "authentication": {
                    "loginEndpoint": base,
                    "audiences": [base],
                    "tenant": "common",
                    "identityProvider": "AAD",
                },
                "suffixes": {},
            }
        )

    async def health(self, request: web.Request) -> web.StreamResponse:
        """Answer liveness and readiness probes."""
        return web.json_response({"status": "ok"})

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            return web.json_response(self.engine.entra.issue(request.match_info["tenant"], form))
        except TokenRefusedError as refusal:
            return web.json_response(refusal.body, status=refusal.status)

    async def _resource(self, request: web.Request) -> web.Response:
        query = {name.lower(): value for name, value in request.query.items()}
        try:
            caller = self.arm.authorise(request.headers.get("Authorization"))
            call = Call(query.get("api-version", ""), query, _base(request), caller)
            body = await _body(request)
            async with self.engine.lock:
                self.engine.settle()
                left = self.arm.charge(request.method, request.path)
                reply = await self.arm.answer(request.method, request.path, call, body)
                reply.headers.update(left)
        except ArmError as error:
            reply = Reply(error.status, error.body(), error.headers)
        except BlobError as error:
            # The blob service is part of the pretended Azure: its failure is Azure's.
            _LOG.exception("%s %s: blob service failed", request.method, request.path)
            text = f"An internal execution error occurred. Please retry later. ({error})"
            reply = Reply(500, {"error": {"code": "InternalExecutionError", "message": text}})
        except Exception as error:  # noqa: BLE001 - a fault of the simulator; the log has the trace
            _LOG.exception("%s %s failed", request.method, request.path)
            text = f"The Azure simulator failed: {type(error).__name__}. See its log."
            reply = Reply(500, {"error": {"code": "SimulatorFailure", "message": text}})
        return self._render(request, reply)

    def _render(self, request: web.Request, reply: Reply) -> web.Response:
        headers = {"Cache-Control": "no-cache", "Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
        headers.update(reply.headers)
        headers.setdefault("x-ms-request-id", str(uuid.uuid4()))
        correlation = request.headers.get("x-ms-correlation-request-id") or str(uuid.uuid4())
        headers["x-ms-correlation-request-id"] = correlation
        headers["x-ms-routing-request-id"] = (
            f"AZURESIMULATOR:{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}:{correlation}"
        )
        if request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
            headers["x-ms-client-request-id"] = request.headers.get("x-ms-client-request-id", "")
        if reply.body is None or request.method == "HEAD":
            return web.Response(status=reply.status, headers=headers)
        return web.json_response(reply.body, status=reply.status, headers=headers)

    async def _recorded(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        """Apply faults, let the handler answer, and write the journal."""
        started, wall = time.monotonic(), time.time()
        fault = self.engine.faults.take(request.method, request.path)
        status = 0
        try:
            if fault is None:
                response: web.Response = await handler(request)
            else:
                response = await self._faulty(request, fault, handler)
            status = response.status
            return response
        finally:
            self.journal.add(
                Entry(
                    wall,
                    request.method,
                    request.path,
                    template(request.path),
                    status,
                    round(time.monotonic() - started, 4),
                    request.headers.get("x-ms-client-request-id"),
                    fault.id if fault else None,
                )
            )

    async def _faulty(self, request: web.Request, fault: Fault, handler: Callable[[web.Request], Any]) -> web.Response:
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            raise _drop(request)
        if fault.status is not None and fault.drop is None:
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            body = None if fault.code is None else {"error": {"code": fault.code, "message": fault.message}}
            return self._render(request, Reply(fault.status, body, headers))
        response: web.Response = await handler(request)
        if fault.drop == "after":
            raise _drop(request)
        return response


def _drop(request: web.Request) -> asyncio.CancelledError:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return asyncio.CancelledError("fault: connection dropped")


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


async def _body(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    if not raw:
        return {}
    try:
        document = json.loads(raw)
    except ValueError as error:
        raise ArmError(
            400, "InvalidRequestContent", f"The request content was invalid and could not be deserialized: '{error}'."
        ) from None
    if not isinstance(document, dict):
        raise ArmError(400, "InvalidRequestContent", "The request content was invalid: an object is expected.")
    return document


def build_app(engine: Engine) -> web.Application:
    """Return the application that serves an engine; the engine is closed with it."""
    server = Server(engine)

    async def background(app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(_tick(engine))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        engine.close()

    app = web.Application(client_max_size=_MAX_BODY)
    app.add_routes(Control(engine, server.journal).routes())
    app.add_routes(
        [
            web.get("/healthz", server.health),
            web.get("/metadata/endpoints", server.metadata),
            web.post("/{tenant}/oauth2/v2.0/token", server.token),
            web.get("/{tenant}/v2.0/.well-known/openid-configuration", server.discovery),
            web.route("*", "/{path:.*}", server.resource),
        ]
    )
    app.cleanup_ctx.append(background)
    return app


async def _tick(engine: Engine) -> None:
    """Let time take effect and tidy up, also while nobody asks."""
    prepared = False
    while True:
        try:
            async with engine.lock:
                engine.settle()
            if not prepared:
                await engine.prepare_containers()
                prepared = True
            await engine.sweep()
        except BlobError as error:
            _LOG.warning("the blob service is not there yet: %s", error)
        except Exception:  # noqa: BLE001 - the loop must go on; the cause is in the log
            _LOG.exception("background work failed; it is tried again")
        await asyncio.sleep(_TICK)


async def serve(engine: Engine, host: str, port: int, context: ssl.SSLContext, ready: Callable[[int], None]) -> None:
    """Serve until cancelled; `ready` is called with the port once connections are accepted."""
    runner = web.AppRunner(build_app(engine), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=context)
        await site.start()
        ready(int(runner.addresses[0][1]))
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
