"""A web server for disks that misbehaves on request. It runs in a pod, from the operator's image.

- ``/disks/<file>``: a file of the data folder, with ranges and validators
- ``/random/<mebibytes>/<seed>.raw``: a made-up disk with a boot signature, the same for the same seed
- ``/truncated/<file>``: announces the whole file and ends at half of it, every time
- ``/flaky/<tag>/<file>``: drops the first three connections of a tag, each a quarter further; then serves all
- ``/slow/<bytes per second>/<file>``: serves at that rate
- ``/private/<file>``: only with the header ``X-Disk-Token: <token>``, which ``/token`` sets (PUT)
- ``/v2/<repository>/manifests|blobs/<digest>``: a registry: the file ``<digest>``, with ``:`` as ``-``, for who has a
  token as password
- ``/images/<file>``: a bucket: the same as ``/disks/<file>``, for who signs (version 4) with a token as secret key
- ``/redirect?to=<url>``: redirects there
- ``/garbage``: text that is no disk
- ``/qcow2-with-backing-file``: a qcow2 image that wants to be read together with ``/etc/passwd``
- ``/<file>``: the same as ``/disks/<file>``, as the URLs in docs/examples have it
- ``/counts``: how often each path was asked for

The same over TLS, with a certificate of a private CA, on the second port.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import random
import re
import ssl
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

_MIB = 1024 * 1024
_CHUNK = 256 * 1024


@dataclass
class State:
    """What the server knows.

    Attributes:
        data: Folder of its files.
        counts: How often each path was asked for.
        tokens: What opens ``/private/``.
    """

    data: Path
    counts: Counter[str] = field(default_factory=Counter)
    tokens: list[str] = field(default_factory=list)


STATE = web.AppKey("state", State)


def random_disk(mebibytes: int, seed: int) -> bytes:
    """Return a disk with an MBR signature, one partition entry, zeros in its third quarter and noise elsewhere."""
    size = mebibytes * _MIB
    quarter = size // 4
    noise = random.Random(seed)
    disk = bytearray(noise.randbytes(2 * quarter) + bytes(quarter) + noise.randbytes(size - 3 * quarter))
    sector = bytearray(512)
    sectors = size // 512
    sector[446:454] = bytes((0x80, 0, 2, 0, 0x83, 0, 1, 0))
    sector[454:462] = (2048).to_bytes(4, "little") + (sectors - 2048).to_bytes(4, "little")
    sector[510:512] = b"\x55\xaa"
    disk[0:512] = sector
    return bytes(disk)


def _file(request: web.Request) -> Path:
    name = request.match_info["name"]
    path = (request.app[STATE].data / name).resolve()
    if not path.is_relative_to(request.app[STATE].data.resolve()) or not path.is_file():
        raise web.HTTPNotFound(text=f"there is no {name}")
    return path


async def disks(request: web.Request) -> web.StreamResponse:
    """Serve a file as a web server should."""
    return web.FileResponse(_file(request))


async def made_up(request: web.Request) -> web.StreamResponse:
    """Serve a made-up disk."""
    size, seed = int(request.match_info["size"]), int(request.match_info["seed"])
    path = request.app[STATE].data / f".random-{size}-{seed}"
    if not path.exists():
        part = path.with_name(f"{path.name}.{id(request)}")
        content = await asyncio.to_thread(random_disk, size, seed)
        await asyncio.to_thread(part.write_bytes, content)
        part.replace(path)
    return web.FileResponse(path)


async def _send(request: web.Request, *, end: int | None, rate: float | None) -> web.StreamResponse:
    """Serve a file up to an offset and cut the connection there; None: all of it."""
    path = _file(request)
    size = path.stat().st_size
    start = 0
    asked = request.headers.get("Range", "")
    if asked.startswith("bytes="):
        start = int(asked.removeprefix("bytes=").split("-")[0] or 0)
    response = web.StreamResponse(status=206 if asked else 200)
    response.headers["ETag"] = f'"{path.stat().st_mtime_ns:x}"'
    response.headers["Accept-Ranges"] = "bytes"
    if asked:
        response.headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
    response.content_length = size - start
    await response.prepare(request)
    stop = size if end is None else end
    with path.open("rb") as stream:
        stream.seek(start)
        while start < stop and (chunk := await asyncio.to_thread(stream.read, min(_CHUNK, stop - start))):
            await response.write(chunk)
            start += len(chunk)
            if rate is not None:
                await asyncio.sleep(len(chunk) / rate)
    if stop < size and request.transport is not None:
        request.transport.close()
    return response


async def truncated(request: web.Request) -> web.StreamResponse:
    """Serve the first half only."""
    return await _send(request, end=_file(request).stat().st_size // 2, rate=None)


async def flaky(request: web.Request) -> web.StreamResponse:
    """Drop the first three connections of a tag."""
    tag = f"flaky {request.match_info['tag']}"
    request.app[STATE].counts[tag] += 1
    tries = request.app[STATE].counts[tag]
    size = _file(request).stat().st_size
    return await _send(request, end=size * tries // 4 if tries <= 3 else None, rate=None)


async def slow(request: web.Request) -> web.StreamResponse:
    """Serve at a rate."""
    return await _send(request, end=None, rate=float(request.match_info["rate"]))


async def private(request: web.Request) -> web.StreamResponse:
    """Serve with the right header only."""
    tokens = request.app[STATE].tokens
    if not tokens or request.headers.get("X-Disk-Token") not in tokens:
        raise web.HTTPUnauthorized(text="no or a wrong X-Disk-Token")
    return web.FileResponse(_file(request))


async def registry(request: web.Request) -> web.StreamResponse:
    """Serve a manifest or a blob with basic authentication."""
    kind, _, proof = request.headers.get("Authorization", "").partition(" ")
    password = base64.b64decode(proof).decode().partition(":")[2] if kind == "Basic" else ""
    if password not in request.app[STATE].tokens:
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="disks"'})
    return web.FileResponse(request.app[STATE].data / request.match_info["digest"].replace(":", "-"))


async def bucket(request: web.Request) -> web.StreamResponse:
    """Serve a file with a signature."""
    if not any(is_signed(request, secret) for secret in request.app[STATE].tokens):
        raise web.HTTPForbidden(text="<Error><Code>SignatureDoesNotMatch</Code></Error>")
    return web.FileResponse(_file(request))


def is_signed(request: web.Request, secret: str) -> bool:
    """Whether a request has a signature, version 4, with a secret key (Amazon S3 API reference)."""
    match = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=[^/]+/(\d+/[^/]+/s3/aws4_request), ?SignedHeaders=([a-z0-9;-]+), ?Signature=(.+)",
        request.headers.get("Authorization", ""),
    )
    if match is None:
        return False
    scope, names, signature = match.groups()
    headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names.split(";"))
    body = request.headers.get("x-amz-content-sha256", "")
    canonical = "\n".join([request.method, request.raw_path.split("?")[0], request.query_string, headers, names, body])
    moment = request.headers.get("x-amz-date", "")
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(key.hex(), signature)


async def set_token(request: web.Request) -> web.Response:
    """Accept one more token."""
    request.app[STATE].tokens.append((await request.text()).strip())
    return web.Response()


async def redirect(request: web.Request) -> web.StreamResponse:
    """Redirect to anywhere."""
    raise web.HTTPFound(request.query["to"])


async def garbage(request: web.Request) -> web.StreamResponse:
    """Serve what is no disk."""
    return web.Response(body=b"This is not the disk you are looking for.\n" * 50_000)


async def backing(request: web.Request) -> web.StreamResponse:
    """Serve a qcow2 image with a backing file."""
    name = b"/etc/passwd"
    header = bytearray(64 * 1024)
    # QEMU docs/interop/qcow2.txt: magic, version 3, offset and length of the backing file's name, cluster bits, size.
    struct.pack_into(">4sIQIIQ", header, 0, b"QFI\xfb", 3, 512, len(name), 16, 4 * _MIB)
    struct.pack_into(">II", header, 96, 4, 104)  # refcount order, header length
    header[512 : 512 + len(name)] = name
    return web.Response(body=bytes(header))


async def counts(request: web.Request) -> web.Response:
    """Tell how often each path was asked for."""
    return web.json_response(dict(request.app[STATE].counts))


@web.middleware
async def count(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Count a request."""
    request.app[STATE].counts[request.path] += 1
    return await handler(request)


