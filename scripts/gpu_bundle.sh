#!/usr/bin/env bash
# Gathers programs built for one GPU architecture, with the libraries that a bare GPU machine lacks, in
# build/gpu-bundle, and packs them as build/gpu-bundle.tar.xz, small enough to travel beside the repository. The machine must have torch 2.11 for Python 3 with its CUDA 13 wheels, and Open MPI 4.1
# for programs that use it. There: build/gpu-bundle/run.sh PROGRAM [argument...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'EOF'
usage: scripts/gpu_bundle.sh [--arch 90a] [--build FOLDER] [TARGET...]
  --arch    CUDA architecture (default 90a: H100, H200)
  --build   build folder (default build/cuda)
  TARGET    what to build and gather (default: preimage gpu_check)
EOF
}

readonly EX_USAGE=64 LIMIT_MB=20
readonly bundle=build/gpu-bundle packed=build/gpu-bundle.tar.xz

# What every machine has, what comes with torch's wheels, and MPI, which must be the machine's own.
readonly THEIRS='^(ld-linux.*|lib(c|m|dl|rt|util|pthread|resolv|stdc\+\+|gcc_s|gomp|anl|nsl))\.so'\
'|^lib(torch|c10|cu|nv|nccl)[^/]*\.so|^lib(mpi|open-rte|open-pal)[^/]*\.so'

needed_by() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

# Copies what FILE needs into the folder TO; what those need goes beneath it, into indirect/, and is used
# only where the machine has no such library: its own ones rely on its own versions.
gather() {  # FILE TO
  local name path
  while read -r name; do
    [[ $name =~ $THEIRS || -e $bundle/lib/$name || -e $2/$name ]] && continue
    path=$(ldd "$1" | awk -v name="$name" '$1 == name { print $3 }')
    [[ -e $path ]] || { echo "gpu_bundle: $1 needs $name, which is not here: install it" >&2; exit 69; }
    install -m 755 -D "$(readlink -f "$path")" "$2/$name"
    gather "$path" "$bundle/lib/indirect"
  done < <(needed_by "$1")
}

write_runner() {
  cat >"$bundle/run.sh" <<'EOF'
#!/usr/bin/env bash
# run.sh PROGRAM [argument...]: runs a program of this bundle with the torch of python3.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
(($#)) || { echo "usage: run.sh PROGRAM [argument...]; here: $(cd "$here/bin" && echo *)" >&2; exit 64; }

torch=$(python3 -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])') ||
  { echo "run.sh: python3 has no torch" >&2; exit 69; }
path=$here/lib:$torch/lib
for folder in "$torch"/../nvidia/*/lib; do
  [[ ! -d $folder ]] || path+=:$folder
done

# Libraries of libraries: those that the machine lacks.
missing=$(mktemp -d)
known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p)
for file in "$here"/lib/indirect/*; do
  name=${file##*/}
  [[ $known == *"$name ("* || ! -e $file ]] || ln -s "$file" "$missing/$name"
done

export LD_LIBRARY_PATH=$path:$missing${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# cuBLAS, where ATen still calls it, is reproducible only with a fixed workspace.
export CUBLAS_WORKSPACE_CONFIG=${CUBLAS_WORKSPACE_CONFIG:-:4096:8}
program=$1
shift
status=0
"$here/bin/$program" "$@" || status=$?
rm -rf "$missing"
exit "$status"
EOF
  chmod +x "$bundle/run.sh"
}

main() {
  local arch=90a build=build/cuda targets=() target size
  while (($#)); do
    case $1 in
      --arch) arch=${2:?} && shift ;;
      --build) build=${2:?} && shift ;;
      --help | -h) usage; exit ;;
      -*) usage >&2; exit "$EX_USAGE" ;;
      *) targets+=("$1") ;;
    esac
    shift
  done
  ((${#targets[@]})) || targets=(preimage gpu_check)

  cmake --preset cuda -B "$build" "-DCMAKE_CUDA_ARCHITECTURES=$arch-real"
  cmake --build "$build" --target "${targets[@]}"

  rm -rf "$bundle"
  mkdir -p "$bundle/bin" "$bundle/lib/indirect"
  for target in "${targets[@]}"; do
    local program=$build/$target
    [[ -x $program ]] || program=$build/tests/$target
    strip -o "$bundle/bin/$target" "$program"
    gather "$program" "$bundle/lib"
  done
  strip --strip-unneeded "$bundle"/lib/*.so*
  write_runner

  tar -C "${bundle%/*}" -cf - "${bundle##*/}" | xz -6 >"$packed"
  size=$(du -sm --apparent-size "$packed" | cut -f1)
  du -sh "$bundle/bin"/* "$bundle/lib" "$bundle" "$packed"
  ((size <= LIMIT_MB)) || { echo "gpu_bundle: $packed has $size MB, over $LIMIT_MB MB: name fewer targets" >&2; exit 1; }
}

main "$@"
