#!/bin/sh
# Makes a base image from Debian's packages, for machines whose Docker can pull nothing.
# sudo stack/base-image.sh [MIRROR] [IMAGE]     MIRROR: by default the one in this machine's apt configuration
#
# It has a name of its own, clew-base:trixie: under Debian's name every other build here would use it unasked.
# It contains this machine's list of certificate authorities, because apt and pip inside need it behind a proxy that
# opens TLS. Whoever such a proxy's authority belongs to is then trusted in the image too: do not publish it.
set -eu

image=${2:-clew-base:trixie}
mirror=${1:-}
stack=$(cd "$(dirname "$0")" && pwd)
authorities=/etc/ssl/certs/ca-certificates.crt

if [ "$(id -u)" -ne 0 ]; then
    printf 'debootstrap needs root.\nNext: sudo %s\n' "$0 $*" >&2
    exit 1
fi
if [ -z "$mirror" ]; then
    mirror=$(PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$stack" python3 -c '
from clew.provision import debian_mirror, plain_mirror
print(plain_mirror(debian_mirror() or ""))')
fi
if [ -z "$mirror" ]; then
    printf 'The apt configuration of this machine names no Debian mirror.\nNext: sudo %s MIRROR\n' "$0" >&2
    exit 1
fi
if ! command -v debootstrap >/dev/null; then
    apt-get update
    apt-get install --yes --no-install-recommends debootstrap
fi

# /var/tmp, because /tmp is often in memory or mounted nodev
root=$(mktemp -d /var/tmp/clew-base.XXXXXX)
trap 'umount "$root/sys" "$root/proc" 2>/dev/null || true; rm -rf --one-file-system "$root"' EXIT
trap 'exit 1' INT TERM
debootstrap --variant=minbase --include=ca-certificates trixie "$root" "$mirror"
if [ -s "$authorities" ]; then
    cp "$authorities" "$root$authorities"
fi
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/usr/share/info/*
cat > "$root/etc/dpkg/dpkg.cfg.d/slim" <<'EOF'
path-exclude /usr/share/doc/*
path-exclude /usr/share/man/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/info/*
EOF
tar -C "$root" --numeric-owner -c . | docker import - "$image"
