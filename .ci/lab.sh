# Brings up the lab, and in it prebound on 127.0.0.1 and its peers, Unbound on 127.0.0.2 and BIND on 127.0.0.3; sourced
# after lib.sh.

readonly TESTED=127.0.0.1 UNBOUND=127.0.0.2 BIND=127.0.0.3
# Bounds of the caches in MiB, given to prebound and Unbound: msg, rrset, key, negative.
readonly BOUNDS=(16 32 8 4)

share=$(shared) || skip "no lab beside the repository"
[ "$(id -u)" -eq 0 ] || skip "the lab needs root for its network namespaces"
unshare --net true 2>/dev/null || skip "network namespaces cannot be made here"

export LAB_WORK=${LAB_WORK:-$cache/lab} PYTHONDONTWRITEBYTECODE=1
prefix=ci

lab() { python3 "$share/bench/lab.py" "$@"; }
in_lab() { lab run "$@"; }
# In the background: `$!` is then COMMAND itself, not a shell that waits for it.
become_in_lab() { exec python3 "$share/bench/lab.py" run "$@"; }

# Whatever still runs in the resolver's namespace is ours: nothing else can be there.
cleanup() {
  local left
  left=$(ip netns pids ${prefix}res 2>/dev/null) || left=
  [ -z "$left" ] || kill -KILL $left 2>/dev/null || true
  wait 2>/dev/null || true
  lab down
}

# What prebound and Unbound are told; Unbound's listener is added to its own copy.
common_conf() {
  cat <<CONF
server:
  directory: "$scratch"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  verbosity: 1
  num-threads: 2
  msg-cache-size: ${BOUNDS[0]}m
  rrset-cache-size: ${BOUNDS[1]}m
  key-cache-size: ${BOUNDS[2]}m
  neg-cache-size: ${BOUNDS[3]}m
  outgoing-range: 4096
  num-queries-per-thread: 2048
  edns-buffer-size: 1232
  max-udp-size: 1232
  minimal-responses: yes
  qname-minimisation: yes
  module-config: "validator iterator"
  trust-anchor-file: "$data/anchors/root.ds"
remote-control:
  control-enable: no
CONF
}

start_lab() {
  lab up --prefix $prefix
  data=$(python3 -c 'import json, os; print(json.load(open(os.environ["LAB_WORK"] + "/lab.json"))["data"])')
  common_conf >"$scratch/prebound.conf"
  { common_conf; printf 'server:\n  interface: %s\n  so-rcvbuf: 4m\n' $UNBOUND; } >"$scratch/unbound.conf"
}

start_unbound() {
  become_in_lab unbound -d -c "$scratch/unbound.conf" >"$scratch/unbound.log" 2>&1 &
  wait_for $UNBOUND $! "$scratch/unbound.log"
}

# With the root hints it has built in, as the lab serves the root's real addresses.
start_bind() {
  mkdir "$scratch/bind"
  cat >"$scratch/bind/named.conf" <<CONF
options {
  directory "$scratch/bind"; pid-file none; session-keyfile none; lock-file none;
  listen-on port 53 { $BIND; }; listen-on-v6 { none; };
  recursion yes; allow-query { any; }; allow-recursion { any; };
  dnssec-validation yes; minimal-responses yes; qname-minimization relaxed;
  edns-udp-size 1232; max-udp-size 1232; prefetch 0; notify no;
};
include "$data/anchors/bind.conf";
controls { };
logging { category default { null; }; category unmatched { null; }; };
CONF
  # It listens on addresses of interfaces only.
  in_lab ip address add $BIND/32 dev lo
  become_in_lab named -f -n 1 -c "$scratch/bind/named.conf" >"$scratch/bind.log" 2>&1 &
  wait_for $BIND $! "$scratch/bind.log"
}

# start_tested [PROGRAM ARGUMENTS...]: prebound through its launcher, run by PROGRAM if given; sets `launcher`.
start_tested() {
  become_in_lab "$@" "$bin/prebound-launch" --listen $TESTED:53 -- -c "$scratch/prebound.conf" >"$scratch/prebound.log" 2>&1 &
  launcher=$!
  wait_for $TESTED "$launcher" "$scratch/prebound.log"
}

# wait_for ADDRESS PID LOG: until it answers from the root.
wait_for() {
  local tries
  for tries in {1..50}; do
    if ! kill -0 "$2" 2>/dev/null; then
      tail -n 20 "$3" >&2
      fail "$1 ended at start"
    fi
    if in_lab dig "@$1" com. SOA +dnssec +tries=1 +timeout=2 2>/dev/null | grep -q 'flags:.* ad.*;'; then return; fi
    sleep 0.1
  done
  tail -n 20 "$3" >&2
  fail "$1 has no validated answer for com. SOA"
}

# child NAME: the process of that name below the launcher.
child() {
  local pid parent
  for pid in $(pgrep -x "$1"); do
    parent=$pid
    while [ "${parent:-0}" -gt 1 ] && [ "$parent" -ne "$launcher" ]; do parent=$(ps -o ppid= -p "$parent" | tr -d ' '); done
    if [ "${parent:-0}" -eq "$launcher" ]; then
      echo "$pid"
      return
    fi
  done
  fail "no process $1 below the launcher"
}

# The launcher is told to stop and must end well.
stop_tested() {
  local status=0
  kill -TERM "$launcher"
  wait "$launcher" || status=$?
  [ $status -eq 0 ] || fail "the launcher ended with status $status"
}

no_panic() {
  if grep -n 'panicked' "$scratch/prebound.log"; then fail "prebound panicked"; fi
}
