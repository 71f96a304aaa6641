# shellcheck shell=bash
# Saying what was checked and seen, and waiting for things. Sourced by run.sh.

checks=0
failures=0

# check NAME COMMAND...: COMMAND's status decides; the last line it printed is what was seen.
check() {
  local name=$1 seen words='ok'
  shift
  seen=$("$@" 2>&1) || { words='not ok'; ((failures++)); }
  echo "$words $((++checks)) - $name  # $(tail -n 1 <<<"$seen")"
  [[ $words == ok ]] && return
  tail -n 20 <<<"$seen" | sed 's/^/    /'
  ((must_run)) || return
  is_gone && fail_now 'the gateway has died'
  show drops | sed 's/^/    /'
}

note() { echo "# $*"; }

# fail_now WHY: no use in going on.
fail_now() {
  echo "not ok $((++checks)) - $1"
  ((failures++))
  summary
}

summary() {
  if ((failures > 0)) && [[ -f $dir/gateway.log ]]; then
    note "the gateway's log, its end:"
    tail -n 40 "$dir/gateway.log" | cut -c 1-600 | sed 's/^/    /'
    tail -n 3 "$dir"/*.tun | sed 's/^/    /'
  fi
  note "$checks checks, $failures failed, ${SECONDS} s"
  exit $((failures > 0))
}

# wait_for SECONDS COMMAND...: until COMMAND holds; false when it has not by then.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# eventually SECONDS COMMAND...: the same, and what it says then.
eventually() {
  wait_for "$@"
  "${@:2}"
}

# inside NAMESPACE COMMAND...
inside() { ip netns exec "$@"; }

# says PATTERN COMMAND...: COMMAND prints a line with PATTERN, whatever its status; that line is what was seen.
says() {
  local pattern=$1 text
  shift
  text=$("$@" 2>&1)
  grep -m 1 -E -- "$pattern" <<<"$text" || { echo "$text"; return 1; }
}

# silent COMMAND...: COMMAND must fail.
silent() { ! "$@"; }

client() { inside "$1" "$python" "$here/client.py" "${@:2}"; }
