#!/bin/bash
# Builds Warren's default image from Debian's static busybox.
#
#   build.sh OUTPUT.tar [BUSYBOX]
#
# Same busybox, same bytes.
set -euo pipefail

output=$1
busybox=${2:-/bin/busybox}
here=$(dirname "$(readlink -f "$0")")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

umask 022
chmod 755 "$root"
mkdir -p "$root"/{bin,dev,etc,home/app,proc,root,run,sys,tmp,usr/bin,var/log} \
  "$root/www"
install -m 755 "$busybox" "$root/bin/busybox"
while read -r applet; do
  [[ $applet == busybox ]] || ln -s busybox "$root/bin/$applet"
done < <("$busybox" --list)
ln -s ../../bin/env "$root/usr/bin/env"

cat >"$root/etc/passwd" <<'EOF'
root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
EOF
cat >"$root/etc/group" <<'EOF'
root:x:0:
app:x:1000:
nogroup:x:65534:
EOF
chmod 644 "$root/etc/passwd" "$root/etc/group"

/usr/bin/python3 "$here/make_oci_image.py" --root "$root" \
  --config "$here/config.json" --output "$output" \
  --name warren.local/busybox:latest \
  --owner home/app=1000:1000 --mode tmp=1777 --mode root=700
