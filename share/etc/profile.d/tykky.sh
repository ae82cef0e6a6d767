# shellcheck shell=bash
# What the classic Tykky had its users source; see ../../setup-env.sh, which this is.

if [ -n "${BASH_VERSION-}" ]; then
    _tykky_profile=${BASH_SOURCE[0]}
elif [ -n "${ZSH_VERSION-}" ]; then
    eval '_tykky_profile=${(%):-%x}'
else
    eval '_tykky_profile=${.sh.file}'
fi
_tykky_profile=$(dirname -- "$(readlink -f -- "$_tykky_profile")")
# shellcheck source=share/setup-env.sh
. "$_tykky_profile/../../setup-env.sh"
unset _tykky_profile
