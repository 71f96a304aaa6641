# shellcheck shell=bash
# Real TCP through the running gateway, in all its ways, and a session table that is empty when it is over.
# Sourced by run.sh for its part tcp; config: tcp.jsonc.

TCP_ESTABLISHED=9 TCP_TRANSITORY=3 # seconds, as in the config
SWEEP=8 # the reaper's round, seconds
PARALLEL=200
MEETING=50505 # the far end's port in the simultaneous open

tcp() { inside "$1" "$python" "$here/tcp.py" "${@:2}"; }

# begin NAME NAMESPACE VERB...: a client that waits for lines. Its words are in $dir/NAME.out.
declare -A talker_fd talker_pid
begin() {
  mkfifo "$dir/$1.in"
  local fd
  exec {fd}<>"$dir/$1.in"
  (tcp "${@:2}" <"$dir/$1.in" >"$dir/$1.out" 2>&1; echo $? >"$dir/$1.status") &
  talker_fd[$1]=$fd talker_pid[$1]=$!
}
tell() { echo "${*:2}" >&"${talker_fd[$1]}"; }
heard() { wait_for 15 grep -qE -- "$2" "$dir/$1.out"; } # heard NAME PATTERN
# ended NAME: it has come to its end, and all was right.
ended() {
  wait_for 40 test -s "$dir/$1.status" || { echo "$1 does not end"; cat "$dir/$1.out"; return 1; }
  tail -n 1 "$dir/$1.out"
  return "$(<"$dir/$1.status")"
}

port_of() { grep -m 1 -oE 'from port [0-9]+' "$dir/$1.out" | grep -oE '[0-9]+'; }

# sessions EXPRESSION: how many sessions there are of which it holds, a Python expression over `s`, and the first of them.
sessions() {
  show sessions --limit 100000 --json | "$python" -c '
import json, sys
found = [s for s in json.load(sys.stdin)["sessions"] if eval(sys.argv[1])]
print(len(found), "sessions", *("{state}, age {ageSeconds}, expires {expiresInSeconds}".format(**s) for s in found[:1]))
' "$1"
}
some_session() { says '^[1-9]' sessions "$@"; }
no_session() { says '^0 ' sessions "$@"; }

serve_tcp() {
  tcp "$1" serve "$1" >"$dir/$1.tcp" 2>&1 &
  wait_for 10 grep -q ready "$dir/$1.tcp" || fail_now "tcp.py in $1 does not start"
}

idle_checks() {
  local name kept left
  begin kept red-a talk "$INTERNET" --keepalive 2
  begin left red-a talk "$INTERNET"
  begin waiting red-a talk "$INTERNET"
  for name in kept left waiting; do heard "$name" 'heard hello' || fail_now 'a connection that is to idle does not open'; done
  kept=$(port_of kept) left=$(port_of left)
  check "an established connection outlives the transitory timer of $TCP_TRANSITORY s" outlives waiting $((TCP_TRANSITORY + 1))
  check "one idle past the session's $TCP_ESTABLISHED s, held by TCP's own keep-alives, works" outlives kept $((TCP_ESTABLISHED + 2))
  check 'one idle that long without them has no session any more' eventually 15 no_session "s['inside']['port'] == $left"
  tell left 'too late'
  check 'and what it still sends is dropped as what it is, and goes nowhere untranslated' eventually 5 says 'nat_tcp_not_syn' show drops --tenant red
  tell waiting quit
  tell kept quit
  check 'both end in order' eval 'ended waiting && ended kept'
  kill "${talker_pid[left]}"
}

# outlives NAME SECONDS: its session is so old, and it still works.
outlives() {
  local port
  port=$(port_of "$1")
  wait_for 20 some_session "s['inside']['port'] == $port and s['ageSeconds'] >= $2" || { echo "no session of port $port is $2 s old"; show sessions --port "$port"; return 1; }
  tell "$1" "still here"
  heard "$1" 'heard still here' || { echo 'it says nothing'; return 1; }
  sessions "s['inside']['port'] == $port"
}

