"""A TLS server that says what a test tells it to, for what a well-behaved simulator never does."""

import asyncio
import contextlib
import dataclasses
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gallery_operator.azure.credentials import CredentialSpec
from gallery_operator.azure.settings import AzureSettings

CLIENT = "00000000-0000-0000-0000-000000000001"
SUBSCRIPTION = "00000000-0000-0000-0000-00000000000a"
SECRET = "C4nAryClientSecret"
TOKEN = "eyJhbGciOiJub25lIn0.eyJDNG5BcnlUb2tlbiI6MX0.C4nArySignature"
BASE = {
    "AZURE_TENANT_ID": b"tenant",
    "AZURE_CLIENT_ID": CLIENT.encode(),
    "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION.encode(),
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def client_secret(secret: str = SECRET) -> CredentialSpec:
    return CredentialSpec.from_secret({**BASE, "AZURE_CLIENT_SECRET": secret.encode()})


def certificate(folder: Path, *, rsa_key: bool = False) -> tuple[Path, Path]:
    """Make a self-signed certificate for 127.0.0.1; return the paths of certificate and key."""
    key = rsa.generate_private_key(65537, 2048) if rsa_key else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    kind = "rsa" if rsa_key else "ec"
    pem, private = folder / f"{kind}.crt", folder / f"{kind}.key"
    pem.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, private


@dataclass
class Wire:
    """The server: answers scripted by a test, and what it was asked.

    Attributes:
        url: Its address.
        ca: The certificate to trust.
        answers: Method and path to a handler; tried before the token endpoint.
        seen: Method and path (without query) of every request but those for tokens.
        requests: The requests themselves: headers, query.
        bodies: Body of each request, decoded JSON or None.
        token_forms: Forms sent to the token endpoint.
        connections: How many TLS connections were opened.
    """

    url: str = ""
    ca: Path = Path()
    answers: dict[tuple[str, str], Handler] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    token_forms: list[dict[str, str]] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)
    token_answer: Handler | None = None

    def settings(self, **more: Any) -> AzureSettings:
        settings = AzureSettings(
            authority_host=self.url, resource_manager_endpoint=self.url, audience=self.url, ca_bundle=self.ca
        )
        return dataclasses.replace(settings, **more)

    def on(self, method: str, path: str, *answers: tuple[int, Any] | tuple[int, Any, dict[str, str]]) -> None:
        """Answer a request with status, JSON (or text) and headers; the last answer is repeated."""
        queue = list(answers)

        async def handler(_: web.Request) -> web.StreamResponse:
            status, body, *rest = queue.pop(0) if len(queue) > 1 else queue[0]
            headers = {key: value.replace("{url}", self.url) for key, value in (rest[0] if rest else {}).items()}
            if isinstance(body, str):
                return web.Response(status=status, text=body, headers=headers, content_type="text/html")
            if body is None:
                return web.Response(status=status, headers=headers)
            return web.json_response(body, status=status, headers=headers)

        self.answers[(method, path.lower())] = handler

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.connections.add(id(request.transport))
        if request.path.endswith("/oauth2/v2.0/token"):
            form = await request.post()
            self.token_forms.append({key: str(value) for key, value in form.items()})
            if self.token_answer is not None:
                return await self.token_answer(request)
            return web.json_response({"token_type": "Bearer", "expires_in": 3600, "access_token": TOKEN})
        self.seen.append((request.method, request.path))
        self.requests.append(request)
        is_json = request.can_read_body and request.content_type == "application/json"
        self.bodies.append(await request.json() if is_json else None)
        handler = self.answers.get((request.method, request.path.lower()))
        if handler is None:
            error = {"code": "ResourceNotFound", "message": f"{request.path} was not found"}
            return web.json_response({"error": error}, status=404)
        return await handler(request)


@contextlib.asynccontextmanager
async def running_wire(folder: Path) -> AsyncIterator[Wire]:
    pem, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    wire = Wire(ca=pem)
    runner = web.AppRunner(_application(wire), shutdown_timeout=1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    wire.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield wire
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)


def _application(wire: Wire) -> web.Application:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", wire.handle)
    return application
