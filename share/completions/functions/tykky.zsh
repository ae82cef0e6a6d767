# What completes the words of tykky in zsh; a part of _tykky, made by 'tykky completion zsh'.
_tykky_recipes() {
  local -a words
  words=(${${(f)"$(command tykky list 2>/dev/null)"}%% *})
  compadd -a words
}
_tykky_installs() {
  local -a words
  words=(${(f)"$(command tykky find --format '{module}' 2>/dev/null)"})
  compadd -a words
}
_tykky_stacks() {
  local -a words
  words=(${^${(s.:.)TYKKY_PATH}}/*/bin(N:h:t))
  compadd -a words
  _tykky_installs
  _files -/ -F words
}
_tykky_keys() {
  compadd @KEYS@
}
