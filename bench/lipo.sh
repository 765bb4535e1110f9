#!/usr/bin/env bash
# Gaussian process, acquisition and autoencoder of lipo beside GPyTorch, BoTorch and PyTorch in one run, each ours,
# theirs, ours; then the known objective in 64 dimensions.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: bench/lipo.sh BENCH [--python PYTHON] [--small]
  BENCH     the command that runs lipo_bench: build/release/lipo_bench
  --python  one with gpytorch, botorch and torch (default python3)
  --small   300 epochs of the process, 3 seeds, 20 epochs of the autoencoder, instead of 10,000, 20, 10,000
USAGE
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/arguments.sh"
gp_epochs=10000 seeds=20 vae_epochs=10000 known_seeds=20
if ((${#small[@]})); then gp_epochs=300 seeds=3 vae_epochs=20 known_seeds=5; fi
threads=${OMP_NUM_THREADS:-$(nproc)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
peer() { "$python" "$here/peers/lipo_peer.py" "$@" 2>/dev/null; }

"${bench[@]}" gp 250 "$gp_epochs"
peer gp 250 "$gp_epochs" 1
"${bench[@]}" gp 250 "$gp_epochs"
"${bench[@]}" acquisition 250 "$seeds" "$folder" 8
peer acquisition 250 "$seeds" "$folder" 64 "$threads"
peer acquisition 250 3 "$folder" 5 "$threads" # the plan's limit, ten times as slow
"${bench[@]}" acquisition 250 "$seeds" "$folder"
"${bench[@]}" vae 1000 "$vae_epochs" "$threads"
peer vae 1000 "$vae_epochs" "$threads"
"${bench[@]}" vae 1000 "$vae_epochs" "$threads"
"${bench[@]}" known "$known_seeds" 30 1
"${bench[@]}" known "$known_seeds" 30 0
