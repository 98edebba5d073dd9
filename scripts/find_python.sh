#!/bin/sh
# Print the path of a Python >= 3.12, or say in one sentence why there is none.
#
#   PYTHON=/path/to/python   this interpreter and no other
#   PYTHON_VERSION=3.13      this minor version and no other
#
# Otherwise the version in .python-version comes first, then the versions that are tested, then any that is
# recent enough.
# Every candidate is run, because a pyenv shim exists for versions that are not switched on.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
oldest=3.12
tested="3.12 3.13"

# resolve CANDIDATE [MINOR]: print the interpreter behind CANDIDATE where it is recent enough (and is MINOR).
resolve() {
    "$1" - "$oldest" "${2:-}" 2>/dev/null <<'PY'
import sys

oldest, wanted = sys.argv[1:]
found = ".".join(map(str, sys.version_info[:2]))
if sys.version_info[:2] < tuple(map(int, oldest.split("."))) or wanted not in ("", found):
    raise SystemExit(1)
print(sys.executable)
PY
}

# find_minor MINOR: look for that version on PATH, then among pyenv's own versions.
find_minor() {
    for candidate in "python$1" python3 python "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/$1".*/bin/python; do
        if resolve "$candidate" "$1"; then
            return 0
        fi
    done
    return 1
}

if [ -n "${PYTHON:-}" ]; then
    resolve "$PYTHON" "${PYTHON_VERSION:-}" && exit 0
    echo "Expected PYTHON to be a Python ${PYTHON_VERSION:->= $oldest}, found" \
        "PYTHON=$PYTHON ($("$PYTHON" --version 2>&1 || true)): point it at another interpreter." >&2
    exit 1
fi

if [ -n "${PYTHON_VERSION:-}" ]; then
    find_minor "$PYTHON_VERSION" && exit 0
    echo "Expected a Python $PYTHON_VERSION on PATH or in pyenv, found none:" \
        "install it, or name an interpreter with PYTHON=/path/to/python." >&2
    exit 1
fi

# .python-version may say 3.12 or 3.12.1: its first two numbers are what matters here.
preferred=$(cut -d. -f1,2 "$root/.python-version" 2>/dev/null || true)
for minor in $preferred $tested; do
    find_minor "$minor" && exit 0
done
for candidate in python3 python "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.*/bin/python; do
    resolve "$candidate" && exit 0
done
echo "Expected a Python >= $oldest on PATH or in pyenv, found python3 = $(python3 --version 2>&1 || true):" \
    "install one, or name an interpreter with PYTHON=/path/to/python." >&2
exit 1
