#!/usr/bin/env bash
# Formats our C++ and CUDA sources by .clang-format; --check changes nothing and fails where it would.
set -euo pipefail
[[ ${1:-} != --help && ${1:-} != -h ]] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Versions lay out differently, so everybody uses one: Debian 12's, which Ubuntu 24.04 has too.
readonly VERSION=14

find_clang_format() {
  local candidate
  for candidate in "clang-format-$VERSION" clang-format; do
    if "$candidate" --version 2>/dev/null | grep -q "version $VERSION\."; then
      echo "$candidate"
      return
    fi
  done
  echo "format: clang-format $VERSION is missing: apt-get install clang-format-$VERSION" >&2
  exit 69
}

case "${1:-}" in
  '') mode=(-i) ;;
  --check) mode=(--dry-run --Werror) ;;
  *) echo 'usage: scripts/format.sh [--check]' >&2; exit 64 ;;
esac

clang_format=$(find_clang_format)
folders=()
for folder in include src tests bench; do
  [[ ! -d $folder ]] || folders+=("$folder")
done
find "${folders[@]}" -type f \( -name '*.cpp' -o -name '*.hpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
  xargs -0 -r "$clang_format" --style=file "${mode[@]}"
