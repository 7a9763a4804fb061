#!/usr/bin/env bash
# A real Slurm on this host: a controller and three node daemons on loopback, for the tests.
#   slurm_cluster.sh install        Debian's packages, where apt and root are there
#   slurm_cluster.sh up FOLDER      starts it; all its files are in FOLDER
#   slurm_cluster.sh start FOLDER slurmctld | nN      one daemon again
#   slurm_cluster.sh down FOLDER    stops what was started in FOLDER, and nothing else
# Needs root. No accounting, no cgroups (memory limits are not enforced).
set -euo pipefail

PACKAGES=(munge slurmctld slurmd slurm-client slurm-wlm-basic-plugins)
NODES=(n1 n2 n3)
DEFAULT=/etc/slurm/slurm.conf

wait_for() { # wait_for WHAT COMMAND...: up to twenty seconds
    local what=$1
    shift
    for _ in $(seq 200); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    echo "slurm_cluster: $what did not come up; see the logs in $root/log" >&2
    return 1
}

all_idle() { [ "$(sinfo --noheader --Node --states=idle --format=%N | wc -l)" = "${#NODES[@]}" ]; }

configure() {
    local plugins
    plugins=$(dirname "$(dpkg -L slurm-wlm-basic-plugins | grep '/auth_munge.so$')")
    cat >"$root/slurm.conf" <<CONF
ClusterName=infercost-tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=26817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$root/munge/socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
PluginDir=$plugins
StateSaveLocation=$root/state
SlurmdSpoolDir=$root/spool/%n
SlurmctldPidFile=$root/run/slurmctld.pid
SlurmdPidFile=$root/run/%n.pid
SlurmctldLogFile=$root/log/slurmctld.log
SlurmdLogFile=$root/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,batch_sched_delay=0
DefMemPerCPU=500
ReturnToService=2
# A dead node is noticed, and a cancelled job gone, within seconds; ended jobs stay in sight of squeue.
SlurmdTimeout=8
SlurmctldTimeout=30
KillWait=1
MinJobAge=300
# More processors than the host may have.
SlurmdParameters=config_overrides
NodeName=n[1-3] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[27001-27003] CPUs=2 RealMemory=4000
PartitionName=main Nodes=n[1-3] Default=YES MaxTime=1:00:00 OverSubscribe=NO
CONF
    # The plugin takes every SLURM_ variable out of a job's environment, so that the configuration
    # has to be at its default place too.
    if [ -e "$DEFAULT" ] && [ ! -L "$DEFAULT" ]; then
        echo "slurm_cluster: $DEFAULT belongs to another cluster; run this on a machine without one" >&2
        exit 1
    fi
    mkdir -p "$(dirname "$DEFAULT")"
    ln -sfn "$root/slurm.conf" "$DEFAULT"
}

start_munge() {
    (umask 077 && head -c 128 /dev/urandom >"$root/munge/key")
    munged --key-file="$root/munge/key" --socket="$root/munge/socket" --force \
        --pid-file="$root/run/munged.pid" --log-file="$root/log/munged.log" \
        --seed-file="$root/munge/seed" 2>>"$root/log/munged.err"
    wait_for munged test -S "$root/munge/socket"
}

start() {
    case $1 in
        slurmctld) slurmctld ;;
        *) slurmd -N "$1" ;;
    esac
}

up() {
    mkdir -p "$root"/{run,log,state,munge}
    for node in "${NODES[@]}"; do mkdir -p "$root/spool/$node"; done
    chmod 0755 "$root" "$root/munge"
    configure
    start_munge
    for daemon in slurmctld "${NODES[@]}"; do start "$daemon"; done
    wait_for "the nodes" all_idle
}

down() {
    scancel --user="$(id -un)" 2>/dev/null || true
    for file in "$root"/run/n*.pid "$root/run/slurmctld.pid" "$root/run/munged.pid"; do
        [ -f "$file" ] || continue
        pid=$(cat "$file")
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 50); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
    done
    # A configuration without its controller makes every start of Snakemake wait ten seconds.
    if [ "$(readlink "$DEFAULT")" = "$root/slurm.conf" ]; then rm -f "$DEFAULT"; fi
}

if [ "$1" = install ]; then
    apt-get update -qq >/dev/null
    apt-get install -qq -y --no-install-recommends "${PACKAGES[@]}" >/dev/null
    exit
fi
root=$(realpath -m "$2")
export SLURM_CONF=$root/slurm.conf
case $1 in
    up) up ;;
    start) start "$3" ;;
    down) down ;;
    *) echo "usage: slurm_cluster.sh install | up FOLDER | start FOLDER DAEMON | down FOLDER" >&2 && exit 2 ;;
esac
