# What the scripts of this folder share: where the private SLURM lives, and whether a part of it runs.
lab=${SLURM_LAB_DIR:-${TMPDIR:-/tmp}/skymix-slurm}
mkdir -p "$lab"
lab=$(cd "$lab" && pwd -P)
export SLURM_CONF=$lab/slurm.conf

pid_in() { if [ -e "$1" ]; then tr -dc 0-9 <"$1"; fi; }

# runs PIDFILE PROGRAM: whether that very process lives and is no zombie
runs() {
    local pid
    pid=$(pid_in "$1") && [ -n "$pid" ] || return 1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] &&
        ! grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null
}
