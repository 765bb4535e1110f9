#!/usr/bin/env bash
# Runs the sandbox on a kernel with control groups of version 2, whatever this machine has: User-Mode Linux (Debian's package
# user-mode-linux), whose root is this machine's tree.
#
#   scripts/cgroup_v2.sh [build/release/preimage-sandbox]
#
# Prints a line for each check and "cgroup v2: N checks, 0 failed". About two minutes.
set -euo pipefail
[[ ${1:-} != --help && ${1:-} != -h ]] || { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v linux.uml >/dev/null || { echo "cgroup_v2: linux.uml is missing: apt-get install user-mode-linux" >&2; exit 69; }
sandbox=$(readlink -f "${1:-build/release/preimage-sandbox}")
python=$(python3 -c 'import sys; print(sys._base_executable or sys.executable)')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/init" <<INIT
#!/bin/bash
export PATH=$(dirname "$python"):/usr/bin:/bin:/usr/sbin:/sbin HOME=/root
mount -t proc proc /proc
mount -t cgroup2 groups /sys/fs/cgroup
cd "$PWD" && "$python" scripts/cgroup_v2.py "$sandbox" > "$work/out" 2>&1
echo "exit code \$?" >> "$work/out"
"$python" -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321fedc)'
INIT
chmod +x "$work/init"
timeout 500 linux.uml mem=1500M root=/dev/root rootfstype=hostfs rootflags=/ rw init="$work/init" con=null quiet \
  < /dev/null > "$work/kernel" 2>&1 || true
cat "$work/out"
grep -q '^exit code 0$' "$work/out"
