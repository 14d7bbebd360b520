#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the packages of a configured image with dpkg itself, in debootstrap's order, and lists what differs from
# the image: type, mode, owner, size, link target and content of every file. For Linux hosts, as root.
# Usage: compare-with-dpkg.sh IMAGE   (the packages are taken from the builder's cache)
set -eu
image=$(realpath "$1")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/rookery/sha256
work=$(mktemp -d)
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true
cleanup() {
  for part in root/proc root/dev image; do umount "$work/$part" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT
mkdir "$work/image" "$work/root"
mount -t erofs -o loop,ro "$image" "$work/image"
root=$work/root
mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64" "$root/debs" "$root/etc"
for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
wanted=$(awk '/^Package:/ { p = $2 } /^Version:/ { print p "=" $2 }' "$work/image/var/lib/dpkg/status")
find "$cache" -type f | while read -r file; do
  [ "$(head -c 7 "$file")" = '!<arch>' ] || continue
  name=$(dpkg-deb -f "$file" Package)
  echo "$wanted" | grep -qxF "$name=$(dpkg-deb -f "$file" Version)" || continue
  cp "$file" "$root/debs/$name.deb"
  dpkg-deb --fsys-tarfile "$file" | tar -C "$root" -xkf - 2>/dev/null || true
done
mkdir -p "$root/var/lib/dpkg/info"
: >"$root/var/lib/dpkg/status"
: >"$root/var/lib/dpkg/available"
: >"$root/etc/fstab"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
cp -a /dev/null /dev/zero /dev/urandom /dev/tty "$root/dev/"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
ln -sf mawk "$root/usr/bin/awk"
for name in base-passwd base-files dpkg libc6 perl-base mawk debconf; do
  if [ "$name" = mawk ]; then rm -f "$root/usr/bin/awk"; fi
  chroot "$root" dpkg --force-depends --install "/debs/$name.deb" >/dev/null 2>&1
done
chroot "$root" sh -c 'dpkg --force-depends --unpack /debs/*.deb' >/dev/null 2>&1
chroot "$root" dpkg --configure --pending --force-confold >/dev/null 2>&1
umount "$root/dev" "$root/proc"
rm -rf "$root/debs" "$root/usr/sbin/policy-rc.d"
list() {
  (
    cd "$1"
    find . \( -path ./dev -o -path ./proc -o -path ./sys \) -prune -o ! -type d -printf '%p %M %U:%G %n %l\n'
    find . \( -path ./dev -o -path ./proc -o -path ./sys \) -prune -o -type d -printf '%p %M %U:%G\n'
    find . \( -path ./dev -o -path ./proc -o -path ./sys \) -prune -o -type f -print0 | xargs -0 sha256sum
  ) | sort
}
list "$work/image" >"$work/ours"
list "$root" >"$work/theirs"
diff "$work/theirs" "$work/ours" && echo "no difference"
