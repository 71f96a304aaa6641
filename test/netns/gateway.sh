# shellcheck shell=bash
# Starting, asking, reloading and ending the gateway. Sourced by run.sh.

gateway_pid=0
must_run=0
unprivileged=()

# Nobody where nobody can read this tree, else root in name only.
choose_privileges() {
  local node
  node=$(command -v node)
  local -a ways=(
    'setpriv --reuid=nobody --regid=65534 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all'
    'setpriv --no-new-privs --bounding-set=-all --inh-caps=-all'
  )
  local way
  for way in "${ways[@]}"; do
    read -ra unprivileged <<<"$way"
    if (cd / && "${unprivileged[@]}" "$node" "$dist/causeway.js" --version) >/dev/null 2>&1; then
      note "the gateway runs as: $way"
      return
    fi
  done
  unprivileged=()
  note 'the gateway runs as root: no setpriv here that would change that'
}

# start_gateway CONFIG
start_gateway() {
  choose_privileges
  cp "$here/$1" "$dir/gateway.jsonc"
  [[ ${unprivileged[*]} != *nobody* ]] || chown nobody "$dir"
  (cd "$dir" && exec ip netns exec gw "${unprivileged[@]}" "$(command -v node)" "$dist/causeway.js" run -c gateway.jsonc) \
    >"$dir/gateway.log" 2>&1 &
  gateway_pid=$!
  wait_for 10 is_healthy || fail_now "the gateway is not up: $(tail -n 1 "$dir/gateway.log")"
  must_run=1
}

# fetch PATH: from the gateway's own HTTP port.
fetch() {
  inside gw bash -c 'exec 3<>/dev/tcp/127.0.0.1/9464 && printf "GET %s HTTP/1.0\r\n\r\n" "$1" >&3 && cat <&3' fetch "$1"
}

is_healthy() { fetch /healthz | head -n 1 | grep -q ' 200 '; }
show() { node "$dist/causeway.js" show "$@" --socket "$dir/causeway.sock"; }

# generation N: the config's number in force.
is_generation() { fetch /metrics | grep -q "^causeway_config_generation $1\$"; }

# Reload with one more ACL entry.
reload_gateway() {
  sed -i 's|// on reload: ||' "$dir/gateway.jsonc"
  kill -HUP "$gateway_pid" && wait_for 5 is_generation 2
}

is_gone() { ! kill -0 "$gateway_pid" 2>/dev/null; }

end_gateway() {
  kill -TERM "$gateway_pid"
  wait_for 8 is_gone || { echo 'still there after 8 s'; kill -KILL "$gateway_pid"; return 1; }
  echo 'gone'
}
