#!/bin/sh
# Install, upgrade or remove Hinomi as a service of this machine: install.sh install|uninstall
#   PREFIX  its own environment, /opt/hinomi unless set      ETC  where configuration goes, /etc unless set
# With another ETC than /etc nothing of the running system is touched, which is good for packages and trials.
# State (/var/lib/hinomi) and configuration (/etc/hinomi) are never removed: they are yours.
set -eu
prefix=${PREFIX:-/opt/hinomi}
etc=${ETC:-/etc}
here=$(cd "$(dirname "$0")/.." && pwd)
units="hinomi.service hinomi-traps.socket hinomi-report@.service hinomi-report-monthly.timer
hinomi-report-quarterly.timer hinomi-report-semiannual.timer hinomi-report-annual.timer"

case $prefix$etc in
*[!A-Za-z0-9/._-]*) echo "PREFIX and ETC may hold letters, digits and /._- only: '$prefix' '$etc'" >&2; exit 1 ;;
esac
case $prefix in
/?*) ;;
*) echo "PREFIX must be an absolute path, not '$prefix'" >&2; exit 1 ;;
esac
[ "$etc" != /etc ] || [ "$(id -u)" = 0 ] || {
    echo "Installing a service takes root: sudo make $1 PREFIX=$prefix" >&2
    exit 1
}
runs_systemd() { [ "$etc" = /etc ] && [ -d /run/systemd/system ]; }
version() { "$prefix/bin/python" -c 'import poller; print(poller.__version__)' 2>/dev/null || echo none; }

install_all() {
    before=none
    if [ -x "$prefix/bin/python" ]; then
        before=$(version)
    elif [ -e "$prefix" ] && [ -n "$(ls -A "$prefix")" ]; then
        echo "$prefix is there and is no Python environment: choose another PREFIX or empty it" >&2
        exit 1
    else
        sh "$here/deploy/environment.sh" "$prefix"
    fi
    echo "Installing Hinomi into $prefix ..."
    "$prefix/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "$here"

    mkdir -p "$etc/systemd/system" "$etc/sysusers.d" "$etc/tmpfiles.d" "$etc/sysctl.d"
    for unit in $units; do
        sed "s#/opt/hinomi#$prefix#g" "$here/deploy/systemd/$unit" >"$etc/systemd/system/$unit.new"
        chmod 644 "$etc/systemd/system/$unit.new"
        mv "$etc/systemd/system/$unit.new" "$etc/systemd/system/$unit"
    done
    install -m 644 "$here/deploy/systemd/hinomi.sysusers" "$etc/sysusers.d/hinomi.conf"
    install -m 644 "$here/deploy/systemd/hinomi.tmpfiles" "$etc/tmpfiles.d/hinomi.conf"
    install -m 644 "$here/deploy/systemd/hinomi.sysctl" "$etc/sysctl.d/60-hinomi.conf"
    if [ "$etc" = /etc ]; then
        systemd-sysusers hinomi.conf
        systemd-tmpfiles --create hinomi.conf
        ln -sfn "$prefix/bin/hinomi" /usr/local/bin/hinomi
    fi
    if runs_systemd; then
        sysctl --quiet --load "$etc/sysctl.d/60-hinomi.conf" || true
        systemctl daemon-reload
    fi

    after=$(version)
    if [ "$before" = none ]; then
        echo "Installed Hinomi $after. Next:"
        echo "  1. describe your network in /etc/hinomi; to begin from an example:"
        echo "     cp -r $prefix/share/hinomi/config/examples/cityhall/. /etc/hinomi/"
        echo "  2. $prefix/bin/hinomi check --config /etc/hinomi"
        echo "  3. systemctl enable --now hinomi-traps.socket hinomi.service"
    else
        echo "Upgraded Hinomi $before to $after; configuration and state are kept."
        if runs_systemd && systemctl --quiet is-active hinomi.service; then
            if runuser -u hinomi -- "$prefix/bin/hinomi" check --config /etc/hinomi >/dev/null; then
                systemctl restart hinomi.service
                echo "The service was restarted."
            else
                echo "The service was NOT restarted: hinomi check --config /etc/hinomi finds something to mend" >&2
                exit 1
            fi
        fi
    fi
}

uninstall_all() {
    if runs_systemd; then
        # shellcheck disable=SC2086
        systemctl --quiet disable --now hinomi.service hinomi-traps.socket hinomi-report-monthly.timer \
            hinomi-report-quarterly.timer hinomi-report-semiannual.timer hinomi-report-annual.timer 2>/dev/null || true
    fi
    for unit in $units; do rm -f "$etc/systemd/system/$unit"; done
    rm -f "$etc/sysusers.d/hinomi.conf" "$etc/tmpfiles.d/hinomi.conf" "$etc/sysctl.d/60-hinomi.conf"
    if [ -x "$prefix/bin/hinomi" ] && [ -f "$prefix/pyvenv.cfg" ]; then
        rm -rf "$prefix"
        echo "Removed $prefix and its units."
    else
        echo "There is no Hinomi in $prefix; its units are removed."
    fi
    if [ "$etc" = /etc ]; then
        [ "$(readlink /usr/local/bin/hinomi 2>/dev/null)" != "$prefix/bin/hinomi" ] || rm -f /usr/local/bin/hinomi
        ! runs_systemd || systemctl daemon-reload
        echo "Kept: /etc/hinomi (configuration, secrets), /var/lib/hinomi (all measurements) and the user hinomi."
    fi
}

case ${1:-} in
install) install_all ;;
uninstall) uninstall_all ;;
*) echo "install.sh install|uninstall" >&2; exit 2 ;;
esac
