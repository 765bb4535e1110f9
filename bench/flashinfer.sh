#!/usr/bin/env bash
# Builds and runs FlashInfer's decode kernel at the shapes of `gpu_check --rates`.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: bench/flashinfer.sh DATA [--arch 90a]
  DATA    flashinfer/data of the unpacked wheel: pip download --no-deps flashinfer-python==0.6.18
USAGE
}

arch=90a data=''
while (($#)); do
  case $1 in
    --arch) arch=$2; shift ;;
    -h | --help) usage; exit ;;
    -*) usage >&2; exit 64 ;;
    *) data=$1 ;;
  esac
  shift
done
[[ -d $data/include/flashinfer ]] || { usage >&2; exit 64; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Its own cccl before the toolkit's.
"${NVCC:-nvcc}" -std=c++17 -O3 -gencode "arch=compute_$arch,code=sm_$arch" --expt-relaxed-constexpr -w \
  -I"$data/cccl/libcudacxx/include" -I"$data/cccl/cub" -I"$data/cccl/thrust" -I"$data/include" \
  "$here/flashinfer_decode.cu" -o "$folder/decode"
"$folder/decode"
