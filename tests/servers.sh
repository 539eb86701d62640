#!/bin/sh
# Install the real servers and tools that the tests ask: Debian packages, when we may; otherwise name what is missing.
# Under CI=true a missing one is a failure: a skipped test would look like a green one.
set -eu

# package, and a command that it brings
needs='influxdb influxd
victoria-metrics victoria-metrics
mosquitto mosquitto
snmpd snmpd
snmp snmpget
fping fping
chromium chromium
iproute2 ip
nftables nft
dnsmasq-base dnsmasq
chrony chronyd
tinyproxy tinyproxy
poppler-utils pdftotext
systemd systemd-analyze
fonts-noto-cjk -
tzdata -
'
PATH=$PATH:/usr/sbin:/sbin
missing=
has() {
    if [ "$2" = - ]; then dpkg -s "$1" >/dev/null 2>&1; else command -v "$2" >/dev/null 2>&1; fi
}
list_missing() {
    echo "$needs" | while read -r package command; do
        if [ -n "$package" ] && ! has "$package" "$command"; then printf '%s ' "$package"; fi
    done
}
missing=$(list_missing)
[ -n "$missing" ] || exit 0

if command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    root=
    [ "$(id -u)" = 0 ] || root='sudo -n'
    echo "Installing what the tests need: $missing"
    # The tests start their own servers: while these packages are installed, none may be started by its package.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null
        $root chmod 755 "$policy"
        trap '$root rm -f "$policy"' EXIT
    fi
    $root apt-get update -qq
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    missing=$(list_missing)
    [ -n "$missing" ] || exit 0
fi
echo "Missing for the tests: $missing(their tests are skipped; apt-get install $missing)" >&2
[ "${CI:-}" != true ] || exit 1
