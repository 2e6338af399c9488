"""KRN001-KRN005, KRN010, KRN019: kernel, drivers, initramfs."""

from gallery_operator.prerequisites.checks.scopes import ETC
from gallery_operator.prerequisites.facts.kernel import Driver
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, WE, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.readers.base import NotFoundError, ReadError
from gallery_operator.prerequisites.registry import check

_INITRD = (
    "Prepare Linux for imaging in Azure (create-upload-generic), Install kernel modules without Hyper-V; LISA "
    "verify_initrd_modules"
)
_DRIVERS = "hv_vmbus hv_netvsc hv_storvsc"
_REBUILD = {
    "": f"Put the drivers into the initramfs: echo 'add_drivers+=\" {_DRIVERS} \"' > "
    "/etc/dracut.conf.d/azure.conf; dracut -f --kver VERSION",
    "debian": f"printf '%s\\n' {_DRIVERS} >> /etc/initramfs-tools/modules; update-initramfs -u -k all "
    "(or install linux-image-cloud-amd64, which has them)",
    "ubuntu": "apt-get install linux-azure (its kernel has the drivers), or: printf '%s\\n' "
    f"{_DRIVERS} >> /etc/initramfs-tools/modules; update-initramfs -u -k all",
    "sles": f"echo 'add_drivers+=\" {_DRIVERS} \"' > /etc/dracut.conf.d/azure.conf; mkinitrd",
    "opensuse": f"echo 'add_drivers+=\" {_DRIVERS} \"' > /etc/dracut.conf.d/azure.conf; mkinitrd",
}


@check(
    "KRN001",
    "there is a default kernel with its modules",
    levels=EE,
    source="derived: without a kernel nothing boots",
    remedy={
        "": "Install a kernel and write the boot loader's configuration anew.",
        "debian": "apt-get install linux-image-cloud-amd64; update-grub",
        "ubuntu": "apt-get install linux-azure; update-grub",
        "rhel": "dnf reinstall kernel-core kernel-modules; grub2-mkconfig -o /boot/grub2/grub.cfg",
    },
)
def default_kernel(guest: Guest) -> Outcome:
    """The entry that boots by default must name a kernel that exists, with its folder of modules."""
    try:
        boot = guest.boot
        kernel = guest.kernel
    except NotFoundError as error:
        return failed(str(error))
    return passed(f"{boot.kernel} with {kernel.folder} ({boot.source})")


def _at_boot(guest: Guest, name: str) -> Outcome:
    """A driver that the root file system needs before it is mounted."""
    where = guest.kernel.driver(name)
    text = f"{name} of kernel {guest.kernel.version} is {where}"
    return passed(text) if where in (Driver.BUILTIN, Driver.INITRAMFS) else failed(text)


@check("KRN002", "hv_vmbus is built in or in the initramfs", levels=EE, source=_INITRD, remedy=_REBUILD, applies=ETC)
def vmbus(guest: Guest) -> Outcome:
    """Every device of a Hyper-V guest hangs on the VMBus; without its driver no disk is found."""
    return _at_boot(guest, "hv_vmbus")


@check("KRN003", "hv_storvsc is built in or in the initramfs", levels=EE, source=_INITRD, remedy=_REBUILD, applies=ETC)
def storvsc(guest: Guest) -> Outcome:
    """The driver of the disk; without it the root file system is not found."""
    return _at_boot(guest, "hv_storvsc")


@check(
    "KRN004",
    "hv_netvsc is there, best in the initramfs",
    levels=EE,
    source="Prepare Linux for imaging in Azure (create-upload-generic), system requirements; Red Hat article, "
    "known issues; LISA verify_hyperv_modules",
    remedy=_REBUILD,
    cases=((WE, "a module that is not in the initramfs"),),
    applies=ETC,
)
def netvsc(guest: Guest) -> Outcome:
    """The driver of the network; without it the VM is never reached, and provisioning times out."""
    try:
        where = guest.kernel.driver("hv_netvsc")
    except NotFoundError:
        raise
    except ReadError:
        # It is enough on the root file system; whether it is in the initramfs stays open.
        where = guest.kernel.loadable("hv_netvsc")
    text = f"hv_netvsc of kernel {guest.kernel.version} is {where}"
    if where is Driver.MISSING:
        return failed(text)
    return failed(text, WE) if where is Driver.MODULE else passed(text)


@check(
    "KRN005",
    "hv_utils is there",
    levels=WE,
    source="Time sync for Linux VMs in Azure, integration services; LISA verify_hyperv_modules",
    remedy={
        "": "Install a kernel that has hv_utils (CONFIG_HYPERV_UTILS).",
        "ubuntu": "apt-get install linux-azure",
    },
)
def utils(guest: Guest) -> Outcome:
    """Time synchronisation, orderly shutdown and the key-value channel to the host."""
    where = guest.kernel.loadable("hv_utils")
    text = f"hv_utils of kernel {guest.kernel.version} is {where}"
    return failed(text) if where is Driver.MISSING else passed(text)


@check(
    "KRN010",
    "the driver of the root file system is built in or in the initramfs",
    levels=EE,
    source="derived: the root is mounted by what the kernel and its initramfs have",
    remedy=_REBUILD,
    applies=ETC,
)
def root_driver(guest: Guest) -> Outcome:
    """An initramfs made for another machine may lack the file system or the volume manager of this root."""
    if not guest.has_disk:
        entry = guest.fstab.root()
        if entry is None:
            return not_applicable("the type of the root file system is not known")
        needed = [entry.type if entry.type not in ("auto", "ext2", "ext3") else "ext4"]
    else:
        mounted = guest.mounted
        needed = [mounted.file_system.type]
        if mounted.volume.mapper is not None:
            needed.append("dm_mod")
    where = {name: guest.kernel.driver(name) for name in needed}
    text = "; ".join(f"{name} is {place}" for name, place in where.items())
    ready = all(place in (Driver.BUILTIN, Driver.INITRAMFS) for place in where.values())
    return passed(text) if ready else failed(text)


@check(
    "KRN019",
    "the initramfs of the default kernel exists and can be read",
    levels=EE,
    source="derived: the boot loader loads it beside the kernel",
    remedy={
        "": "Make it anew: dracut -f --kver VERSION",
        "debian": "update-initramfs -c -k VERSION; update-grub",
        "ubuntu": "update-initramfs -c -k VERSION; update-grub",
    },
    applies=ETC,
)
def initramfs(guest: Guest) -> Outcome:
    """A boot entry that names an initramfs which is missing or cut off ends in a kernel panic."""
    kernel = guest.kernel
    if kernel.in_initramfs is None:
        return passed(f"kernel {kernel.version} is started without an initramfs")
    if isinstance(kernel.in_initramfs, NotFoundError):
        return failed(str(kernel.in_initramfs))
    if isinstance(kernel.in_initramfs, ReadError):
        raise kernel.in_initramfs
    return passed(f"{', '.join(kernel.initrds)} with {len(kernel.in_initramfs)} modules")
