"""CMD001: the kernel command line."""

from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import WE, Outcome, failed, passed
from gallery_operator.prerequisites.registry import check

_LINE = "console=tty1 console=ttyS0 earlyprintk=ttyS0"


@check(
    "CMD001",
    "the kernel speaks on the serial console",
    levels=WE,
    source="Prepare Linux for imaging in Azure (create-upload-generic) 1 and every distribution's article; "
    "Marketplace certification test 40; LISA verify_serial_console_is_enabled",
    remedy={
        "": f'Add "{_LINE}" to GRUB_CMDLINE_LINUX in /etc/default/grub (on arm64 console=ttyAMA0), then: '
        "grub2-mkconfig -o /boot/grub2/grub.cfg",
        "debian": f'Add "{_LINE}" to GRUB_CMDLINE_LINUX in /etc/default/grub, then: update-grub',
        "ubuntu": f'Add "{_LINE}" to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, then: update-grub',
        "rhel": f'grubby --update-kernel=ALL --args="{_LINE}"',
    },
)
def serial_console(guest: Guest) -> Outcome:
    """Azure's boot diagnostics and serial console show what the kernel writes to the first serial port.

    It is the only way to see why a VM does not come up.
    """
    wanted = "ttyAMA0" if guest.profile.architecture == "Arm64" else "ttyS0"
    consoles = guest.boot.values("console")
    where = guest.boot.source
    if any(each.split(",")[0] == wanted for each in consoles):
        return passed(f"{where}: console={wanted}")
    there = ", ".join(f"console={each}" for each in consoles) or "no console="
    return failed(f"{where}: {there}, wanted console={wanted}")
