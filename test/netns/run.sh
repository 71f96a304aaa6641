#!/usr/bin/env bash
# Real Linux on both sides of the gateway: kernel VXLAN devices as tenant hosts, a kernel's IP stack behind the uplink.
#
#   run.sh                 the walks of packets; exit 0 when all checks hold, or when this machine cannot (a line begins SKIP)
#   run.sh tcp             TCP in all its ways, and the end of its sessions
#   run.sh policy          stateful rules, mappings, hairpins, a site that overlaps
#   run.sh --record FILE   the walks, and also write the opening scene, as the gateway's underlay saw it, to a pcap file
#
# Runs dist/, or the build that CAUSEWAY_DIST names.
#
# Everything lives in mount, network and process namespaces of this run alone: nothing outside is touched, two runs do
# not see each other, and when the run ends, however it ends, the kernel takes all of it away.
set -uo pipefail
# The gateway runs as nobody, who may not write where the test runner would have every Node process report.
unset NODE_OPTIONS

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
dist=${CAUSEWAY_DIST:-$root/dist}
LIMIT=110 # seconds; then the run is killed and has failed

skip() { echo "SKIP: $1; nothing was tested"; exit 0; }

part=walks
record=''
while (($# > 0)); do
  case $1 in
    --record) record=$(realpath -m -- "${2:?--record needs a file}"); shift 2 ;;
    walks | tcp | policy) part=$1; shift ;;
    *) echo "usage: run.sh [walks|tcp|policy] [--record FILE]" >&2; exit 2 ;;
  esac
done

if [[ -z ${CAUSEWAY_NETNS_INSIDE:-} ]]; then
  [[ $(uname -s) == Linux ]] || skip 'network namespaces are Linux'
  [[ $(id -u) == 0 ]] || skip 'making network namespaces needs root'
  for tool in ip python3 ping unshare timeout; do command -v "$tool" >/dev/null || skip "no $tool here"; done
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' || skip 'python3 is older than 3.9'
  [[ -c /dev/net/tun ]] || skip 'no /dev/net/tun'
  apart=(unshare --mount --net --pid --fork --kill-child --mount-proc)
  "${apart[@]}" true 2>/dev/null || skip 'this root may not make namespaces'
  [[ -z $record ]] || command -v tcpdump >/dev/null || { echo '--record needs tcpdump' >&2; exit 2; }
  [[ -f $dist/causeway.js ]] || { echo "$dist/causeway.js is not there: npm run build" >&2; exit 1; }
  export CAUSEWAY_NETNS_INSIDE=1
  ! setpriv --pdeathsig KILL true 2>/dev/null || apart=(setpriv --pdeathsig KILL "${apart[@]}") # should even timeout be killed
  exec timeout --foreground --signal=KILL --kill-after=1 "$LIMIT" "${apart[@]}" "${BASH_SOURCE[0]}" "$part" ${record:+--record "$record"}
fi

# From here on: process 1 of a process namespace, in a network namespace with nothing in it.
trap 'exit 130' INT TERM
mount -t tmpfs -o mode=755 causeway-netns /run || skip 'this root may not mount'
dir=/run/causeway # the gateway's working directory: config, socket, log
mkdir "$dir"
python=$(python3 -c 'import sys; print(sys.executable)')

source "$here/report.sh"
source "$here/topology.sh"
source "$here/gateway.sh"
source "$here/checks.sh"
source "$here/tcp-checks.sh"
source "$here/policy-checks.sh"

for kind in veth bridge vxlan; do
  ip link add probe type "$kind" $([[ $kind != vxlan ]] || echo id 1 dstport 4789) 2>/dev/null || skip "this kernel has no $kind device"
  ip link delete probe
done

set -E
trap 'fail_now "${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND"' ERR
build_topology
trap - ERR
case $part in
  walks)
    start_gateway gateway.jsonc
    opening_scene
    tenant_checks
    tcp_checks
    mtu_checks
    ipv6_checks
    isolation_checks
    gretap_checks
    operator_checks
    ;;
  tcp)
    start_gateway tcp.jsonc
    watch_underlay
    tcp_part
    ;;
  policy)
    start_gateway policy.jsonc
    watch_underlay
    policy_part
    ;;
esac
closing_checks
summary
