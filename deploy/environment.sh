#!/bin/sh
# Make a private Python environment: environment.sh DIRECTORY
# Debian keeps venv in a package of its own (python3-venv); it is installed when we may, and named when we may not.
set -eu
directory=$1
python=${PYTHON:-python3}

command -v "$python" >/dev/null 2>&1 || {
    echo "Python 3.11 or newer is needed, and there is no '$python' here: apt-get install python3 python3-venv" >&2
    exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed, '$python' is $("$python" -V): set PYTHON=... to a newer one" >&2
    exit 1
}

may_install() {
    command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if may_install; then
        echo "Installing Debian's python3-venv ..."
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    else
        echo "Python's venv is missing: ask your administrator for 'apt-get install python3-venv', then try again" >&2
        exit 1
    fi
fi
echo "Making a private environment in $directory ..."
"$python" -m venv "$directory"
