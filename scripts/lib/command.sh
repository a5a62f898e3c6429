# Sourced by scripts/with-docker and with-swarm: runs CMD and passes on the signals that the script gets. Needs
# command='' and, as traps, `on_signal HUP 129` and its like.
# shellcheck shell=bash

on_signal() { # NAME EXIT_CODE
  [[ -n $command ]] || exit "$2"
  # A terminal has sent Ctrl-C to CMD already; a second one would mean "at once" to docker compose.
  [[ $1 == INT && -t 0 ]] || kill -s "$1" "$command" 2>/dev/null || true
}

# In the background, because bash takes no signal while it waits for a command in the foreground; but with standard
# input, and with the SIGINT that bash takes from what is in the background.
run_command() { # CMD [ARG...]
  local status=0
  env --default-signal=INT,QUIT -- "$@" <&0 &
  command=$!
  while kill -0 "$command" 2>/dev/null; do wait "$command" || true; done
  wait "$command" || status=$?
  exit "$status"
}
