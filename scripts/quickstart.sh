#!/usr/bin/env bash
# From a clean clone to a first result on two CPU cores: sets up, builds, runs the quick dcm job on two ranks,
# prints the result table and makes its report. A run that was cut short goes on where it was.
set -euo pipefail
[[ ${1:-} != --help && ${1:-} != -h ]] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."

(($# == 0)) || { echo "quickstart: takes no argument, found $1" >&2; exit 64; }
out=out/quick-dcm

scripts/build.sh release --target preimage
. scripts/env.sh
mpirun -n 2 build/release/preimage run jobs/quick/dcm.json --out "$out" --resume
.venv/bin/python analysis/report.py "$out"
