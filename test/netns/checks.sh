# shellcheck shell=bash
# What has to hold. Sourced by run.sh; each function below is one part of the story.

DOWNLOAD=$((50 * 1024 * 1024))

# pings NAMESPACE COUNT ARGUMENT...: every one answered, TTL told.
pings() {
  local text
  text=$(inside "$1" ping -n -c "$2" -i 0.1 -W 2 "${@:3}" 2>&1)
  if ! grep -q " $2 received" <<<"$text"; then echo "$text"; return 1; fi
  echo "$2 of $2 answered, $(grep -o -m 1 -E 'ttl=[0-9]+' <<<"$text"), $(tail -n 1 <<<"$text")"
}

# pings_at TTL NAMESPACE COUNT ARGUMENT...: and with this TTL left.
pings_at() {
  local text
  text=$(pings "${@:2}") || { echo "$text"; return 1; }
  echo "$text"
  grep -q "ttl=$1," <<<"$text"
}

neighbor_is() { says "lladdr $3" ip -n "$1" neigh show "$2"; }

# What --record keeps: ARP, ping, and a short HTTP exchange from a port that has a static mapping, so that a replay
# finds the same port outside.
opening_scene() {
  local tcpdump_pid=0
  if [[ -n $record ]]; then
    (exec ip netns exec gw tcpdump -i under --immediate-mode -U -Z root -w "$record" 'udp port 4754 or udp port 4789' 2>"$dir/tcpdump") &
    tcpdump_pid=$!
    wait_for 5 grep -q 'listening on' "$dir/tcpdump" || fail_now 'tcpdump does not start'
  fi

  check 'ping to the gateway CA is answered' pings_at 64 red-a 3 10.0.0.1
  check 'ARP found the gateway, with its own MAC' neighbor_is red-a 10.0.0.1 "$GATEWAY_MAC"
  check 'ping to a VM of another host, same subnet: bridged, TTL untouched' pings_at 64 red-a 3 10.0.0.6
  check 'ARP found that VM, with its own MAC' neighbor_is red-a 10.0.0.6 02:00:00:00:a0:06
  check 'ping through NAT reaches the Internet' pings_at 63 red-a 3 "$INTERNET"
  check 'HTTP through NAT: the responder sees the NAT address, and the port of the static mapping' \
    says '^inet saw 203\.0\.113\.10 40000$' client red-a get "$INTERNET" /whoami --from-port 40000

  if ((tcpdump_pid > 0)); then
    until_still "$record"
    kill -TERM "$tcpdump_pid" # INT would be lost: bash starts background jobs deaf to it
    wait "$tcpdump_pid"
    note "recorded: $record, $(stat -c %s "$record") bytes, $(grep captured "$dir/tcpdump")"
  fi
}

# until_still FILE: nothing was written to it for half a second.
until_still() {
  until [[ $(stat -c %Y.%s "$1") == $(sleep 0.5; stat -c %Y.%s "$1") ]]; do :; done
}

tenant_checks() {
  watch_underlay
  check 'ping of 4000 bytes to the gateway CA comes back in fragments' pings_at 64 red-a 3 -s 4000 10.0.0.1
  check 'ping to a VM in another subnet: routed, one hop less' pings_at 63 red-a 3 10.0.1.7
  check 'ping of 4000 bytes there, in fragments' pings_at 63 red-a 3 -s 4000 10.0.1.7
  check 'UDP to a VM of another host' says '^red-b saw 10\.0\.0\.5 ' client red-a whoami 10.0.0.6
  check 'ping of 4000 bytes through NAT, in fragments' pings_at 63 red-a 3 -s 4000 "$INTERNET"
  check 'TTL 1 expires at the gateway CA' says 'From 10\.0\.0\.1 .*Time to live exceeded' \
    inside red-a ping -n -c 1 -W 2 -t 1 "$INTERNET"
  check 'a closed TCP port behind NAT refuses' says 'Connection refused' client red-a get "$INTERNET:81" /whoami
  check 'a closed UDP port behind NAT refuses: the ICMP error comes back translated' client red-a closed "$INTERNET"
  check 'ping by forwarding reaches the physical network' pings_at 63 red-a 3 172.16.0.9
  check 'forwarding translates nothing' says '^core saw 10\.0\.0\.5 ' client red-a get 172.16.0.9 /whoami
  check 'a static mapping lets the Internet in' says '^red-a saw 198\.51\.100\.7 ' client inet get 203.0.113.10:8080 /whoami
}

