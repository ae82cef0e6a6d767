# shellcheck shell=bash
# Source this file in bash, zsh or ksh to use Tykky in a shell:
#
#     . <where tykky is>/share/setup-env.sh
#
# It puts the program on PATH (`man` then has its pages), sets up completion, and defines the
# function `tykky`, which adds two verbs because only a function can change the shell it is called in:
#
#     tykky activate NAME|PATH     put the commands of a stack first on PATH
#     tykky deactivate             take them away again
#
# The same are __tykky_activate and __tykky_deactivate; __tykky_get_env_path NAME prints a path.
# NAME is looked up in the folders of TYKKY_PATH (a colon list), then among what is installed in
# the configured root, then in the working directory. With TYKKY_CHANGE_PS1=0 the prompt stays
# as it is. Until it is activated again, a stack stays the generation that it was: TYKKY_PINS says
# which. All of it works under `set -eu`.

# Prints a line for the user; the first word is what comes before it.
_tykky_say() {
    printf '%s\n' "tykky: $*" >&2
}

# Whether $1 is the prefix of an install, of this Tykky or of the classic one.
_tykky_is_install() {
    [ -d "$1/bin" ] && { [ -f "$1/.tykky/current/launch.conf" ] || [ -f "$1/common.sh" ]; }
}

# Prints the folders of TYKKY_PATH that have an install named $1, one a line.
_tykky_in_path() {
    printf '%s\n' "${TYKKY_PATH-}" | tr ':' '\n' | while IFS= read -r _tykky_folder; do
        if [ -n "$_tykky_folder" ] && _tykky_is_install "$_tykky_folder/$1"; then
            printf '%s\n' "$_tykky_folder/$1"
        fi
    done
}

# Prints the prefix of the install that a spec means. Of several it is the one that is the
# default among their modules, too.
_tykky_in_store() {
    _tykky_status=0
    # A line for each install; the first word of one is "True".
    _tykky_found=$(command tykky find "$@" --format '{default} {prefix}' 2>/dev/null) ||
        _tykky_status=$?
    case $_tykky_status in
        0) ;;
        # There is none, or these words are no spec at all.
        3 | 6) return 6 ;;
        *)
            # Something else is wrong: let the program say it.
            command tykky find "$@" --format '' >/dev/null
            return "$_tykky_status"
            ;;
    esac
    printf '%s\n' "$_tykky_found" | sed -n 's/^True //p'
}

# Prints the prefix that is meant by NAME, PATH, or the words of a spec.
_tykky_prefix_of() {
    case $1 in
        */* | . | ..)
            if _tykky_is_install "$1"; then
                printf '%s\n' "$1"
                return 0
            fi
            ;;
        *)
            _tykky_found=$(_tykky_in_path "$1")
            if [ -n "$_tykky_found" ]; then
                _tykky_first=$(printf '%s\n' "$_tykky_found" | head -n 1)
                if [ "$_tykky_first" != "$_tykky_found" ]; then
                    _tykky_say "several folders of TYKKY_PATH have '$1'; the first is taken:" \
                        "$_tykky_first"
                elif _tykky_is_install "./$1" && ! [ "$_tykky_first" -ef "./$1" ]; then
                    _tykky_say "'$1' of TYKKY_PATH is taken, not the one in this directory" \
                        "(./$1)"
                fi
                printf '%s\n' "$_tykky_first"
                return 0
            fi
            ;;
    esac
    # A name may have a version behind a slash: python-data/26.11.
    case $1 in
        /* | ./* | ../* | . | .. | */) ;;
        *)
            _tykky_status=0
            _tykky_in_store "$@" || _tykky_status=$?
            [ "$_tykky_status" -eq 6 ] || return "$_tykky_status"
            ;;
    esac
    if _tykky_is_install "./$1"; then
        printf '%s\n' "./$1"
        return 0
    fi
    if [ -e "$1" ]; then
        _tykky_say "$1 is no install of Tykky"
        printf '%s\n' "  give the folder that has the install's bin in it" >&2
    else
        _tykky_say "there is no install '$*'"
        printf '%s\n' "  'tykky find' shows what there is, and TYKKY_PATH is '${TYKKY_PATH-}'" >&2
    fi
    return 6
}

# Prints the path of the install that NAME or PATH means.
__tykky_get_env_path() (
    if [ -z "${1-}" ]; then
        printf '%s\n' "usage: __tykky_get_env_path NAME|PATH" >&2
        exit 2
    fi
    _tykky_found=$(_tykky_prefix_of "$@") || exit $?
    # The path without links: what an install is called must not change while it is in use.
    CDPATH='' cd -P -- "$_tykky_found" >/dev/null && pwd -P
)

# Lets this session keep the generation that is the current one of the place $1.
_tykky_pin() {
    _tykky_number=$(readlink -- "$1/.tykky/current" 2>/dev/null) || _tykky_number=
    _tykky_number=${_tykky_number##*/}
    case $_tykky_number in
        '' | *[!0-9]*) ;;
        *) export TYKKY_PINS="$1=$_tykky_number${TYKKY_PINS:+:$TYKKY_PINS}" ;;
    esac
    unset _tykky_number
}

