#!/usr/bin/env bash
# Installs what preimage is built from: distribution packages by apt, Python wheels into .venv.
# Says first what it will do; a second run finds everything there and ends at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'EOF'
usage: scripts/setup.sh [--cuda] [--fetch] [--targets] [--reference] [--no-apt] [--yes]
  --cuda       also what a CUDA build needs: NVIDIA's wheels, and nvcc 13 where there is none (about 3 GB)
  --fetch      also the hub's client, for scripts/fetch.py model
  --targets    also tokenizers and parsers, for scripts/targets/collect.py
  --reference  also .venv-reference: transformers, scikit-learn, a whole torch, to compare with (about 7 GB)
  --no-apt     leave the distribution's packages alone (needed tools come from elsewhere: modules, conda)
  --yes        ask nothing
EOF
}

readonly EX_UNAVAILABLE=69 EX_USAGE=64
say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit "$EX_UNAVAILABLE"; }

# ---------------------------------------------------------------- distribution packages

# Without these nothing is built or run.
readonly NEEDED=(
  g++ cmake ninja-build pkg-config git python3 python3-venv libopenmpi-dev openmpi-bin libhdf5-dev
  nlohmann-json3-dev libspdlog-dev libcli11-dev libgtest-dev libgmock-dev libbenchmark-dev libpcre2-dev
  libutf8proc-dev libseccomp-dev libssl-dev zlib1g-dev
)
# Faster builds, the fuzz preset, h5dump: a machine without root does without them.
wanted_packages() {
  echo ccache hdf5-tools clang "$(clang_runtime)"
}

# clang's runtime (libFuzzer, sanitizers) is versioned; `clang` is the distribution's default version.
clang_runtime() {
  local ID='' VERSION_ID=''
  # shellcheck source=/dev/null
  [[ ! -r /etc/os-release ]] || . /etc/os-release
  case "$ID:$VERSION_ID" in
    debian:12) echo libclang-rt-14-dev ;;
    ubuntu:24.04) echo libclang-rt-18-dev ;;
    *) echo libclang-rt-dev ;;
  esac
}

missing_packages() {  # NAME...: those that dpkg does not list as installed, on one line
  local installed name missing=()
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
  for name in "$@"; do
    grep -qxF "installed $name" <<<"$installed" || missing+=("$name")
  done
  echo "${missing[*]}"
}

