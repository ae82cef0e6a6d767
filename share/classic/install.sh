#!/bin/bash
# shellcheck disable=SC2154
# The beginning of the script of a classic install: what scripts of users print with, and what
# installs with uv, or with pip what only pip understands, into the environment $env_root.
# $CW_BUILD_TMPDIR is a directory for that.
print_info() { printf '[ INFO ] %s\n' "$1"; }
print_warn() { printf '[ WARNING ] %s\n' "$1"; }
print_err() { printf '[ ERROR ] %s\n' "$1"; }
tykky_by_pip() {
    echo "uv does not understand the requirements; pip is asked"
    rm -f "$CW_BUILD_TMPDIR/uv.status"
    if [ -n "$PIP_UPLOADED_PRIOR_TO" ] &&
        ! "${env_root}bin/python" -m pip install --help | grep -e --uploaded-prior-to > /dev/null; then
        print_err "this pip knows nothing of pip.quarantine: it needs pip 26 in the environment"
        return 1
    fi
    set -- "$@" --disable-pip-version-check
    # Which takes the best version of all indexes: what it takes from where is told afterwards.
    if [ -n "$PIP_EXTRA_INDEX_URL" ] &&
        "${env_root}bin/python" -m pip install --help | grep -e --report > /dev/null; then
        set -- "$@" --report "$(mktemp "$CW_BUILD_TMPDIR/by-pip.XXXXXX")"
    fi
    PYTHONUNBUFFERED=1 "${env_root}bin/python" -m pip install "$@"
}
tykky_by_uv() {
    local said=$CW_BUILD_TMPDIR/uv.said status=$CW_BUILD_TMPDIR/uv.status
    # Seen as it comes; a pipe has no other way to tell how its first part has ended.
    echo 0 > "$status"
    { uv pip install --python "${env_root}bin/python" "$@" 2>&1 || echo $? > "$status"; } |
        tee "$said"
    status=$(cat "$status")
    [ "$status" -ne 0 ] || return 0
    grep -qiE "couldn't parse requirement|expected .*, found|unexpected '" "$said" ||
        return "$status"
    tykky_by_pip "$1" "$2" # without what is for uv
}