# Takes what is pinned of the place $1 out of TYKKY_PINS.
_tykky_unpin() {
    [ -n "${TYKKY_PINS-}" ] || return 0
    _tykky_left="$TYKKY_PINS:"
    TYKKY_PINS=
    while [ -n "$_tykky_left" ]; do
        _tykky_item=${_tykky_left%%:*}
        _tykky_left=${_tykky_left#*:}
        # A path may have an equals sign in it; what comes after the last one is the number.
        if [ -n "$_tykky_item" ] && [ "${_tykky_item%=*}" != "$1" ]; then
            TYKKY_PINS="${TYKKY_PINS:+$TYKKY_PINS:}$_tykky_item"
        fi
    done
    [ -n "$TYKKY_PINS" ] || unset TYKKY_PINS
    unset _tykky_left _tykky_item
}

__tykky_activate() {
    case ${1-} in
        '' | -*)
            printf '%s\n' "usage: tykky activate NAME|PATH" \
                "" "Put the commands of a stack first on PATH; 'tykky deactivate' undoes it." \
                "NAME is looked up in TYKKY_PATH, in the store, and in this directory." >&2
            case ${1-} in -h | --help) return 0 ;; esac
            return 2
            ;;
    esac
    _tykky_new=$(__tykky_get_env_path "$@") || return $?
    case $_tykky_new in
        *:*)
            _tykky_say "$_tykky_new cannot be on PATH: it has a colon in it"
            return 7
            ;;
    esac
    __tykky_deactivate
    export TYKKY_PREFIX="$_tykky_new"
    _tykky_unpin "$TYKKY_PREFIX"
    _tykky_pin "$TYKKY_PREFIX"
    PATH="$TYKKY_PREFIX/bin${PATH:+:$PATH}"
    if [ "${TYKKY_CHANGE_PS1:-1}" != 0 ] && [ -n "${PS1-}" ]; then
        _tykky_prompt=$1
        [ ! -d "$1" ] || _tykky_prompt=${_tykky_new##*/}
        # A prompt is evaluated, so only harmless characters of the name go into it.
        _tykky_prompt=$(printf '%s' "$_tykky_prompt" | LC_ALL=C tr -c 'A-Za-z0-9._+@/-' _)
        _tykky_prompt="($_tykky_prompt) "
        PS1="$_tykky_prompt$PS1"
    fi
    hash -r 2>/dev/null || :
}

__tykky_deactivate() {
    if [ -n "${TYKKY_PREFIX-}" ]; then
        # The first entry only, and nothing else: what came to PATH since then stays.
        case ":$PATH:" in
            *":$TYKKY_PREFIX/bin:"*)
                _tykky_rest=":$PATH:"
                _tykky_before=${_tykky_rest%%":$TYKKY_PREFIX/bin:"*}
                _tykky_rest="$_tykky_before:${_tykky_rest#*":$TYKKY_PREFIX/bin:"}"
                _tykky_rest=${_tykky_rest#:}
                PATH=${_tykky_rest%:}
                ;;
        esac
        _tykky_unpin "$TYKKY_PREFIX"
        if [ -n "${_tykky_prompt-}" ]; then
            case ${PS1-} in
                "$_tykky_prompt"*) PS1=${PS1#"$_tykky_prompt"} ;;
            esac
        fi
    fi
    unset TYKKY_PREFIX _tykky_prompt
    hash -r 2>/dev/null || :
}

tykky() {
    case ${1-} in
        activate)
            shift
            __tykky_activate "$@"
            ;;
        deactivate) __tykky_deactivate ;;
        *) command tykky "$@" ;;
    esac
}

# Scripts that this shell starts, batch jobs above all, can activate as well.
if [ -n "${BASH_VERSION-}" ]; then
    export -f tykky __tykky_activate __tykky_deactivate __tykky_get_env_path _tykky_prefix_of _tykky_in_store \
        _tykky_in_path _tykky_is_install _tykky_pin _tykky_unpin _tykky_say
fi

# Where this file is; each shell has its own word for it, which the others cannot even parse.
if [ -n "${BASH_VERSION-}" ]; then
    _tykky_share=${BASH_SOURCE[0]}
elif [ -n "${ZSH_VERSION-}" ]; then
    eval '_tykky_share=${(%):-%x}'
else
    eval '_tykky_share=${.sh.file}'
fi
_tykky_share=$(dirname -- "$(readlink -f -- "$_tykky_share")")

case ":$PATH:" in
    *":$_tykky_share/bin:"*) ;;
    *) PATH="$_tykky_share/bin${PATH:+:$PATH}" ;;
esac
export PATH

# Where there is no MANPATH, or one with an empty item, `man` finds the pages by PATH.
case ":${MANPATH-}:" in
    *::* | *":$_tykky_share/man:"*) ;;
    *) MANPATH="$_tykky_share/man:$MANPATH" ;;
esac

# A ksh exports no functions, but its scripts find those of the classic names by this variable.
if [ -z "${BASH_VERSION-}${ZSH_VERSION-}" ]; then
    case ":${FPATH-}:" in
        *":$_tykky_share/sh_functions:"*) ;;
        *) FPATH="$_tykky_share/sh_functions${FPATH:+:$FPATH}" ;;
    esac
    export FPATH
fi

case $- in
    *i*)
        if [ -n "${BASH_VERSION-}" ] && [ -f "$_tykky_share/completions/tykky.bash" ]; then
            # shellcheck source=/dev/null
            . "$_tykky_share/completions/tykky.bash"
        elif [ -n "${ZSH_VERSION-}" ] && [ -f "$_tykky_share/completions/_tykky" ]; then
            eval 'fpath=("$_tykky_share/completions" $fpath)'
            # If completion is set up later, compinit finds the file by itself.
            if command -v compdef >/dev/null; then
                autoload -Uz _tykky && compdef _tykky tykky
            fi
        fi
        ;;
esac
unset _tykky_share
