# shellcheck shell=bash
# debian_unprepared TREE ROOT_UUID ESP_ID: the same packages as a machine that somebody has used under KVM.
# Every trace is one that a person or a tool really leaves behind; tests name the findings.

debian_unprepared() {
  local tree=$1 root_uuid=$2 esp_id=$3

  # virtio names that do not exist on Azure, and a swap file on the OS disk
  cat >"$tree/etc/fstab" <<EOF
UUID=$root_uuid / ext4 defaults 0 1
UUID=$esp_id /boot/efi vfat umask=0077 0 1
/dev/vdb /srv ext4 defaults 0 2
/swapfile none swap sw 0 0
EOF
  mkdir -p "$tree/boot/efi"
  dd if=/dev/zero of="$tree/swapfile" bs=1M count=8 status=none
  chmod 600 "$tree/swapfile"
  mkswap -q "$tree/swapfile"

  # Debian's own defaults: quiet, and no serial console
  cat >"$tree/etc/default/grub" <<'EOF'
GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX=""
EOF
  make_grub_config "$tree" "$root_uuid"

  # cloud-init made for another platform
  printf 'datasource_list: [ NoCloud, ConfigDrive, None ]\n' >"$tree/etc/cloud/cloud.cfg.d/90_dpkg.cfg"

  # A user with password and key, who worked as root too. The hash is of a random password nobody knows.
  in_tree "$tree" useradd --create-home --shell /bin/bash --groups sudo alice
  head -c 32 /dev/urandom | base64 | sed 's/^/alice:/' | in_tree "$tree" chpasswd
  install -d -m 700 -o 1000 -g 1000 "$tree/home/alice/.ssh"
  cat "$tree/etc/ssh/ssh_host_ed25519_key.pub" >"$tree/home/alice/.ssh/authorized_keys"
  chown 1000:1000 "$tree/home/alice/.ssh/authorized_keys"
  chmod 600 "$tree/home/alice/.ssh/authorized_keys"
  local line
  for line in $(seq 1 60); do
    printf 'apt-get install package-%s && systemctl restart service-%s\n' "$line" "$line"
  done >"$tree/root/.bash_history"
  printf 'sudo -i\nexit\n' >"$tree/home/alice/.bash_history"
  chown 1000:1000 "$tree/home/alice/.bash_history"

  # It was booted: it has an identity, and cloud-init ran.
  head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$tree/etc/machine-id"
  printf '\n' >>"$tree/etc/machine-id"
  printf 'build-host\n' >"$tree/etc/hostname"
  mkdir -p "$tree/var/lib/cloud/instances/iid-local01/sem"
  ln -sfn instances/iid-local01 "$tree/var/lib/cloud/instance"
  printf 'iid-local01\n' >"$tree/var/lib/cloud/instances/iid-local01/instance-id"
}