tcp_checks() {
  check 'TCP download of 50 MiB through NAT' client red-a download "$INTERNET" "$DOWNLOAD"
  check 'TCP upload of 10 MiB through NAT' client red-a upload "$INTERNET" $((10 * 1024 * 1024))
  check 'TCP download of 10 MiB from a VM in another subnet' client red-a download 10.0.1.7 $((10 * 1024 * 1024))
  check 'a download outlives a reload' reload_midway
  check 'the reloaded config is in force: a new ACL entry stops that UDP' silent client red-a whoami 10.0.0.6
  check 'and the drop is counted as its doing' says 'acl_denied' show drops --tenant red
}

# A download, stopped by its reader while the config is reloaded.
reload_midway() {
  local said
  coproc down { client red-a download "$INTERNET" $((20 * 1024 * 1024)) --pause; }
  local from=${down[0]} to=${down[1]} pid=$down_PID
  read -r -t 15 said <&"$from"
  [[ $said == paused* ]] || { echo "no data: $said"; return 1; }
  says 'established' show sessions --tenant red --port 80 || return 1
  reload_gateway || { echo 'HUP did not bring generation 2 into force'; return 1; }
  echo go >&"$to"
  read -r -t 15 said <&"$from"
  echo "$said"
  wait "$pid"
}

mtu_checks() {
  local size
  for size in 1400 1440 3000; do
    check "UDP echo of $size bytes through NAT" client red-a echo "$INTERNET" "$size"
  done
  # A VM told of a larger MTU than its tunnel has: 1442 + 28 bytes are two more than GRE in UDP carries.
  ip -n red-a link set vx mtu 1500
  check 'a packet that does not fit, DF set, is refused with the MTU that would do' \
    says 'From 10\.0\.0\.1 .*Frag needed and DF set \(mtu = 1468\)' inside red-a ping -n -c 1 -W 2 -M do -s 1442 "$INTERNET"
  check 'so is IPv6, too big for the keyed tunnel' \
    says 'From 2001:db8:a::1 .*Packet too big: mtu=1464' inside red-a ping -n -c 1 -W 2 -M do -s 1417 2001:db8:c::9
  check 'TCP from that VM fits all the same: its MSS is clamped' client red-a upload "$INTERNET" 1000000
  ip -n red-a link set vx mtu "$VM_MTU"
}

ipv6_checks() {
  check 'IPv6: ping to the gateway CA' pings_at 64 red-a 3 2001:db8:a::1
  check 'IPv6: ND found the gateway, with its own MAC' neighbor_is red-a 2001:db8:a::1 "$GATEWAY_MAC"
  check 'IPv6: ping to a VM of another host, same subnet' pings_at 64 red-a 3 2001:db8:a::6
  check 'IPv6: ping to a VM in another subnet, in fragments' pings_at 63 red-a 3 -s 4000 2001:db8:b::7
  check 'IPv6: hop limit 1 expires at the gateway CA' says 'From 2001:db8:a::1 .*Time exceeded' \
    inside red-a ping -n -c 1 -W 2 -t 1 2001:db8:c::9
  check 'IPv6: HTTP by forwarding' says '^core saw 2001:db8:a::5 ' client red-a get '[2001:db8:c::9]' /whoami
}

