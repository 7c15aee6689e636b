#!/usr/bin/env bash
# Start a private SLURM on this machine, as root and without systemd: munged, slurmctld and some
# slurmd, each a node. Needs `apt-get install -y slurm-wlm munge`. What runs already is left.
#   SLURM_LAB_DIR    folder of everything it writes (default ${TMPDIR:-/tmp}/skymix-slurm)
#   SLURM_LAB_NODES  number of nodes (default 3)
#   SLURM_LAB_CPUS   processors that a node claims; may be more than there are (default 4)
#   SLURM_LAB_PORT   first port of those that it listens on (default 16817)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lab.sh"
nodes=${SLURM_LAB_NODES:-3}
cpus=${SLURM_LAB_CPUS:-4}
port=${SLURM_LAB_PORT:-16817}
host=$(hostname -s)
# MPICH names its shared memory after the job: one of a number that was killed before would find the
# memory of the dead (UCX: failed to unpack address) and hang. So no number comes twice.
first=$((1 + $(date +%s) % 60000000))

die() { echo "slurm: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "only root can start it"
for program in munged slurmctld slurmd sbatch; do
    command -v $program >/dev/null || die "no $program: apt-get install -y slurm-wlm munge"
done

# munge wants a private folder for its key, and no folder above that others may write to.
mkdir -p "$lab"/{munge-key,munge-run,state,log,run}
chmod 755 "$lab" "$lab/munge-run"
chmod 700 "$lab/munge-key"
for k in $(seq "$nodes"); do mkdir -p "$lab/spool/node$k" "$lab/tmp/node$k"; done

if ! runs "$lab/munge-run/pid" munged; then
    rm -f "$lab/munge-run/sock" "$lab/munge-run/pid"
    (umask 077 && head -c 1024 /dev/urandom >"$lab/munge-key/key")
    munged --key-file="$lab/munge-key/key" --seed-file="$lab/munge-key/seed" \
        --socket="$lab/munge-run/sock" --pid-file="$lab/munge-run/pid" \
        --log-file="$lab/munge-run/log"
fi
munge --socket="$lab/munge-run/sock" -n >/dev/null || die "munge is mute, see $lab/munge-run/log"

# A node may claim more processors than there are (config_overrides), and has its own TmpFS, where
# pmix keeps its sockets. Jobs start and failures show at once; one that is late has a minute more, so
# that it can show that it ends by itself. There is no accounting, so no sacct.
cat >"$lab/slurm.conf" <<EOF
ClusterName=lab
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$lab/munge-run/sock
StateSaveLocation=$lab/state
SlurmdSpoolDir=$lab/spool/%n
TmpFS=$lab/tmp/%n
SlurmctldPidFile=$lab/run/slurmctld.pid
SlurmdPidFile=$lab/run/slurmd-%n.pid
SlurmctldLogFile=$lab/log/slurmctld.log
SlurmdLogFile=$lab/log/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=200
MpiDefault=pmi2
SwitchType=switch/none
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=20
KillWait=2
OverTimeLimit=1
MinJobAge=3600
FirstJobId=$first
MaxArraySize=10001
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=2
PropagateResourceLimits=NONE
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$lab/log/jobcomp.txt
NodeName=node[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((port + 101))-$((port + 100 + nodes))] CPUs=$cpus RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF

# A job of snakemake runs without the SLURM_* variables, SLURM_CONF among them, so that an srun in
# it looks for the configuration at its usual place.
mkdir -p /etc/slurm
if [ -e /etc/slurm/slurm.conf ] && [ ! -L /etc/slurm/slurm.conf ]; then
    die "/etc/slurm/slurm.conf is a file: this machine has a SLURM of its own"
fi
other=$(dirname "$(readlink /etc/slurm/slurm.conf)")
if [ "$other" != "$lab" ] && runs "$other/run/slurmctld.pid" slurmctld; then
    die "another one runs already: SLURM_LAB_DIR=$other $here/down.sh stops it"
fi
ln -sfn "$lab/slurm.conf" /etc/slurm/slurm.conf

runs "$lab/run/slurmctld.pid" slurmctld || slurmctld || die "see $lab/log/slurmctld.log"
for k in $(seq "$nodes"); do
    runs "$lab/run/slurmd-node$k.pid" slurmd || slurmd -N "node$k" || die "see $lab/log"
done
for _ in $(seq 300); do
    up=$(sinfo -h -N -o '%T' 2>/dev/null | grep -cE '^(idle|mixed|allocated)$') || true
    [ "$up" -lt "$nodes" ] || exit 0
    sleep 0.1
done
die "only $up of $nodes nodes came up, see $lab/log"
