# shellcheck shell=bash
# Stateful rules, mappings, hairpins and a site that overlaps, with real Linux on all sides. Sourced by run.sh for its part
# policy; config: policy.jsonc.

BRANCH_PA=192.0.2.22
RULE_IDLE=5 # seconds, of blue's stateful rule

policy_part() {
  local place
  plug branch "$BRANCH_PA"
  far_side branch "$BRANCH_PA" --key 9001
  ip -n branch link set tun mtu 1464
  ip -n branch addr add 10.0.0.9/32 dev tun
  ip -n branch route add 192.168.60.0/24 dev tun
  respond branch
  wait_for 10 grep -q ready "$dir/branch.responder" || fail_now 'the responder in branch does not start'
  for place in inet red-a red-b red-c blue-a branch; do serve_tcp "$place"; done
  stateful_checks
  mapping_checks
  hairpin_checks
  netmap_checks
  revocation_checks
  connections_end
}

stateful_checks() {
  check 'stateful: who may speak hears the answer: HTTP through NAT' says '^inet saw 203\.0\.113\.20 ' client blue-a get "$INTERNET" /whoami
  check 'ping is answered' pings_at 63 blue-a 3 "$INTERNET"
  check 'so is ping in fragments' pings_at 63 blue-a 2 -s 4000 "$INTERNET"
  check 'UDP is answered' says '^inet saw 203\.0\.113\.20 ' client blue-a whoami "$INTERNET"
  check 'an ICMP error about what it said comes through' client blue-a closed "$INTERNET"
  check 'nobody opens a connection to it: not the Internet, for all the static mapping' silent timeout 1 ip netns exec inet "$python" "$here/client.py" get 203.0.113.20 /whoami
  check 'nor a neighbour in its own subnet' silent timeout 1 ip netns exec blue-b "$python" "$here/client.py" get 10.0.0.5 /whoami
  check 'nor a ping' silent inside blue-b ping -n -c 2 -i 0.1 -W 0.5 10.0.0.5
  check 'and that is counted as what it is' says 'acl_denied' show drops --tenant blue
  begin forgotten blue-a talk "$INTERNET"
  begin steady blue-a talk "$INTERNET" --keepalive 2
  heard forgotten 'heard hello' && heard steady 'heard hello' || fail_now 'a connection that is to idle does not open'
  parallel_downloads blue-a "$INTERNET" 100 'stateful'
  check 'a half-close through state' half_close blue-a
  check 'a half-close from the server' tcp blue-a served "$INTERNET" 1000000
  check 'the server closes first, and the same two ports are used again at once' tcp blue-a serverclose "$INTERNET" --from-port 31000
  check 'a reset by the client' tcp blue-a reset "$INTERNET" client
  check 'a reset by the server' tcp blue-a reset "$INTERNET" server
  check 'a record with rules of its own: it speaks' says '^red-a saw 10\.0\.1\.7 ' client red-c get 10.0.0.5 /whoami
  check 'and is not spoken to' silent timeout 1 ip netns exec red-a "$python" "$here/client.py" get 10.0.1.7 /whoami
  check 'over IPv6 it speaks' says '^red-a saw 2001:db8:b::7 ' client red-c get '[2001:db8:a::5]' /whoami
  check 'and is not spoken to' silent timeout 1 ip netns exec red-a "$python" "$here/client.py" get '[2001:db8:b::7]' /whoami
  check 'IPv6 ping in fragments is answered' pings_at 63 red-c 2 -s 4000 2001:db8:a::5
  check "a connection idle longer than the rule's $RULE_IDLE s has lost its state, and is told from a stranger's" idle_too_long
  check 'one with keep-alives within that time has not' outlives steady $((RULE_IDLE + 3))
  tell steady quit
  check 'and ends in order' ended steady
}

# Both idle from here on; NAT's timers are longer than the rule's.
idle_too_long() {
  wait_for 20 some_session "s['inside']['port'] == $(port_of forgotten) and s['ageSeconds'] > $((RULE_IDLE + 1))" || { echo 'its session does not age'; return 1; }
  tell forgotten 'anybody there?'
  eventually 5 says 'acl_tcp_no_connection' show drops --tenant blue
}

# parallel_downloads NAMESPACE HOST COUNT WORDS
parallel_downloads() {
  local name="parallel-$1-${2//./-}"
  begin "$name" "$1" parallel "$2" "$3" 262144
  heard "$name" "open $3"
  tell "$name" go
  check "$4: $3 downloads at once, each with the right SHA-256" ended "$name"
}

