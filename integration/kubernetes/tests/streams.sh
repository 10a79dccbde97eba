# What goes in and out of a running pod.

prepare() {
  pod talker sandrun 'echo to stdout; echo to stderr >&2; while read -r line; do echo "heard $line"; done; sleep infinity' \
    '{"stdin": true}'
  pod server sandrun 'while true; do echo "served" | nc -l -p 8080; done' '{"ports": [{"containerPort": 8080}]}'
  ready talker server
}

it_keeps_logs_of_both_streams() {
  within 10 has_logs 'to stdout'
  kubectl logs talker | has 'to stderr'
  grep -h ' stderr F to stderr' /var/log/pods/*_talker_*/main/0.log
}
has_logs() { kubectl logs talker | has "$1"; }

it_executes_a_command_and_tells_its_exit_code() {
  local code=0
  inside talker sh -c 'exit 7' || code=$?
  same $code 7
}

it_gives_a_command_what_is_written_to_it() {
  same "$(echo 'through stdin' | kubectl exec -i talker -- cat)" 'through stdin'
}

it_carries_much_data_whole() {
  local sum
  sum=$(head -c 20000000 /dev/urandom | tee /tmp/much | sha256sum)
  same "$(kubectl exec -i talker -- sha256sum </tmp/much)" "$sum"
  inside talker sh -c 'head -c 5000000 /dev/zero' | wc -c | has 5000000
}

it_executes_on_a_terminal_of_a_size() {
  script -qec 'stty rows 33 cols 111; kubectl exec -it talker -- sh -c "tty; sleep 1; stty size"' /dev/null >/tmp/tty
  has /dev/pts/ </tmp/tty
  has '33 111' </tmp/tty
}

it_says_which_command_is_not_there() {
  refused 'no-such-command' inside talker no-such-command
}

it_attaches_to_the_first_process() {
  { echo 'from outside' && sleep 3; } | timeout 10 kubectl attach -i talker >/tmp/attached || true
  kubectl logs talker | has 'heard from outside'
  has 'heard from outside' </tmp/attached
}

it_forwards_a_port() {
  kubectl port-forward server 18080:8080 >/tmp/forward 2>&1 &
  local forward=$!
  within 20 served
  kill $forward
}
served() { timeout 3 curl -s --http0.9 http://127.0.0.1:18080 </dev/null | has served; }

it_is_reached_over_the_network() {
  nc_to "$(field pod/server .status.podIP)" | has served
}
nc_to() { timeout 5 busybox nc "$1" 8080 </dev/null; }

it_copies_files_in_and_out() {
  head -c 300000 /dev/urandom >/tmp/there
  kubectl cp /tmp/there talker:/tmp/there
  kubectl cp talker:/tmp/there /tmp/back
  cmp /tmp/there /tmp/back
}

it_lets_a_debugger_join() {
  kubectl debug talker --image=sandrun.test/busybox:1 --image-pull-policy=Never --target=main --container=debugger -- \
    sh -c 'ps; sleep infinity'
  within 30 debugger_sees 'sleep infinity'
}
debugger_sees() { kubectl logs talker -c debugger | has "$1"; }
