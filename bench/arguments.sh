# shellcheck shell=bash
# To be sourced by benchmarks beside a Python peer, with usage() defined: reads the command line into bench (the
# command of ours), python, device and small ("small" or nothing). Set before: device, where it is not cpu, and
# folder, where --folder is allowed.

python=python3 device=${device:-cpu} small=() bench=()
while (($#)); do
  case $1 in
    --python) python=$2; shift ;;
    --device) device=$2; shift ;;
    --folder) [[ -v folder ]] || { usage >&2; exit 64; }; folder=$2; shift ;;
    --small) small=(small) ;;
    -h | --help) usage; exit ;;
    -*) usage >&2; exit 64 ;;
    *) bench+=("$1") ;;
  esac
  shift
done
((${#bench[@]})) || { usage >&2; exit 64; }