mapping_checks() {
  check '1:1: what red-b opens leaves by its own outside address' says '^inet saw 203\.0\.113\.11 31500$' client red-b get "$INTERNET" /whoami --from-port 31500
  check 'its pings too' pings_at 63 red-b 3 "$INTERNET"
  check 'and what comes for that address reaches it: TCP' says '^red-b saw 198\.51\.100\.7 ' client inet get 203.0.113.11 /whoami
  check 'UDP' says '^red-b saw 198\.51\.100\.7 ' client inet whoami 203.0.113.11
  check 'and ping' pings_at 63 inet 3 203.0.113.11
  parallel_downloads inet 203.0.113.11 50 'to the 1:1 address'
  check 'a range of ports: 9000 of 9000 to 9009' tcp inet served 203.0.113.10 100000
  check 'others get the address that is shared' says '^inet saw 203\.0\.113\.10 ' client red-a get "$INTERNET" /whoami
}

hairpin_checks() {
  check "RFC 4787 REQ-9: red-c reaches red-a by its outside port, and is seen as from outside" says '^red-a saw 203\.0\.113\.10 ' client red-c get 203.0.113.10:8080 /whoami
  check 'red-b, behind an address of its own, is seen as that' says '^red-a saw 203\.0\.113\.11 ' client red-b get 203.0.113.10:8080 /whoami
  check 'red-a reaches red-b by its 1:1 address' says '^red-b saw 203\.0\.113\.10 ' client red-a get 203.0.113.11 /whoami
  check 'and by UDP' says '^red-b saw 203\.0\.113\.10 ' client red-a whoami 203.0.113.11
  check 'and by ping, one hop less' pings_at 63 red-a 3 203.0.113.11
  check 'red-a reaches itself' says '^red-a saw 203\.0\.113\.10 ' client red-a get 203.0.113.10:8080 /whoami
  check 'an ICMP error is turned round too' client red-a closed 203.0.113.11
  parallel_downloads red-b 203.0.113.10 50 'hairpinned'
  check "blue does not reach red's mapping but by the Internet, which has no way back in" silent timeout 1 ip netns exec blue-a "$python" "$here/client.py" get 203.0.113.10:8080 /whoami
}

netmap_checks() {
  check 'a site that overlaps: red-a reaches it by the addresses shown, and is seen by those shown to it' says '^branch saw 192\.168\.60\.5 ' client red-a get 192.168.50.9 /whoami
  check 'the site reaches red-b so' says '^red-b saw 192\.168\.50\.9 ' client branch get 192.168.60.6 /whoami
  check 'ping' pings_at 63 red-a 3 192.168.50.9
  check 'ping in fragments, from the site' pings_at 63 branch 3 -s 4000 192.168.60.5
  check 'UDP' says '^branch saw 192\.168\.60\.5 ' client red-a whoami 192.168.50.9
  check 'an ICMP error about it finds its socket: what it quotes is translated back' client red-a closed 192.168.50.9
  check 'and the other way' client branch closed 192.168.60.5
  check 'TTL 1 expires at the gateway' says 'From 10\.0\.0\.1 .*Time to live exceeded' inside red-a ping -n -c 1 -W 2 -t 1 192.168.50.9
  parallel_downloads red-a 192.168.50.9 50 'through the maps'
  parallel_downloads branch 192.168.60.5 50 'and from the site'
  check "red's own 10.0.0.9 is nobody, though the site has one" silent inside red-a ping -n -c 2 -i 0.1 -W 0.5 10.0.0.9
}

# A connection of blue's and one of red's, and a reload that forbids blue's.
revocation_checks() {
  begin doomed blue-a talk "$INTERNET"
  begin spared red-a talk "$INTERNET"
  heard doomed 'heard hello' && heard spared 'heard hello' || fail_now 'a connection for the reload does not open'
  check 'a reload that forbids a live connection' reload_gateway
  check 'lists it, with its ends and the rule' eventually 5 says "10\.0\.0\.5:$(port_of doomed) .*no-more" show revoked --tenant blue
  check 'and no other' silent says '10\.0' show revoked --tenant red
  tell doomed 'anybody there?'
  check 'what it still sends is dropped' eventually 5 says 'acl_denied|nat_tcp_not_syn' show drops --tenant blue
  check 'and not answered' silent grep -q 'heard anybody' "$dir/doomed.out"
  tell spared 'still here'
  check "red's goes on" heard spared 'heard still here'
  tell spared quit
  check 'and ends in order' ended spared
  kill "${talker_pid[doomed]}"
}

connections_end() {
  drain_checks
  check 'and so do the connections of stateful rules' eventually $((2 * SWEEP)) no_connections
}

no_connections() {
  local gauges
  gauges=$(fetch /metrics | grep '^causeway_acl_connections{')
  echo "${gauges//$'\n'/, }"
  [[ -n $gauges ]] && ! grep -q ' [1-9]' <<<"$gauges"
}
