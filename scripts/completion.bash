# shellcheck shell=bash
# Completion of `preimage` in bash; scripts/env.sh sources it, `cmake --install` puts it where bash looks. Commands,
# options and methods are asked of the program itself, each once in a shell.

declare -gA _preimage_words=()

_preimage_ask() {  # KEY COMMAND...: the words that COMMAND prints, kept under KEY
  local key=$1
  shift
  [[ -v _preimage_words[$key] ]] || _preimage_words[$key]=$("$@")
}

_preimage_commands() { "$1" --help 2>/dev/null | sed -n '/^Subcommands:/,$ s/^  \([a-z][a-z]*\) .*/\1/p'; }
_preimage_options() { "$1" "$2" --help 2>/dev/null | sed -n 's/^  \(-[^ ]*\).*/\1/p' | tr , '\n'; }
_preimage_methods() { "$1" methods 2>/dev/null | sed 's/ .*//'; }

_preimage() {
  local program=$1 word=$2 command=${COMP_WORDS[1]:-} words=''
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _preimage_ask commands _preimage_commands "$program"
    words=${_preimage_words[commands]}
  elif [[ $word == -* ]]; then
    _preimage_ask "options $command" _preimage_options "$program" "$command"
    words=${_preimage_words[options $command]}
  elif [[ $command == schema || $command == help ]]; then
    _preimage_ask methods _preimage_methods "$program"
    words=${_preimage_words[methods]}
    if [[ $command == help ]]; then
      _preimage_ask commands _preimage_commands "$program"
      words+=$'\n'${_preimage_words[commands]}
    fi
  fi
  local line
  while IFS= read -r line; do
    [[ -z $line ]] || COMPREPLY+=("$line")
  done < <(compgen -W "$words" -- "$word")
}
# Where there is no word of its own, bash completes files: jobs, folders of runs.
complete -o default -o bashdefault -F _preimage preimage