def server(data: Path) -> web.Application:
    """Return the server for a folder of files."""
    application = web.Application(middlewares=[count])
    application[STATE] = State(data)
    application.add_routes(
        [
            web.get("/disks/{name}", disks),
            web.get("/random/{size:\\d+}/{seed:\\d+}.raw", made_up),
            web.get("/truncated/{name}", truncated),
            web.get("/flaky/{tag}/{name}", flaky),
            web.get("/slow/{rate}/{name}", slow),
            web.get("/private/{name}", private),
            web.put("/token", set_token),
            web.get("/v2/{repository:.+}/{kind:manifests|blobs}/{digest:sha256:[0-9a-f]+}", registry),
            web.get("/images/{name}", bucket),
            web.get("/redirect", redirect),
            web.get("/garbage", garbage),
            web.get("/qcow2-with-backing-file", backing),
            web.get("/counts", counts),
            web.get("/{name}", disks),
        ]
    )
    return application


async def serve(data: Path, tls: Path, http: int, https: int) -> None:
    """Serve until the process is ended."""
    runner = web.AppRunner(server(data), access_log=None)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
    await web.TCPSite(runner, "0.0.0.0", http).start()
    await web.TCPSite(runner, "0.0.0.0", https, ssl_context=context).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    environment = os.environ
    asyncio.run(
        serve(Path(environment["DATA"]), Path(environment["TLS"]), int(environment["HTTP"]), int(environment["HTTPS"]))
    )
