# How the end of a container is shown.

prepare() {
  local never='{"restartPolicy": "Never"}'
  pod three sandrun 'echo last words >/dev/termination-log; exit 3' '' "$never"
  # The first process of a pid namespace cannot kill itself.
  pod killed sandrun 'kill -KILL $$' '' '{"restartPolicy": "Never", "shareProcessNamespace": true}'
  pod greedy sandrun 'exec probe eat 100' '{"resources": {"limits": {"memory": "32Mi"}}}' "$never"
  pod absent sandrun '' '{"command": ["/no/such/program"]}' "$never"
  pod text sandrun '' '{"command": ["/etc/passwd"]}' "$never"
  pod lost sandrun '' '{"workingDir": "/etc/passwd"}' "$never"
}

terminated() { echo ".status.containerStatuses[0].state.terminated.$1"; }

it_shows_exit_code_and_last_words() {
  within 30 field_is pod/three "$(terminated exitCode)" 3
  field_is pod/three "$(terminated reason)" Error
  field_is pod/three "$(terminated message)" 'last words'
}

it_shows_a_signal_as_128_and_its_number() {
  within 30 field_is pod/killed "$(terminated exitCode)" 137
  field_is pod/killed "$(terminated reason)" Error
}

it_shows_what_memory_ended() {
  within 30 field_is pod/greedy "$(terminated exitCode)" 137
  field_is pod/greedy "$(terminated reason)" OOMKilled
}

it_shows_a_program_that_is_not_there() {
  within 30 field_is pod/absent "$(terminated reason)" StartError
  field_is pod/absent "$(terminated exitCode)" 128
  described absent /no/such/program
  described absent 'no such file or directory'
}

it_shows_a_program_that_may_not_be_executed() {
  within 30 field_is pod/text "$(terminated reason)" StartError
  described text 'permission denied'
}

it_shows_a_working_directory_that_is_none() {
  within 30 field_is pod/lost "$(terminated reason)" StartError
  described lost /etc/passwd
}
