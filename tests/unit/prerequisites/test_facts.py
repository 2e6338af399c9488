# ruff: noqa: E501 - contents of files as they are, a line a line
"""Facts read from files: boot entries, units, fstab, accounts, the agent, cloud-init."""

from pathlib import Path

import pytest
from tests.unit.prerequisites.machine import KERNEL, ROOT_UUID, Machine

from gallery_operator.prerequisites.facts.agent import read_waagent
from gallery_operator.prerequisites.facts.boot import read_boot, version_key
from gallery_operator.prerequisites.facts.cloud_init import load_yaml, read_cloud_init
from gallery_operator.prerequisites.facts.fstab import FstabEntry, find_volume, read_fstab
from gallery_operator.prerequisites.facts.kernel import Driver, read_kernel
from gallery_operator.prerequisites.facts.os_release import family_of, parse, read_os_release
from gallery_operator.prerequisites.facts.packages import dpkg_version, python_distribution
from gallery_operator.prerequisites.facts.units import Units, UnitState
from gallery_operator.prerequisites.facts.users import Password, read_users
from gallery_operator.prerequisites.readers.base import NotFoundError, UnreadableError
from gallery_operator.prerequisites.readers.folder import FolderFileSystem
from gallery_operator.prerequisites.tree import Tree


class Files:
    """A tree to write into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, path: str, text: str | bytes = "") -> None:
        target = self.folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)

    def link(self, path: str, target: str) -> None:
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)

    @property
    def tree(self) -> Tree:
        return Tree(FolderFileSystem(self.folder))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# Boot.


def rhel(files: Files, saved: str = "") -> None:
    """As Red Hat's article and the Boot Loader Specification lay it out, /boot a file system of its own."""
    for version in ("5.14.0-9.el9", "5.14.0-10.el9", "0-rescue-abc"):
        files.write(f"/boot/vmlinuz-{version}")
        files.write(f"/boot/initramfs-{version}.img")
        files.write(
            f"/boot/loader/entries/id-{version}.conf",
            f"title Red Hat\nversion {version}\nlinux /vmlinuz-{version}\ninitrd /initramfs-{version}.img $tuned_initrd\n"
            "options root=/dev/mapper/rootvg-rootlv $kernelopts\n",
        )
    env = "# GRUB Environment Block\nkernelopts=ro console=ttyS0 quiet\n"
    files.write("/boot/grub2/grubenv", (env + saved + "#" * 100))
    files.write("/boot/grub2/grub.cfg", "insmod blscfg\nblscfg\nmenuentry x {\n linux /other\n}\n")


def test_bls_takes_the_newest_entry_that_is_no_rescue(files: Files) -> None:
    rhel(files)
    boot = read_boot(files.tree)
    assert boot.version == "5.14.0-10.el9"
    assert boot.kernel == "/boot/vmlinuz-5.14.0-10.el9"
    assert boot.initrds[0] == "/boot/initramfs-5.14.0-10.el9.img"
    assert boot.words() == ["root=/dev/mapper/rootvg-rootlv", "ro", "console=ttyS0", "quiet"]


def test_bls_takes_the_saved_entry(files: Files) -> None:
    rhel(files, "saved_entry=id-5.14.0-9.el9\n")
    assert read_boot(files.tree).version == "5.14.0-9.el9"


def test_grub_of_a_btrfs_with_subvolumes(files: Files) -> None:
    files.write("/boot/vmlinuz-6.4.0-default")
    files.write(
        "/boot/grub2/grub.cfg", "menuentry x {\n  linux /@/.snapshots/1/snapshot/boot/vmlinuz-6.4.0-default a=b\n}\n"
    )
    boot = read_boot(files.tree)
    assert (boot.kernel, boot.values("a"), boot.initrds) == ("/boot/vmlinuz-6.4.0-default", ["b"], ())


def test_grub_with_a_variable_and_a_quoted_value(files: Files) -> None:
    files.write("/boot/vmlinuz-1")
    files.write("/boot/grub/grub.cfg", 'linux ($root)/vmlinuz-1 root=x $extra dyndbg="file a +p" mod-prob=1\n')
    boot = read_boot(files.tree)
    assert boot.words() == ["root=x", "dyndbg=file a +p", "mod-prob=1"]
    assert boot.values("mod_prob") == ["1"]


def test_without_a_boot_loader_the_newest_kernel_counts(files: Files) -> None:
    for version in ("6.9.1", "6.10.0"):
        files.write(f"/usr/lib/modules/{version}/vmlinuz")
    boot = read_boot(files.tree)
    assert (boot.version, boot.cmdline) == ("6.10.0", None)
    with pytest.raises(UnreadableError, match="command line"):
        boot.words()


def test_the_release_of_a_kernel_without_a_name(files: Files) -> None:
    head = bytearray(0x400)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x100).to_bytes(2, "little")
    head[0x300:0x320] = b"6.6.9-foo (builder@host) #1 SMP\0"[:32]
    files.write("/boot/bzImage", bytes(head))
    files.write("/boot/grub/grub.cfg", "linux /boot/bzImage\n")
    assert read_boot(files.tree).version == "6.6.9-foo"


