#!/bin/bash
# Runs a command on another kernel: Debian's cloud kernel (6.1) with cgroup v2
# and AppArmor, in a virtual machine that sees this machine's files.
#
#   sudo tests/vm/run.sh COMMAND...
#   sudo tests/vm/run.sh build/release/tests/e2e_containers_test
#   sudo WARREN_VM_LSM=selinux tests/vm/run.sh COMMAND...
#
# The root file system is this machine's, shared read-only, under a layer of
# memory that is gone at the end; /tmp and /var/lib are a scratch disk (ext4), a
# second one is swap. Build nothing that the command runs meanwhile: a file that
# is replaced outside is stale inside (ESTALE).
# Needs qemu-system-x86 and a kernel package, which it downloads; emulated
# unless WARREN_VM_ACCEL=kvm, and 7 to 40 times slower then. Ends with the
# command's exit code. By hand: nothing in tests/run.sh calls it.
#
# WARREN_VM_LSM=selinux: SELinux instead of AppArmor, enforcing the policy of
# selinux.conf. Needs checkpolicy.
set -euo pipefail

HERE=$(dirname "$(readlink -f "$0")")
TREE=$(readlink -f "$HERE/../..")
readonly HERE TREE
readonly CACHE=$TREE/build/vm
readonly ACCEL=${WARREN_VM_ACCEL:-tcg,thread=multi}  # kvm, where it works
readonly MEMORY=${WARREN_VM_MEMORY:-3G}
readonly MODULE=${WARREN_VM_LSM:-apparmor}

die() { echo "vm: $*" >&2; exit 2; }
(($#)) || die "usage: tests/vm/run.sh COMMAND..."
((EUID == 0)) || die "run as root"
command -v qemu-system-x86_64 >/dev/null || die "install qemu-system-x86"
virtiofsd=$(command -v /usr/lib/qemu/virtiofsd /usr/libexec/virtiofsd | head -n 1)

case $MODULE in
  apparmor) lsm= ;;  # the kernel's own choice
  selinux) lsm="lsm=capability,yama,selinux,bpf enforcing=1" ;;
  *) die "WARREN_VM_LSM is apparmor or selinux" ;;
esac

# Downloads and unpacks the kernel once; prints nothing.
fetch_kernel() {
  [[ -e $CACHE/kernel/.done ]] && return
  mkdir -p "$CACHE/kernel"
  local package
  package=$(apt-cache depends linux-image-cloud-amd64 |
    sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
  (cd "$CACHE" && apt-get -q download "$package" >/dev/null 2>&1)
  dpkg-deb -x "$CACHE/${package}"_*.deb "$CACHE/kernel"
  depmod -b "$CACHE/kernel" "$(ls "$CACHE/kernel/lib/modules")"
  touch "$CACHE/kernel/.done"
}

# What the kernel needs until it has the shared root.
make_initramfs() {
  local root=$CACHE/initramfs module
  rm -rf "$root"
  mkdir -p "$root"/{bin,dev,proc,sys,modules,lower,upper,root}
  cp /usr/bin/busybox "$root/bin/busybox"
  cp "$HERE/init" "$root/init"
  if [[ $MODULE == selinux ]]; then
    checkpolicy -M -U allow -o "$root/policy" "$HERE/selinux.conf"
  fi
  for module in $(modprobe -d "$CACHE/kernel" -S "$release" -a \
    --show-depends virtio_pci virtiofs overlay virtio_blk ext4 |
    awk '$1 == "insmod" && !seen[$2]++ {print $2}'); do
    cp "$module" "$root/modules/"
    basename "$module" >>"$root/modules/order"
  done
  (cd "$root" && find . | cpio -o -H newc --quiet) >"$CACHE/initramfs.cpio"
}

fetch_kernel
release=$(ls "$CACHE/kernel/lib/modules")
work=$(mktemp -d "$CACHE/run.XXXXXX")
fs_pid=
trap '[[ -z $fs_pid ]] || kill "$fs_pid" 2>/dev/null || true; rm -rf "$work"' EXIT
make_initramfs
truncate -s 4G "$work/disk"
mkfs.ext4 -q -F "$work/disk"
truncate -s 256M "$work/swap"
mkswap "$work/swap" >/dev/null 2>&1
{
  printf 'cd %q\n' "$PWD"
  printf 'export WARREN_VM=1\n'
  # How much longer tests wait; tests/support/ledger.h.
  [[ $ACCEL == kvm ]] || printf 'export WARREN_TEST_SLOWNESS=8\n'
  printf '%q ' "$@"
  echo
} >"$work/command"

"$virtiofsd" --socket-path="$work/fs.sock" -o source=/ -o cache=auto \
  -o sandbox=chroot >"$work/virtiofsd.log" 2>&1 &
fs_pid=$!
while [[ ! -S $work/fs.sock ]] && kill -0 "$fs_pid"; do sleep 0.05; done

timeout "${WARREN_VM_SECONDS:-3000}" qemu-system-x86_64 \
  -accel "$ACCEL" -cpu max -smp 2 -m "$MEMORY" -nographic -no-reboot \
  -kernel "$CACHE"/kernel/boot/vmlinuz-* -initrd "$CACHE/initramfs.cpio" \
  -append "console=ttyS0 quiet panic=-1 $lsm warren.work=$work warren.modules=$CACHE/kernel/lib/modules/$release" \
  -object "memory-backend-memfd,id=mem,size=$MEMORY,share=on" \
  -numa node,memdev=mem \
  -chardev "socket,id=fs,path=$work/fs.sock" \
  -device vhost-user-fs-pci,queue-size=1024,chardev=fs,tag=host \
  -drive "file=$work/disk,format=raw,if=virtio,cache=unsafe" \
  -drive "file=$work/swap,format=raw,if=virtio,cache=unsafe" \
  -nic none </dev/null | tee "$work/console" | sed '/^vm-exit:/d'
code=$(sed -n 's/^vm-exit:\([0-9]*\).*/\1/p' "$work/console")
exit "${code:-1}"
