# shellcheck shell=bash
# To be sourced, from anywhere: `preimage` on the PATH (the release build; PREIMAGE_BUILD=cuda takes another) with
# completion in bash, and what Open MPI needs so that `mpirun -n N` runs anywhere. A value already set is kept.

preimage_root=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)
case ":$PATH:" in
  *":$preimage_root/build/${PREIMAGE_BUILD:-release}:"*) ;;
  *) export PATH="$preimage_root/build/${PREIMAGE_BUILD:-release}:$PATH" ;;
esac
# shellcheck source=scripts/completion.bash
if [ -n "${BASH_VERSION:-}" ]; then . "$preimage_root/scripts/completion.bash"; fi
unset preimage_root

# mpirun otherwise refuses more ranks than cores,
export OMPI_MCA_rmaps_base_oversubscribe="${OMPI_MCA_rmaps_base_oversubscribe:-1}"
# and binds each rank to one core, where its threads would share that core.
export OMPI_MCA_hwloc_base_binding_policy="${OMPI_MCA_hwloc_base_binding_policy:-none}"
# Containers commonly run as root, which mpirun refuses unless told twice.
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT="${OMPI_ALLOW_RUN_AS_ROOT:-1}"
  export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="${OMPI_ALLOW_RUN_AS_ROOT_CONFIRM:-1}"
fi
