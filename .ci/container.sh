# A container with a real systemd; sourced after lib.sh. SUITE is the release of Debian.

machine=$scratch/root
name=prebound-ci-$$
nspawn= leader= upstream=

# A command inside the container, and one of this machine in the container's network.
ctr() {
  nsenter -t "$leader" -m -u -i -n -p -C -r -w -- \
    /usr/bin/env -i PATH=/usr/sbin:/usr/bin SYSTEMD_PAGER= SYSTEMD_COLORS=0 LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
in_network() { nsenter -t "$leader" -n -- "$@"; }

# In the background: `$!` is then the command itself, not a shell that waits for it.
become_in_network() { exec nsenter -t "$leader" -n -- "$@"; }

cleanup() {
  [ -z "$upstream" ] || kill "$upstream" 2>/dev/null || true
  if [ -n "$nspawn" ] && kill -0 "$nspawn" 2>/dev/null; then
    [ -z "$leader" ] || ctr systemctl poweroff 2>/dev/null || true
    for _ in {1..100}; do
      kill -0 "$nspawn" 2>/dev/null || break
      sleep 0.05
    done
    kill -KILL "$nspawn" 2>/dev/null || true
  fi
  local group
  for group in "/sys/fs/cgroup/$name" "/sys/fs/cgroup/unified/$name"; do
    [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
  # Its files are of no use without it.
  rm -rf "$machine"
}

# The root file system, made once a week.
root_tree() {
  local tar=$cache/$SUITE.tar
  if [ -z "$(find "$tar" -mtime -7 2>/dev/null)" ]; then
    mmdebstrap --quiet --variant=essential --include=systemd,libbpf1 \
      --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
      --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
      --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/zoneinfo/*' \
      $SUITE "$scratch/tree.tar" http://deb.debian.org/debian >"$scratch/mmdebstrap.log" 2>&1 \
      || { tail -n 5 "$scratch/mmdebstrap.log" >&2; skip "no root file system of Debian $SUITE can be made"; }
    mv "$scratch/tree.tar" "$tar"
  fi
  mkdir "$machine"
  tar -xf "$tar" -C "$machine"
}

# Sets `leader`, the container's process 1 as this machine numbers it.
boot() {
  root_tree
  # Not for a container whose kernel is somebody else's.
  ln -sf /dev/null "$machine/etc/systemd/system/systemd-modules-load.service"
  # With fewer capabilities, under nspawn's system call filter or without the unified control groups systemd cannot
  # load BPF programs, and leaves IPAddressDeny=, DevicePolicy= and SocketBindDeny= out without a word.
  SYSTEMD_SECCOMP=0 unshare --mount --propagation private bash -c '
    set -e
    if [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
      umount -R /sys/fs/cgroup
      mount -t cgroup2 cgroup2 /sys/fs/cgroup
    fi
    mkdir -p "/sys/fs/cgroup/$2"
    echo $$ >"/sys/fs/cgroup/$2/cgroup.procs"
    exec systemd-nspawn --quiet --register=no --keep-unit --private-network --capability=all \
      -M "$2" -D "$1" --console=pipe --boot' bash "$machine" "$name" </dev/null >"$scratch/console.log" 2>&1 &
  nspawn=$!
  local state=
  for _ in {1..600}; do
    kill -0 "$nspawn" 2>/dev/null || break
    leader=$(pgrep -P "$nspawn" | head -n 1) || true
    if [ -n "$leader" ]; then
      state=$(ctr systemctl is-system-running 2>/dev/null) || true
      case $state in running | degraded) break ;; esac
    fi
    sleep 0.05
  done
  case $state in
    running | degraded) echo "booted: $(ctr systemctl --version | head -n 1), $state" ;;
    *) tail -n 20 "$scratch/console.log" >&2; skip "no systemd can be booted here" ;;
  esac
}
