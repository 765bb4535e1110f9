#!/usr/bin/env bash
# Sets up, builds the release preset and runs its tests; arguments go to ctest (scripts/test.sh -R store).
set -euo pipefail
[[ ${1:-} != --help && ${1:-} != -h ]] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/build.sh release
cmake --build --preset release --target headers_alone
scripts/build.sh fuzz
. scripts/env.sh
# exec: ctest's closing line and its exit code are this script's.
exec ctest --preset release --output-on-failure -j 2 "$@"
