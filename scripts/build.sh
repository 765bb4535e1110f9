#!/usr/bin/env bash
# Sets up, configures and builds one preset: scripts/build.sh [PRESET [--target NAME] [cmake option...]]
set -euo pipefail
[[ ${1:-} != --help && ${1:-} != -h ]] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=${1:-release}
[[ $preset != -* ]] || { echo "build: found the option $preset, expected a preset first (release); see --help" >&2; exit 64; }
shift || true
target=()
if [[ ${1:-} == --target ]]; then
  target=(--target "${2:?build: --target needs a name}")
  shift 2
fi

setup=()
[[ $preset != cuda ]] || setup=(--cuda)
scripts/setup.sh ${setup[@]+"${setup[@]}"}

# nvcc from the wheels, where setup.sh found no other.
wheel_nvcc=(.venv/lib/python3*/site-packages/nvidia/cu13/bin/nvcc)
if [[ -z ${CUDACXX:-} && -x ${wheel_nvcc[0]} ]]; then
  export CUDACXX="$PWD/${wheel_nvcc[0]}"
fi

cmake --preset "$preset" "$@"
cmake --build --preset "$preset" ${target[@]+"${target[@]}"}