parallel_checks() {
  begin many red-a parallel "$INTERNET" "$PARALLEL" 262144
  check "$PARALLEL connections are open at once, and the gateway says so" eval \
    'heard many "open $PARALLEL" && wait_for 5 some_session "s[\"state\"] == \"established\"" && at_least "$PARALLEL" "s[\"state\"] == \"established\" and s[\"remote\"][\"port\"] == 9000"'
  tell many go
  check "$PARALLEL parallel downloads through NAT, each with the right SHA-256" ended many
  begin inwards inet parallel 203.0.113.10 50 100000
  heard inwards 'open 50'
  tell inwards go
  check '50 at once from the Internet, to a static mapping' ended inwards
  begin across red-a parallel 10.0.1.7 50 262144
  heard across 'open 50'
  tell across go
  check '50 at once to a VM in another subnet' ended across
}

at_least() {
  local n
  n=$(sessions "$2")
  echo "$n"
  ((${n%% *} >= $1))
}

closing_ways() {
  check 'a half-close: the client closes its side, the answer comes after longer than the closing timers' half_close red-a
  check 'a half-close from the server: the client goes on sending' tcp red-a served "$INTERNET" 1000000
  check 'the server closes first, and the same two ports are used again at once' tcp red-a serverclose "$INTERNET" --from-port 31000
  check 'a reset by the client reaches the server' tcp red-a reset "$INTERNET" client --from-port 31001
  check 'and takes the session out of the established ones' says ' trans ' show sessions --port 31001
  check 'a reset by the server reaches the client' tcp red-a reset "$INTERNET" server
  check 'the same two ports after a reset: a new connection works' tcp red-a serverclose "$INTERNET" --from-port 31001
  check 'a connection from the Internet that resets' tcp inet reset 203.0.113.10 client
}

# half_close NAMESPACE
half_close() {
  local key
  begin half "$1" halfclose "$INTERNET" 500000 --from-port 31002
  heard half 'closed one side' || return 1
  key=$(grep -oE 'key [^ ]+' "$dir/half.out" | cut -d ' ' -f 2)
  wait_for 5 some_session "s['inside']['port'] == 31002 and s['state'] == 'in-fin'" || { echo 'the session has not seen the FIN'; show sessions --port 31002; return 1; }
  wait_for 15 some_session "s['inside']['port'] == 31002 and s['ageSeconds'] > $TCP_TRANSITORY" || { echo 'it did not live that long'; return 1; }
  tcp "$1" go-on "$INTERNET" "$key" >/dev/null || return 1
  tell half go
  ended half
}

# Both SYNs are on their way before either arrives: the far end of the tunnel is stopped meanwhile.
simultaneous_open() {
  local far
  far=$(grep -oE '[0-9]+' "$dir/inet.tun" | head -n 1)
  kill -STOP "$far"
  begin near red-a meet "$INTERNET" "$MEETING" --from-port 40000
  begin there inet meet 203.0.113.10 40000 --from-port "$MEETING"
  local status=0
  wait_for 5 says 'SYN-SENT' inside red-a ss -Htn "sport = :40000" || status=1
  wait_for 5 says 'SYN-SENT' inside inet ss -Htn "sport = :$MEETING" || status=1
  wait_for 5 some_session "s['inside']['port'] == 40000 and s['state'] == 'in-init'" || status=1
  kill -CONT "$far"
  ((status == 0)) || { echo 'the two did not meet'; return 1; }
  ended near && ended there
}

tcp_part() {
  local place
  for place in inet red-a red-c; do serve_tcp "$place"; done
  parallel_checks
  check 'a simultaneous open: both send a SYN, neither a SYN+ACK first' simultaneous_open
  closing_ways
  idle_checks
  drain_checks
}

drain_checks() {
  check "the session table drains to zero after its timers" eventually $((TCP_ESTABLISHED + 2 * SWEEP)) no_session True
  check 'and so does the table of bindings' eventually $((2 * SWEEP)) says '^causeway_nat_bindings 0$' fetch /metrics
  check 'and no gauge says otherwise' says '^causeway_nat_sessions\{tenant="red"\} 0$' fetch /metrics
}
