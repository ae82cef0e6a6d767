# shellcheck shell=bash
# What completes the words of tykky in bash; a part of tykky.bash, made by 'tykky completion bash'.
_tykky_matching() {
  local word
  while IFS= read -r word; do [[ $word != "$1"* ]] || printf '%s\n' "$word"; done
}
_tykky_recipes() {
  command tykky list 2>/dev/null | cut -d ' ' -f 1 | _tykky_matching "$1"
}
_tykky_installs() {
  command tykky find --format '{module}' 2>/dev/null | _tykky_matching "$1"
}
_tykky_stacks() {
  local folder install folders
  IFS=: read -r -a folders <<<"${TYKKY_PATH-}"
  {
    _tykky_installs "$1"
    for folder in "${folders[@]}"; do
      for install in "$folder"/*/bin; do
        [[ ! -d $install ]] || { install=${install%/bin}; printf '%s\n' "${install##*/}"; }
      done
    done | _tykky_matching "$1"
    compgen -d -- "$1"
  } | sort -u
}
_tykky_keys() {
  printf '%s\n' @KEYS@ | _tykky_matching "$1"
}
