# shellcheck shell=bash
# debian_prepared TREE ROOT_UUID ESP_ID: makes an installed Debian fit for Azure, then generalizes it with the
# tools that Azure's documents name. Sources: "Prepare a Debian VHD for Azure", "Prepare Linux for imaging in
# Azure", "Time sync for Linux VMs".

debian_prepared() {
  debian_settings "$@"
  debian_generalize "$1"
}

debian_settings() {
  local tree=$1 root_uuid=$2 esp_id=$3

  cat >"$tree/etc/fstab" <<EOF
# <device> <mount point> <type> <options> <dump> <pass>
UUID=$root_uuid / ext4 defaults,discard,errors=remount-ro 0 1
UUID=$esp_id /boot/efi vfat umask=0077 0 1
EOF
  mkdir -p "$tree/boot/efi"

  # Serial console for boot diagnostics; nothing hides the kernel's messages.
  cat >"$tree/etc/default/grub" <<'EOF'
GRUB_DEFAULT=0
GRUB_TIMEOUT=1
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0"
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_TERMINAL="console serial"
GRUB_SERIAL_COMMAND="serial --speed=115200 --unit=0 --word=8 --parity=no --stop=1"
EOF
  make_grub_config "$tree" "$root_uuid"

  cat >"$tree/etc/cloud/cloud.cfg.d/91-azure_datasource.cfg" <<'EOF'
datasource_list: [ Azure ]
datasource:
  Azure:
    apply_network_config: true
# No locales are installed, so there is none to generate.
locale: false
EOF
  cat >"$tree/etc/cloud/cloud.cfg.d/10-azure-kvp.cfg" <<'EOF'
reporting:
  logging:
    type: log
  telemetry:
    type: hyperv
EOF

  # cloud-init provisions, so it formats the resource disk as well; the agent keeps itself up to date.
  sed -i -E \
    -e 's/^Provisioning.Agent=.*/Provisioning.Agent=cloud-init/' \
    -e 's/^ResourceDisk.Format=.*/ResourceDisk.Format=n/' \
    -e 's/^ResourceDisk.EnableSwap=.*/ResourceDisk.EnableSwap=n/' \
    -e 's/^AutoUpdate.Enabled=.*/AutoUpdate.Enabled=y/' \
    "$tree/etc/waagent.conf"

  printf 'ClientAliveInterval 180\n' >"$tree/etc/ssh/sshd_config.d/50-azure.conf"
  printf 'refclock PHC /dev/ptp_hyperv poll 3 dpoll -2 offset 0 stratum 2\n' \
    >"$tree/etc/chrony/conf.d/azure.conf"
  sed -i 's/^makestep .*/makestep 1.0 -1/' "$tree/etc/chrony/chrony.conf"
}

# In this order: the agent's step wants its configuration, cloud-init's clears the state.
debian_generalize() {
  local tree=$1
  in_tree "$tree" waagent -deprovision+user -force >&2
  in_tree "$tree" cloud-init clean --logs --seed --machine-id >&2
  rm -f "$tree"/etc/ssh/ssh_host_*key* "$tree"/root/.bash_history "$tree"/var/log/waagent.log
  rm -rf "$tree"/var/lib/dhcp/*.leases "$tree"/tmp/* "$tree"/var/tmp/* "$tree"/root/.ssh
  rm -f "$tree/var/lib/dbus/machine-id" "$tree/var/lib/systemd/random-seed"
}
