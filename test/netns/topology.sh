# shellcheck shell=bash
# The places and the wires between them. Sourced by run.sh. config: gateway.jsonc
#
#   red-a 10.0.0.5 ── vx (5001) ─┐
#   blue-a 10.0.0.5 ─ vx (6001) ─┴─ host-a 192.0.2.11 ─┐
#   red-b 10.0.0.6 ── vx (5001) ─┐                     │          ┌─ inet 192.0.2.20 ─ tun 198.51.100.7
#   red-c 10.0.1.7 ── vx (5002) ─┼─ host-b 192.0.2.12 ─┤ bridge   │
#   blue-b 10.0.0.6 ─ vx (6001) ─┘                     └ under, ──┴─ core 192.0.2.21 ─ tun 172.16.0.9, 2001:db8:c::9
#   red-d 10.0.0.8 ── gt (5001) ─── host-c 192.0.2.13 ─┘ in gw 192.0.2.1
#
# A VM's device is made on its host and moved to the VM's namespace; its tunnel stays on the host, as a hypervisor has it.

GATEWAY_PA=192.0.2.1
GATEWAY_MAC=02:00:00:00:00:01
INTERNET=198.51.100.7
WIRE_MTU=1600 # more than the config's 1500: holding to that must be the gateway's doing
VM_MTU=1450

build_topology() {
  ip netns add gw
  ip -n gw link add under type bridge
  # A bridge takes the lowest MAC of its ports unless it is given one, and the next port may change it under its neighbours.
  ip -n gw link set under address 02:00:00:00:20:01 mtu "$WIRE_MTU" addrgenmode none
  ip -n gw addr add "$GATEWAY_PA/24" dev under
  ip -n gw link set under up
  ip -n gw link set lo up

  plug host-a 192.0.2.11
  plug host-b 192.0.2.12
  plug inet 192.0.2.20
  plug core 192.0.2.21

  vm red-a host-a 5001 02:00:00:00:a0:05 10.0.0.5 10.0.0.1 2001:db8:a::5 2001:db8:a::1
  vm red-b host-b 5001 02:00:00:00:a0:06 10.0.0.6 10.0.0.1 2001:db8:a::6 2001:db8:a::1
  vm red-c host-b 5002 02:00:00:00:a1:07 10.0.1.7 10.0.1.1 2001:db8:b::7 2001:db8:b::1
  vm blue-a host-a 6001 02:00:00:00:b0:05 10.0.0.5 10.0.0.1
  vm blue-b host-b 6001 02:00:00:00:b0:06 10.0.0.6 10.0.0.1
  gretap_vm

  far_side inet 192.0.2.20
  ip -n inet link set tun mtu 1468
  ip -n inet addr add "$INTERNET/32" dev tun
  ip -n inet route add 203.0.113.0/24 dev tun
  far_side core 192.0.2.21 --key 7001
  ip -n core link set tun mtu 1464
  ip -n core addr add 172.16.0.9/32 dev tun
  ip -n core addr add 2001:db8:c::9/128 dev tun nodad
  ip -n core route add 10.0.0.0/16 dev tun
  ip -n core route add 2001:db8::/32 dev tun

  local place
  for place in red-a red-b red-c blue-a blue-b inet core; do respond "$place"; done
  for place in red-a red-b red-c blue-a blue-b inet core; do
    wait_for 10 grep -q ready "$dir/$place.responder" || fail_now "the responder in $place does not start"
  done
}

# plug NAME ADDRESS: a namespace with one foot on the underlay.
plug() {
  ip netns add "$1"
  ip -n "$1" link add under type veth peer name "$1" netns gw
  ip -n "$1" link set under mtu "$WIRE_MTU" addrgenmode none
  ip -n gw link set "$1" mtu "$WIRE_MTU" addrgenmode none master under
  inside "$1" "$python" "$here/plain-nic.py" under
  inside gw "$python" "$here/plain-nic.py" "$1" under
  ip -n "$1" addr add "$2/24" dev under
  ip -n "$1" link set under up
  ip -n "$1" link set lo up
  ip -n gw link set "$1" up
}

# vm NAME HOST VNI MAC CA GATEWAY [CA6 GATEWAY6]
vm() {
  local pa
  pa=$(ip -n "$2" -4 -o addr show dev under | awk '{ sub("/.*", "", $4); print $4 }')
  ip netns add "$1"
  ip -n "$2" link add "vx-$1" type vxlan id "$3" dstport 4789 local "$pa" remote "$GATEWAY_PA"
  move_in "$2" "vx-$1" "$1" vx "${@:4}"
}

# move_in HOST DEVICE NAME NEWNAME MAC CA GATEWAY [CA6 GATEWAY6]
move_in() {
  ip -n "$1" link set "$2" netns "$3" name "$4"
  ip -n "$3" link set "$4" address "$5" mtu "$VM_MTU"
  ip -n "$3" addr add "$6/24" dev "$4"
  [[ -z ${8:-} ]] || ip -n "$3" addr add "$8/64" dev "$4" nodad
  ip -n "$3" link set "$4" up
  ip -n "$3" link set lo up
  ip -n "$3" route add default via "$7"
  [[ -z ${9:-} ]] || ip -n "$3" route add default via "$9"
}

# gretap_vm: where the kernel has FOU, red-d on an NVGRE host. Key = VSID x 256, FlowID 0 (RFC 7637 section 3.2).
has_gretap=0
gretap_vm() {
  ip netns add probe
  if inside probe ip fou add port 4754 ipproto 47 2>/dev/null &&
    ip -n probe link add gt type gretap local 192.0.2.13 remote "$GATEWAY_PA" 2>/dev/null; then has_gretap=1; fi
  ip netns delete probe
  ((has_gretap)) || { note 'this kernel has no FOU or no gretap: the NVGRE host is left out'; return; }

  plug host-c 192.0.2.13
  ip netns add red-d
  inside host-c ip fou add port 4754 ipproto 47
  ip -n host-c link add gt-red-d type gretap local 192.0.2.13 remote "$GATEWAY_PA" key $((5001 * 256)) \
    encap fou encap-sport auto encap-dport 4754
  move_in host-c gt-red-d red-d gt 02:00:00:00:a0:08 10.0.0.8 10.0.0.1
}

# far_side NAMESPACE PA [--key KEY]: what stands behind an uplink.
far_side() {
  inside "$1" "$python" "$here/gre-udp-tun.py" tun "$2" "$GATEWAY_PA" "${@:3}" >"$dir/$1.tun" 2>&1 &
  wait_for 10 grep -q ready "$dir/$1.tun" || fail_now "the TUN helper in $1 does not start: $(tail -n 1 "$dir/$1.tun")"
  ip -n "$1" link set tun up
}

respond() { inside "$1" "$python" "$here/responder.py" "$1" >"$dir/$1.responder" 2>&1 & }
