#!/usr/bin/env bash
# node.sh kill|start NODE: the node loses its power (slurmd and all that it runs), or comes back.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
node=$2

# Processes of the node's jobs; their slurmstepd is the parent of the tasks.
processes() {
    local process pid
    for process in /proc/[0-9]*; do
        pid=${process#/proc/}
        [ "$(cat "$process/comm" 2>/dev/null)" = slurmd ] && continue
        tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -qx "SLURMD_NODENAME=$node" && echo "$pid"
    done
}

case $1 in
start) slurmd -N "$node" ;;
kill)
    kill -KILL "$(pid_in "$lab/run/slurmd-$node.pid")"
    rm -f "$lab/run/slurmd-$node.pid"
    # Again and again: a slurmstepd that has just begun shows no process of the node yet.
    for _ in $(seq 20); do
        for pid in $(processes); do
            parent=$(awk '/^PPid/ { print $2 }' "/proc/$pid/status" 2>/dev/null)
            if [ "$(cat "/proc/${parent:-0}/comm" 2>/dev/null)" = slurmstepd ]; then
                kill -KILL "$parent" 2>/dev/null
            fi
            kill -KILL "$pid" 2>/dev/null
        done
        sleep 0.1
    done
    ;;
*) echo "node.sh: kill or start, not $1" >&2; exit 2 ;;
esac
exit 0
