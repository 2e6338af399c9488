"""CMD003, CMD004, CMD006, CMD010-CMD012, CMD014: more of the command line, and GRUB's configuration."""

import re

from gallery_operator.prerequisites.checks.scopes import FLATCAR, RED_HAT, families, listed
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import II, IW, WW, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.registry import LATEST, AppliesTo, check

_GEN = "Prepare Linux for imaging in Azure (create-upload-generic)"
_ADD = {
    "": "Add {} to GRUB_CMDLINE_LINUX in /etc/default/grub, then: grub2-mkconfig -o /boot/grub2/grub.cfg",
    "rhel": 'grubby --update-kernel=ALL --args="{}"',
    "debian": "Add {} to GRUB_CMDLINE_LINUX in /etc/default/grub, then: update-grub",
    "ubuntu": "Add {} to GRUB_CMDLINE_LINUX in /etc/default/grub, then: update-grub",
}
_INITRAMFS_TOOLS = ("debian", "ubuntu")
_SERIAL = 'GRUB_SERIAL_COMMAND="serial --speed=115200 --unit=0 --word=8 --parity=no --stop=1"'
_CONFIGS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/efi/EFI/*/grub.cfg")
_TERMINALS = ("GRUB_TERMINAL", "GRUB_TERMINAL_OUTPUT")
_REGENERATE = {
    "": "grub2-mkconfig -o /boot/grub2/grub.cfg",
    "debian": "update-grub",
    "ubuntu": "update-grub",
    "rhel": "grub2-mkconfig -o /boot/grub2/grub.cfg --update-bls-cmdline (RHEL 9.3 and later), or grubby "
    "--update-kernel=ALL --args=…",
}


def _adding(words: str) -> dict[str, str]:
    return {family: text.format(words) for family, text in _ADD.items()}


@check(
    "CMD003",
    "rootdelay is set where it helps, and only there",
    levels=IW,
    source=f"{_GEN} 1; CentOS, Ubuntu articles; Marketplace certification test 40; measured",
    remedy={
        **_adding("rootdelay=300"),
        "debian": "Remove rootdelay= from /etc/default/grub, then: update-grub",
        "ubuntu": "Remove rootdelay= from /etc/default/grub, then: update-grub",
    },
    applies=AppliesTo(except_distributions=FLATCAR),
    cases=(
        (WW, "it is missing on CentOS, whose article asks for it"),
        (WW, "it is set on Debian or Ubuntu, whose initramfs waits all that time at every boot"),
    ),
)
def rootdelay(guest: Guest) -> Outcome:
    """Dracut waits for the root up to this long; initramfs-tools sleeps all of it (305 seconds a boot, measured)."""
    values = guest.boot.values("rootdelay")
    text = f"{guest.boot.source}: rootdelay={values[-1] if values else 'not set'}"
    if guest.family in _INITRAMFS_TOOLS:
        return failed(text, WW) if values else passed(text)
    if values:
        return passed(text)
    return failed(text, WW if guest.family == "centos" else IW)


@check(
    "CMD004",
    "network cards keep the names eth0, eth1",
    levels=WW,
    source=f"{_GEN} 1; Red Hat, Oracle (7 and later), CentOS 7 articles",
    remedy=_adding("net.ifnames=0"),
    applies=families(*RED_HAT, versions=dict.fromkeys(sorted(RED_HAT), (7, LATEST))),
)
def names(guest: Guest) -> Outcome:
    """The configuration is for eth0; without net.ifnames=0 the card may get another name."""
    values = guest.boot.values("net.ifnames")
    text = f"{guest.boot.source}: net.ifnames={values[-1] if values else 'not set'}"
    return passed(text) if values[-1:] == ["0"] else failed(text)


@check(
    "CMD006",
    "no memory is set aside by crashkernel=auto",
    levels=II,
    source=f"{_GEN} 1 (can be left configured if desired)",
    remedy={"": "Remove crashkernel=auto", "rhel": 'grubby --update-kernel=ALL --remove-args="crashkernel=auto"'},
    applies=families(*RED_HAT),
)
def crash_kernel(guest: Guest) -> Outcome:
    """It costs 128 MiB or more, which small sizes miss."""
    automatic = "auto" in guest.boot.values("crashkernel")
    return failed(f"{guest.boot.source}: crashkernel=auto") if automatic else passed("not set to auto")


@check(
    "CMD010",
    "GRUB's menu is on the serial console",
    levels=WW,
    source="Prepare a Red Hat VHD for Azure; SUSE 2",
    remedy=f'Set GRUB_TERMINAL="console serial" and {_SERIAL} in /etc/default/grub, then: '
    "grub2-mkconfig -o /boot/grub2/grub.cfg",
    applies=families("rhel", "sles"),
)
def serial(guest: Guest) -> Outcome:
    """Azure's serial console is the only screen; to boot an older kernel one must see GRUB's menu there."""
    wanted = {name: guest.grub_defaults.get(name, ("", ""))[0] for name in _TERMINALS}
    terminal = next((f"{name}={value}" for name, value in wanted.items() if "serial" in value.split()), None)
    command, where = guest.grub_defaults.get("GRUB_SERIAL_COMMAND", ("", "/etc/default/grub"))
    if terminal and command.startswith("serial"):
        return passed(f"{where}: {terminal}")
    for path in (each for pattern in _CONFIGS for each in guest.tree.glob(pattern)):
        lines = [line for _, line in guest.tree.lines(path)] if guest.tree.is_file(path) else []
        if any(re.match(r"serial\s+--", each) for each in lines) and any(
            re.match(r"terminal_output\b.*\bserial\b", each) for each in lines
        ):
            return passed(path)
    return failed(f"{where}: {terminal or 'GRUB_TERMINAL without serial'}, GRUB_SERIAL_COMMAND={command or 'not set'}")


@check(
    "CMD011",
    "the boot entries have what /etc/default/grub says",
    levels=WW,
    source=f"{_GEN} 2; Red Hat, Oracle articles, notes",
    remedy=_REGENERATE,
    applies=AppliesTo(except_distributions=FLATCAR),
)
def regenerated(guest: Guest) -> Outcome:
    """An option that was added to /etc/default/grub alone has no effect until the configuration is made anew."""
    wanted: list[tuple[str, str]] = []
    for name in ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"):
        value, where = guest.grub_defaults.get(name, ("", ""))
        wanted += [(word, where) for word in value.split() if not re.search(r"[$`\"']", word)]
    if not wanted:
        return not_applicable("/etc/default/grub asks for no options")
    present = set(guest.boot.words())
    lost = [f"{where}: {word}" for word, where in wanted if word not in present]
    return failed(f"{listed(lost)}: not in {guest.boot.source}") if lost else passed(f"as in {guest.boot.source}")


@check(
    "CMD012",
    "the entries in /boot/loader/entries agree",
    levels=WW,
    source="Prepare a Red Hat VHD for Azure, note for RHEL 8 and later; LISA (reads grubenv)",
    remedy="Remove GRUB_ENABLE_BLSCFG=false from /etc/default/grub; then the same options for all kernels: grubby "
    "--update-kernel=ALL --args=…",
    applies=families(*RED_HAT, versions=dict.fromkeys(sorted(RED_HAT), (8, LATEST))),
)
def entries(guest: Guest) -> Outcome:
    """An older kernel's entry without the serial console is noticed when it is needed."""
    value, where = guest.grub_defaults.get("GRUB_ENABLE_BLSCFG", ("true", ""))
    if value.lower() == "false":
        return failed(f"{where}: GRUB_ENABLE_BLSCFG=false")
    usual = [each for each in guest.boot_entries if "rescue" not in each.source]
    if not usual:
        return not_applicable("there are no entries")
    if any("$kernelopts" in each.options for each in usual) and not guest.boot_environment.get("kernelopts"):
        return failed(f"{usual[0].source} uses $kernelopts, but grubenv has none")
    different = sorted({each.source for each in usual if set(each.options.split()) != set(usual[0].options.split())})
    return (
        failed(f"other options than {usual[0].source}: {listed(different)}")
        if different
        else passed(f"{len(usual)} entries")
    )


@check(
    "CMD014",
    "the command line sets no address and names no card by its MAC address",
    levels=WW,
    source="derived: every VM has another address",
    remedy="Remove ip= and ifname= from /etc/default/grub, then write grub.cfg anew.",
    applies=AppliesTo(except_distributions=FLATCAR),
)
def addresses(guest: Guest) -> Outcome:
    """Dracut takes an address from the command line, and the VM then answers at the wrong one."""
    found = [f"ip={each}" for each in guest.boot.values("ip") if re.match(r"(\d{1,3}(\.\d{1,3}){3}|\[)", each)]
    found += [f"ifname={each}" for each in guest.boot.values("ifname")]
    return failed(f"{guest.boot.source}: {', '.join(found)}") if found else passed("neither ip= nor ifname=")
