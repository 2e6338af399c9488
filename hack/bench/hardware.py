#!/usr/bin/env python3
"""What this machine can do at best, so that one sees beside each figure what is left.

    hack/bench/hardware.py [FOLDER]      and the other benchmarks print the lines that bound them

Each line is one kind of work by one thread in the way the worker does it (4 MiB at a time, the libraries that it uses),
in MiB a second of wall time and in seconds of processor time a GiB. The machine may be shared: the fastest of three
rounds counts. "Read, cold" asks the kernel to forget the file's pages first; what the hypervisor keeps is still fast.
"""

import argparse
import contextlib
import hashlib
import lzma
import multiprocessing
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import zstandard
from awscrt.checksums import crc64nvme
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "operator"))

from gallery_operator.worker.tls import BulkContext

MIB, GIB = 1 << 20, 1 << 30
BLOCK = 4 * MIB
AMOUNT = GIB // 2
ROUNDS = 3

Work = Callable[[], int]
"""Does something and returns of how many bytes."""


def show(name: str, work: Work, note: str = "") -> None:
    """Time some work and print its line."""
    rounds = []
    for _ in range(ROUNDS):
        started, used = time.monotonic(), time.process_time()
        amount = work()
        rounds.append((time.monotonic() - started, time.process_time() - used, amount))
    wall, processor, amount = min(rounds)
    speed, cost = amount / MIB / wall, processor / (amount / GIB)
    print(f"  {name:24} {speed:7.0f} MiB/s {cost:7.2f} s CPU a GiB{note}", flush=True)


def memory_copy() -> None:
    """Copying memory that is too large for the processor's caches."""
    source = memoryview(os.urandom(BLOCK) * 16)
    # A view: assigning to a bytearray itself copies twice.
    target = memoryview(bytearray(len(source)))

    def work() -> int:
        for _ in range(AMOUNT // len(source)):
            target[:] = source
        return AMOUNT

    show("memory copy", work)


def digests(*names: str) -> None:
    """Digests of memory: any of ``SHA-256``, ``CRC-64`` and ``AES-GMAC``."""
    block, cipher = os.urandom(BLOCK), AESGCM(os.urandom(16))
    one_block: dict[str, Callable[[], object]] = {
        "SHA-256": lambda: hashlib.sha256(block).digest(),
        "CRC-64": lambda: crc64nvme(block),
        "AES-GMAC": lambda: cipher.encrypt(bytes(12), b"", block),
    }

    def repeat(once: Callable[[], object]) -> int:
        for _ in range(AMOUNT // BLOCK):
            once()
        return AMOUNT

    for name in names:
        show(name, lambda name=name: repeat(one_block[name]))  # type: ignore[misc]


def disk_read(file: Path) -> None:
    """Reading a file from front to back (at most 512 MiB of data): from the page cache, and without it."""
    buffer = bytearray(BLOCK)

    def read() -> int:
        with file.open("rb", buffering=0) as source:
            done = 0
            while done < AMOUNT and (got := source.readinto(buffer)):
                done += got
        return done

    def read_cold() -> int:
        with file.open("rb") as source:
            os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return read()

    show("disk read, cold", read_cold)
    show("disk read, cached", read)


def disk_write(folder: Path) -> None:
    """Writing a file and making it durable."""
    block = os.urandom(BLOCK)

    def work() -> int:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(AMOUNT // BLOCK):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        return AMOUNT

    show("disk write and fsync", work)


def decompression(*files: Path) -> None:
    """Decompressing the start of ``.xz`` and ``.zst`` files on one core; counted in bytes that come out."""

    def work(file: Path) -> int:
        done = 0
        with lzma.open(file) if file.suffix == ".xz" else zstandard.open(file) as content:
            while done < AMOUNT // 8 and (chunk := content.read(MIB)):  # xz takes seconds for so little
                done += len(chunk)
        return done

    for file in files:
        show(f"decompress {file.name}", lambda file=file: work(file))  # type: ignore[misc]


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1, or find it; return it and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    if not key.exists():
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", str(key), "-out", str(certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
    return certificate, key


def tls() -> None:
    """One TLS connection over loopback to a process that reads and does nothing else: as uploads do it, and by ``ssl``.

    A listing of both shows whether the system's OpenSSL has become as fast as that which uploads use.
    """
    block = os.urandom(BLOCK)
    with tempfile.TemporaryDirectory() as name:
        certificate, key = make_certificate(Path(name), "peer")
        contexts: dict[str, BulkContext | ssl.SSLContext] = {
            "TLS, one connection": BulkContext(certificate),
            f"same by {' '.join(ssl.OPENSSL_VERSION.split()[:2])}": ssl.create_default_context(cafile=certificate),
        }
        for line, context in contexts.items():
            with _drain(certificate, key) as port, socket.create_connection(("127.0.0.1", port)) as plain:
                connection = context.wrap_socket(plain, server_hostname="127.0.0.1")

                def work(send: Callable[[bytes], object] = connection.sendall) -> int:
                    for _ in range(AMOUNT // BLOCK):
                        send(block)
                    return AMOUNT

                show(line, work, "   (sender's CPU)")
                connection.close()


@contextlib.contextmanager
def _drain(certificate: Path, key: Path) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    peer = multiprocessing.get_context("fork").Process(target=_read_all, args=(listener, certificate, key), daemon=True)
    peer.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        peer.terminate()
        peer.join()
        listener.close()


def _read_all(listener: socket.socket, certificate: Path, key: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    plain, _ = listener.accept()
    buffer = bytearray(MIB)
    with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
        while connection.recv_into(buffer):
            pass


def title() -> None:
    """Print the heading, with the load of the machine: what else runs takes from every figure."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"limits of this machine, one thread ({os.cpu_count()} processors, load {load}):", flush=True)


def main() -> int:
    """Print all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="on the disk to measure", default=Path.cwd())
    options = parser.parse_args()
    title()
    memory_copy()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        plain, packed, zstd = Path(name) / "plain", Path(name) / "half.xz", Path(name) / "half.zst"
        with plain.open("wb") as file:
            for _ in range(AMOUNT // BLOCK):
                file.write(os.urandom(BLOCK // 2).hex().encode())
            os.fsync(file.fileno())
        disk_read(plain)
        disk_write(Path(name))
        head = plain.read_bytes()[: 64 * MIB]
        packed.write_bytes(lzma.compress(head, preset=1))
        zstd.write_bytes(zstandard.compress(head))
        decompression(packed, zstd)
    digests("SHA-256", "CRC-64", "AES-GMAC")
    tls()
    return 0


if __name__ == "__main__":
    sys.exit(main())
