#!/usr/bin/env bash
# Stop what up.sh started in SLURM_LAB_DIR, by its pid files, jobs first; --purge removes the folder.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

# stop PIDFILE PROGRAM
stop() {
    local pid
    if runs "$1" "$2"; then
        pid=$(pid_in "$1")
        kill "$pid"
        for _ in $(seq 100); do runs "$1" "$2" || break; sleep 0.1; done
        if runs "$1" "$2"; then kill -9 "$pid"; fi
    fi
    rm -f "$1"
}

if runs "$lab/run/slurmctld.pid" slurmctld; then
    timeout 10 squeue -h -o %A 2>/dev/null | sort -u | xargs -r timeout 10 scancel 2>/dev/null
    for _ in $(seq 100); do [ -z "$(timeout 10 squeue -h 2>/dev/null)" ] && break; sleep 0.1; done
fi
for pidfile in "$lab"/run/slurmd-*.pid; do [ -e "$pidfile" ] && stop "$pidfile" slurmd; done
stop "$lab/run/slurmctld.pid" slurmctld
stop "$lab/munge-run/pid" munged
if [ "$(readlink /etc/slurm/slurm.conf)" = "$lab/slurm.conf" ]; then rm -f /etc/slurm/slurm.conf; fi
if [ "${1:-}" = --purge ]; then rm -rf "$lab"; fi
exit 0
