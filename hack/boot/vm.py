#!/usr/bin/env python3
"""Boots a disk image under QEMU, in software emulation, until its serial console asks for a login.

    hack/boot/vm.py IMAGE [--generation V1|V2] [--seconds N] [--log FILE]

The image is not written to. V2 boots with OVMF (UEFI), V1 with SeaBIOS. Exit codes: 0 a login prompt was seen,
1 it was not, 2 something is missing.
"""

import argparse
import os
import re
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIRMWARE = ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_CODE.fd")
QEMU = "qemu-system-x86_64"
MEMORY_MIB = 1024
LOGIN = re.compile(rb"login: $")
# What to say while it takes long: the first time a pattern is seen.
STAGES = (
    (re.compile(rb"GNU GRUB|Loading Linux|Booting `"), "boot loader"),
    (re.compile(rb"Linux version"), "kernel"),
    (re.compile(rb"systemd\[1\]"), "systemd"),
    (re.compile(rb"Cloud-init .* running"), "cloud-init"),
    (LOGIN, "login prompt"),
)
# A boot that ends here will not come to a login prompt.
FATAL = re.compile(
    rb"Kernel panic - not syncing|grub rescue>|You are in emergency mode|\(initramfs\) |No bootable device"
)


def command(image: Path, generation: str, work: Path) -> list[str]:
    """QEMU's arguments; raises FileNotFoundError when something is missing."""
    program = shutil.which(QEMU)
    if program is None:
        raise FileNotFoundError(f"{QEMU} is not installed (Debian package qemu-system-x86)")
    line = [program, "-nodefaults", "-no-user-config", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2"]
    line += ["-m", str(MEMORY_MIB), "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot"]
    if generation == "V2":
        code = next((each for each in FIRMWARE if Path(each).exists()), None)
        if code is None:
            raise FileNotFoundError("no UEFI firmware is installed (Debian package ovmf)")
        variables = work / "variables.fd"
        shutil.copy(code.replace("_CODE", "_VARS"), variables)
        line += ["-drive", f"if=pflash,format=raw,readonly=on,file={code}"]
        line += ["-drive", f"if=pflash,format=raw,file={variables}"]
    # Writes go to a temporary file that QEMU deletes.
    line += ["-drive", f"if=virtio,format=raw,snapshot=on,file={image}", "-device", "virtio-rng-pci"]
    return line


def boot(image: Path, generation: str, seconds: float, log: Path) -> int:
    """Boot and wait; says when it reaches what."""
    with tempfile.TemporaryDirectory(prefix="gallery-operator-boot-") as work:
        line = command(image, generation, Path(work))
        started = time.monotonic()
        with log.open("wb") as record, subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": work},
        ) as machine:  # fmt: skip
            try:
                return watch(machine, record, started, seconds)
            finally:
                machine.kill()


def watch(machine: "subprocess.Popen[bytes]", record: object, started: float, seconds: float) -> int:
    """Follow the serial console until a login prompt, a fatal line, the end of QEMU, or the time is over."""
    assert machine.stdout is not None
    console, pending = b"", list(STAGES)
    with selectors.DefaultSelector() as selector:
        selector.register(machine.stdout, selectors.EVENT_READ)
        while (left := started + seconds - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            data = os.read(machine.stdout.fileno(), 65536)
            if not data:
                print(f"QEMU ended: {console[-300:].decode('utf-8', 'replace')}", flush=True)
                return 1
            record.write(data)  # type: ignore[attr-defined]
            console = (console + re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", data))[-20000:]
            took = time.monotonic() - started
            for stage in [each for each in pending if each[0].search(console)]:
                print(f"  {took:6.1f} s  {stage[1]}", flush=True)
                pending.remove(stage)
            if all(each[1] != "login prompt" for each in pending):
                return 0
            if FATAL.search(console):
                print(f"  {took:6.1f} s  {FATAL.search(console)[0].decode()}", flush=True)  # type: ignore[index]
                return 1
    print(f"no login prompt within {seconds:.0f} s", flush=True)
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--generation", choices=["V1", "V2"], default="V2")
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="where the console's text goes")
    options = parser.parse_args()
    try:
        return boot(options.image, options.generation, options.seconds, options.log)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