can_become_root() {
  ((EUID == 0)) && return
  command -v sudo >/dev/null || return 1
  # A person at a terminal can type the password later, when they have read the plan.
  sudo -n true 2>/dev/null || [[ -z $assume_yes && -t 0 ]]
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

apt_install() {  # NAME...
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  # One broken third-party list must not stop us: the install below decides.
  as_root "${apt[@]}" update || say "apt-get update had errors; going on with the lists that are there"
  as_root "${apt[@]}" install -y --no-install-recommends "$@" || fail "apt-get could not install: $*"
}

plan_apt() {  # sets apt_list
  apt_list=()
  [[ -z $no_apt ]] || return 0
  command -v dpkg-query >/dev/null ||
    fail "this is not Debian or Ubuntu: install the equivalents of ${NEEDED[*]}, then run again with --no-apt"
  local needed wanted
  needed=$(missing_packages "${NEEDED[@]}")
  # shellcheck disable=SC2046  # a list of names
  wanted=$(missing_packages $(wanted_packages))
  [[ -n $needed$wanted ]] || return 0
  if can_become_root; then
    read -ra apt_list <<<"$needed $wanted"
  elif [[ -n $needed ]]; then
    fail "neither root nor sudo here; ask for: apt-get install $needed"
  else
    say "going on without (needs root): $wanted"
  fi
}

# ---------------------------------------------------------------- Python packages

section() {  # NAME: the pins of one section of requirements.txt
  awk -v name="[$1]" '/^# \[/ { inside = ($2 == name); next } inside && /^[^#]/' requirements.txt
}

fingerprint() { section "$1" | sha256sum | cut -d' ' -f1; }

# A stamp is written when a section stands whole, so a run that was killed has none.
stamped() {  # VENV SECTION
  [[ -x $1/bin/python && -f $1/.preimage-$2 && $(<"$1/.preimage-$2") == "$(fingerprint "$2")" ]]
}

# pip writes INSTALLER after a package's files: a dist-info without it is what a killed run left.
half_installed() {  # VENV
  local info
  for info in "$1"/lib/python3*/site-packages/*.dist-info; do
    [[ ! -d $info || -f $info/INSTALLER ]] || echo "$info"
  done
}

venv_works() {  # VENV
  [[ -x $1/bin/python ]] && ! half_installed "$1" | grep -q '/pip-' && "$1/bin/python" -c 'import pip' 2>/dev/null
}

# The distribution's, which every user of this machine can run; a python3 that comes first in PATH may lie in
# somebody's home (pyenv, conda), and what it makes is of no use to others. Where the distribution's will not
# do, the one in PATH.
choose_python() {
  local candidate
  for candidate in /usr/bin/python3 "$(command -v python3 || true)"; do
    "${candidate:-false}" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    echo "$candidate"
    return
  done
  return 1
}

# Whether other users reach a file: every folder above it can be passed.
open_to_all() {  # FILE
  local path
  path=$(readlink -f "$1")
  while [[ $path != / ]]; do
    (($(stat -c '0%a' "$path") & 1)) || return
    path=$(dirname "$path")
  done
}

make_venv() {  # VENV
  venv_works "$1" && return
  local python
  python=$(choose_python) ||
    fail "no Python 3.11 or newer with venv, neither /usr/bin/python3 nor in PATH (Debian and Ubuntu: python3-venv)"
  # Stamps go first: were they to outlive the packages, a killed run would look whole.
  rm -f "$1"/.preimage-*
  "$python" -m venv --clear "$1" || fail "$python -m venv $1 failed (on Debian and Ubuntu it needs python3-venv)"
}

# A .venv of before: it works for whoever made it.
warn_of_private_python() {  # VENV
  ! open_to_all "$1/bin/python" || return 0
  say "$1 runs $(readlink -f "$1/bin/python"), which other users cannot; for them: rm -r $1, and run this again"
}

install_section() {  # VENV SECTION
  stamped "$1" "$2" && return
  say "$1: installing section $2"
  half_installed "$1" | xargs -r rm -r
  rm -rf "$1"/lib/python3*/site-packages/~*
  rm -f "$1/.preimage-$2"
  local quiet=--quiet
  [[ ! -t 1 ]] || quiet=--progress-bar=on
  "$1/bin/python" -m pip install --no-deps --disable-pip-version-check "$quiet" -r <(section "$2") ||
    fail "pip could not install section $2 of requirements.txt into $1"
  fingerprint "$2" >"$1/.preimage-$2"
}

install_into() {  # VENV SECTION...
  local venv=$1 name
  shift
  for name in "$@"; do
    stamped "$venv" "$name" || { make_venv "$venv"; install_section "$venv" "$name"; }
  done
}

plan_venv() {  # VENV SECTION...: prints what is to be installed; false where nothing is
  local venv=$1 name todo=()
  shift
  for name in "$@"; do
    stamped "$venv" "$name" || todo+=("$name")
  done
  ((${#todo[@]})) || return
  say "will install into $venv, from requirements.txt: ${todo[*]}"
}

# ---------------------------------------------------------------- CUDA

nvcc_release() {  # NVCC: prints 13.0
  "$1" --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\),.*/\1/p'
}

# torch 2.11's wheel is built with CUDA 13.0; any 13.x compiles for it, no other major version does.
find_nvcc() {
  local candidate
  for candidate in "${CUDACXX:-}" nvcc "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" /usr/local/cuda/bin/nvcc; do
    candidate=$(command -v "${candidate:-nvcc}") || continue
    [[ $(nvcc_release "$candidate") == 13.* ]] && { echo "$candidate"; return; }
  done
  return 1
}

# The wheels hold lib/libX.so.N alone; compilers and CMake look for lib64/libX.so.
link_cuda_libraries() {  # FOLDER of nvidia/cu13
  local file name
  mkdir -p "$1/lib64"
  for file in "$1"/lib/*.so.* "$1"/lib/*.a; do
    name=${file##*/}
    ln -sfn "../lib/$name" "$1/lib64/$name"
    [[ $name != *.so.* ]] || ln -sfn "../lib/$name" "$1/lib64/${name%%.so.*}.so"
  done
}

finish_cuda() {
  local site=(.venv/lib/python3*/site-packages/nvidia) nvcc
  [[ -f ${site[0]}/nccl/include/nccl.h ]] || fail "nccl.h is not where nvidia-nccl-cu13 puts it: ${site[0]}/nccl/include"
  if ! nvcc=$(find_nvcc); then
    link_cuda_libraries "${site[0]}/cu13"
    nvcc=$PWD/${site[0]}/cu13/bin/nvcc
    [[ $(nvcc_release "$nvcc") == 13.* ]] || fail "no nvcc 13: install NVIDIA's cuda-toolkit-13-0, or set CUDACXX"
    say "nvcc $(nvcc_release "$nvcc") from the wheels (scripts/build.sh finds it; for cmake by hand: export CUDACXX=$nvcc)"
  else
    say "nvcc $(nvcc_release "$nvcc"): $nvcc"
  fi
}

# ---------------------------------------------------------------- main

parse() {
  cuda='' reference='' fetch='' targets='' no_apt='' assume_yes=''
  while (($#)); do
    case $1 in
      --cuda) cuda=1 ;;
      --reference) reference=1 ;;
      --fetch) fetch=1 ;;
      --targets) targets=1 ;;
      --no-apt) no_apt=1 ;;
      --yes | -y) assume_yes=1 ;;
      --help | -h) usage; exit ;;
      *) usage >&2; exit "$EX_USAGE" ;;
    esac
    shift
  done
}

confirm() {
  [[ -z $assume_yes && -t 0 ]] || return 0
  local answer
  read -rp 'setup: go on? [Y/n] ' answer
  [[ $answer == [nN]* ]] && exit 1
  return 0
}

main() {
  parse "$@"
  # One setup at a time in this tree; the lock goes with the process. NFS refuses a lock on a folder.
  exec 9<.
  flock 9 2>/dev/null || true
  local sections=(build analysis) work=''
  [[ -z $fetch ]] || sections+=(fetch)
  [[ -z $targets ]] || sections+=(targets)
  [[ -z $cuda ]] || sections+=(cuda)
  [[ -z $cuda ]] || find_nvcc >/dev/null || sections+=(nvcc)
  local whole=(build analysis cuda fetch targets reference)

  plan_apt
  if ((${#apt_list[@]})); then
    say "will install by apt-get: ${apt_list[*]}"
    work=1
  fi
  plan_venv .venv "${sections[@]}" && work=1
  [[ -z $reference ]] || { plan_venv .venv-reference "${whole[@]}" && work=1; }
  [[ -z $work ]] || confirm

  ((${#apt_list[@]} == 0)) || apt_install "${apt_list[@]}"
  install_into .venv "${sections[@]}"
  [[ -z $reference ]] || install_into .venv-reference "${whole[@]}"
  [[ -z $cuda ]] || finish_cuda
  warn_of_private_python .venv
  say "everything is there; in each new shell: . scripts/env.sh"
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