def test_versions_are_compared_as_numbers() -> None:
    ordered = ["5.4.0-9-generic", "5.4.0-10-generic", "5.15.0-1-azure", "6.1.0-rc1"]
    assert sorted({*ordered}, key=version_key) == ordered


def test_drivers_from_a_tree_without_depmod(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.remove(f"/usr/lib/modules/{KERNEL}/modules.dep")
    machine.write(f"/usr/lib/modules/{KERNEL}/kernel/drivers/hv/hv-utils.ko.xz")
    kernel = read_kernel(machine.guest().tree, machine.guest().boot)
    assert kernel.driver("hv_utils") is Driver.MODULE
    assert kernel.driver("hv_vmbus") is Driver.INITRAMFS
    assert kernel.driver("ext4") is Driver.BUILTIN
    assert kernel.driver("nvme") is Driver.MISSING


# Units.


def test_units(files: Files) -> None:
    unit = "[Unit]\n[Install]\nWantedBy=multi-user.target\n"
    files.link("/lib", "usr/lib")
    for name in ("ssh.service", "off.service", "masked.service", "static.service"):
        files.write(f"/usr/lib/systemd/system/{name}", unit)
    files.write("/etc/machine-id", "")
    files.link("/etc/systemd/system/multi-user.target.wants/ssh.service", "/lib/systemd/system/ssh.service")
    files.link("/etc/systemd/system/sshd.service", "/lib/systemd/system/ssh.service")
    files.link("/etc/systemd/system/masked.service", "/dev/null")
    files.link("/usr/lib/systemd/system/sysinit.target.wants/static.service", "../static.service")
    files.write("/etc/init.d/old", "#!/bin/sh\n")
    files.link("/etc/rc3.d/S20old", "../init.d/old")
    units = Units(files.tree)
    states = {
        name: units.state(f"{name}.service").state for name in ("ssh", "sshd", "off", "masked", "static", "old", "no")
    }
    assert states == {
        "ssh": UnitState.ENABLED,
        "sshd": UnitState.ENABLED,
        "off": UnitState.DISABLED,
        "masked": UnitState.MASKED,
        "static": UnitState.ENABLED,
        "old": UnitState.ENABLED,
        "no": UnitState.MISSING,
    }


def test_presets_count_at_first_boot_only(files: Files) -> None:
    for name in ("sshd.service", "other.service"):
        files.write(f"/usr/lib/systemd/system/{name}", "[Install]\nWantedBy=multi-user.target\n")
    files.write("/usr/lib/systemd/system-preset/90-default.preset", "enable sshd.*\ndisable *\n")
    files.write("/etc/machine-id", "uninitialized\n")
    units = Units(files.tree)
    assert units.state("sshd.service").state is UnitState.ENABLED
    assert units.state("other.service").state is UnitState.DISABLED
    files.write("/etc/machine-id", "")
    assert Units(files.tree).state("sshd.service").state is UnitState.DISABLED


# fstab.


def test_fstab(files: Files) -> None:
    files.write(
        "/etc/fstab",
        '# comment\nUUID="AB-12" /a\\040b ext4 rw,nofail 0 2\nshort line\n/swapfile none swap sw\ntmpfs /tmp tmpfs size=1G 0 0\n'
        "server:/x /nfs nfs defaults 0 0\n/a /b none bind 0 0\n/dev/disk/by-label/data /data/ xfs\n",
    )
    fstab = read_fstab(files.tree)
    assert fstab.faults == ("/etc/fstab:3 has 2 fields instead of 4 to 6",)
    first, swap, tmp, nfs, bind, data = fstab.entries
    assert (first.tag, first.mount_point, first.optional) == (("UUID", "AB-12"), "/a b", True)
    assert swap.is_swap
    assert tmp.is_pseudo
    assert tmp.option("size") == "1G"
    assert nfs.is_network
    assert bind.is_pseudo
    assert (data.tag, data.mount_point, data.line) == (("LABEL", "data"), "/data", 8)


@pytest.mark.parametrize(
    ("device", "number"),
    [
        (f"UUID={ROOT_UUID.upper()}", 2),
        ("LABEL=root", 2),
        ("PARTLABEL=part1", 1),
        ("PARTUUID=00000000-0000-0000-0000-000000000002", 2),
        (f"/dev/disk/by-uuid/{ROOT_UUID}", 2),
        ("/dev/sda2", 2),
        ("/dev/nvme0n1p1", 1),
        ("/dev/sdb1", None),
        ("/dev/mapper/vg-root", None),
        ("LABEL=ROOT", None),
        ("/swapfile", None),
    ],
)
def test_which_volume_a_line_means(tmp_path: Path, device: str, number: int | None) -> None:
    entry = FstabEntry(1, device, "/", "ext4", ("defaults",))
    found = find_volume(entry, Machine(tmp_path).guest().layout.volumes)
    assert (found.partition.number if found and found.partition else None) == number


# Accounts.


def test_accounts(files: Files) -> None:
    files.write(
        "/etc/passwd",
        "root:x:0:0::/root:/bin/bash\nold:$1$abc:1001:1::/home/old:/bin/sh\nnopw::1002:1::/home/nopw:\n"
        "svc:x:99:9::/var/lib/svc:/sbin/nologin\nghost:x:1003:1::/:/bin/zsh\nbroken line\n",
    )
    files.write("/etc/shadow", "root:!!::\nsvc:!*:1\n")
    files.write("/etc/login.defs", "UID_MIN 500\n")
    users = read_users(files.tree)
    assert {each.name: each.password for each in users.accounts} == {
        "root": Password.LOCKED,
        "old": Password.USABLE,
        "nopw": Password.EMPTY,
        "svc": Password.LOCKED,
        "ghost": Password.NONE,
    }
    assert [each.name for each in users.people()] == ["old", "nopw", "ghost"]
    assert list(users.homes()) == [("root", "/root"), ("old", "/home/old"), ("nopw", "/home/nopw")]
    assert users.uid_min == 500


# The agent, packages, cloud-init.


def test_the_agent(files: Files) -> None:
    files.write("/usr/sbin/waagent")
    files.write(
        "/etc/waagent.conf", "# Provisioning.Agent=waagent\nProvisioning.Agent=Auto # comment\nLogs.Verbose = n\n"
    )
    files.write("/usr/lib/python3.9/site-packages/azurelinuxagent/common/version.py", "AGENT_VERSION = '2.9.1.1'\n")
    agent = read_waagent(files.tree)
    assert (agent.option("Provisioning.Agent", "x"), agent.where("Provisioning.Agent")) == (
        "auto",
        "/etc/waagent.conf:2",
    )
    assert agent.version == (2, 9, 1, 1)
    assert not agent.is_on("Logs.Verbose", default=True)
    assert agent.is_on("AutoUpdate.Enabled", default=True)


def test_versions_of_packages(files: Files) -> None:
    files.write("/usr/lib/python3.11/site-packages/cloud_init-23.4.dist-info/METADATA")
    files.write("/usr/lib/python3/dist-packages/WALinuxAgent-2.7.3.0-py3.11.egg-info/PKG-INFO")
    files.write(
        "/var/lib/dpkg/status",
        "Package: waagent\nStatus: deinstall ok config-files\nVersion: 1\n\n"
        "Package: cloud-init\nStatus: install ok installed\nVersion: 22.4.2-1\n\n",
    )
    assert python_distribution(files.tree, "cloud_init") == (
        "23.4",
        "/usr/lib/python3.11/site-packages/cloud_init-23.4.dist-info",
    )
    assert (python_distribution(files.tree, "WALinuxAgent") or ("",))[0] == "2.7.3.0"
    assert dpkg_version(files.tree, "waagent", "cloud-init") == "22.4.2-1"
    assert dpkg_version(files.tree, "waagent") is None


def test_cloud_init_merges_as_it_does_itself(files: Files) -> None:
    files.write("/usr/bin/cloud-init")
    files.write(
        "/etc/cloud/cloud.cfg", "datasource_list: [None]\nsystem_info: {distro: debian, default_user: {name: a}}\n"
    )
    files.write("/etc/cloud/cloud.cfg.d/20-b.cfg", "datasource_list: [ Azure, None ]\n")
    files.write(
        "/etc/cloud/cloud.cfg.d/10-a.cfg", "datasource_list: [ NoCloud ]\nsystem_info: {default_user: {name: b}}\n"
    )
    files.write("/etc/cloud/cloud.cfg.d/30-c.txt", "datasource_list: [ Ec2 ]\n")
    found = read_cloud_init(files.tree)
    assert found.datasources() == ["Azure", "None"]
    assert found.sources["datasource_list"] == "/etc/cloud/cloud.cfg.d/20-b.cfg"
    assert found.config["system_info"] == {"distro": "debian", "default_user": {"name": "b"}}


@pytest.mark.parametrize("text", ["a: [", "\t", "a: *nothing", "!!python/object/apply:os.system [id]", "a: b: c"])
def test_yaml_that_is_none(text: str) -> None:
    with pytest.raises(UnreadableError, match="no YAML"):
        load_yaml(text, "/x")


def test_a_yaml_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    with pytest.raises(UnreadableError, match="aliases"):
        load_yaml("\n".join(lines), "/x")


# os-release.


def test_os_release(files: Files) -> None:
    files.write(
        "/usr/lib/os-release",
        'NAME=\'Alma Linux\'\nID="almalinux"\nID_LIKE="rhel centos"\nVERSION_ID=9.4\nbad line\nX="open\n',
    )
    release = read_os_release(files.tree)
    assert (release.name, release.family, release.path) == ("almalinux 9.4", "rhel", "/usr/lib/os-release")


def test_families() -> None:
    assert family_of("ol") == family_of("oracle") == "oracle"
    assert family_of("opensuse-leap") == "opensuse"
    assert family_of("gentoo") == "other"
    assert parse('A="b c"\nB=$(id)\n') == {"A": "b c", "B": "$(id)"}


def test_no_accounts_file(files: Files) -> None:
    files.write("/x")
    with pytest.raises(NotFoundError):
        read_users(files.tree)