# Red and Blue have the same addresses, on the same hosts.
isolation_checks() {
  check "red's Internet is behind red's NAT address" says '^inet saw 203\.0\.113\.10 ' client red-a get "$INTERNET" /whoami
  check "blue's Internet is behind blue's NAT address" says '^inet saw 203\.0\.113\.20 ' client blue-a get "$INTERNET" /whoami
  check "red's 10.0.0.6 is red's" says '^red-b saw 10\.0\.0\.5 ' client red-a get 10.0.0.6 /whoami
  check "blue's 10.0.0.6 is blue's" says '^blue-b saw 10\.0\.0\.5 ' client blue-a get 10.0.0.6 /whoami
  check "blue does not reach red's other subnet" silent inside blue-a ping -n -c 2 -i 0.1 -W 0.5 10.0.1.7
  check "blue does not reach red's physical network" silent inside blue-a ping -n -c 2 -i 0.1 -W 0.5 172.16.0.9
  ip -n red-a addr add 10.0.0.99/24 dev vx
  check 'a source CA that the host has no record of goes nowhere' silent inside red-a ping -n -c 2 -i 0.1 -W 0.5 -I 10.0.0.99 10.0.1.7
  ip -n red-a addr delete 10.0.0.99/24 dev vx
  plug stranger 192.0.2.66
  vm red-x stranger 5001 02:00:00:00:a0:05 10.0.0.5 10.0.0.1
  check 'a stranger on the underlay gets no answer, whatever it claims to be' silent inside red-x ping -n -c 2 -i 0.1 -W 0.5 10.0.0.1
}

gretap_checks() {
  ((has_gretap)) || return 0
  check 'NVGRE from Linux gretap: ping to the gateway CA' pings_at 64 red-d 3 10.0.0.1
  check 'NVGRE to VXLAN within a subnet' pings_at 64 red-d 3 10.0.0.6
  check 'NVGRE through NAT' says '^inet saw 203\.0\.113\.10 ' client red-d get "$INTERNET" /whoami
}

operator_checks() {
  check "show tenants has red's line" says '^red ' show tenants
  check "and blue's" says '^blue ' show tenants
  check 'show sessions has a line for the static mapping' says '203\.0\.113\.10:8080' show sessions --tenant red --limit 1000
  check 'show drops names the spoof' says 'spoofed_source' show drops
  check 'and the stranger' says 'pa_unknown' show drops
  check 'metrics count the drops' says '^causeway_drops_total\{tenant="-",reason="spoofed_source"\} [1-9]' fetch /metrics
}

closing_checks() {
  check 'the ledger balances, says /healthz' says '"status": *"ok"' fetch /healthz
  check 'and the sums over what show tenants says' adds_up
  note "kernel receive drops at the gateway's sockets: $(inside gw awk 'FNR > 1 { n += $NF } END { print n + 0 }' /proc/net/udp)"
  check 'no outer packet was fragmented or longer than 1500 bytes' underlay_was_clean
  must_run=0
  check 'TERM ends it' end_gateway
  wait "$gateway_pid"
  check 'with exit code 0' says '^0$' echo $?
}

# adds_up: the two equations of the ledger, for every tenant.
adds_up() {
  show tenants --json | "$python" -c '
import json, sys
for tenant in json.load(sys.stdin)["tenants"]:
    n = tenant["packets"]
    assert n["in"] == n["forwarded"] + n["dropped"] + n["consumed"] + n["held"], tenant
    assert n["out"] == n["forwarded"] + n["copies"] + n["originated"], tenant
    print(tenant["name"], "in", n["in"], "out", n["out"], end="; ")
'
}

# Packets of the gateway's that break the tunnel MTU: one is enough. 1514 is Ethernet and 1500 bytes.
watch_underlay() {
  : >"$dir/oversize"
  command -v tcpdump >/dev/null || { note 'no tcpdump: outer packets are not watched'; return; }
  inside gw tcpdump -i under --immediate-mode -n -l -c 1 "src host $GATEWAY_PA and (greater 1515 or ip[6:2] & 0x3fff != 0)" \
    >"$dir/oversize" 2>"$dir/watch" &
  wait_for 5 grep -q 'listening on' "$dir/watch" || fail_now 'tcpdump does not start'
}

underlay_was_clean() {
  cat "$dir/oversize"
  [[ ! -s $dir/oversize ]] && echo 'none seen'
}
