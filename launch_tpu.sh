# shellcheck shell=bash disable=SC2154 # run_tpu.sh sets dry_run, here and logs
#
# Sourced by run_tpu.sh. `launch MODULE [ARGUMENT...]` runs a module on all hosts of a TPU slice from a laptop: it makes
# the slice or waits for it, brings this checkout there, starts the module, shows what host 0 says, and starts it again
# as its exit code asks. The same arguments, and so the same --workdir, every time: a run goes on from its checkpoint.
#
#   TPU_NAME            of the slice (needed), and of what is kept about it in HYBRIDLM_LOGS
#   ZONE, PROJECT       where it is; the project of gcloud unless said
#   ACCELERATOR_TYPE    what to make if there is none, such as v5litepod-16
#   RUNTIME_VERSION     its image (default: the one for the type)
#   CAPACITY            on-demand, spot, queued or queued-spot (default: on-demand)
#   ATTEMPTS            how often a run that crashed is started again (default: 10); a preempted one always is
#   PAUSE               seconds before it looks or tries again, twice as long each time, up to 60 (default: 5)
#   DELETE              true to delete the slice at the end, and to make anew one that launch did not make
#
# Hosts are asked to `start`, `follow` and `stop` a run by name; it lives on when the connection does not.

say() { echo "run_tpu.sh: $*" >&2; }
refuse() { say "$*" && exit 64; }

tpu() { run gcloud compute tpus tpu-vm "$1" "$TPU_NAME" "${where[@]}" "${@:2}"; }
queue() { run gcloud compute tpus queued-resources "$1" "$TPU_NAME" "${where[@]}" "${@:2}"; }

# on HOST COMMAND: HOST is a number or all
on() { tpu ssh --worker="$1" --ssh-flag="-o ServerAliveInterval=30" --command="$2"; }

# The state of the slice, and how many hosts it has; ABSENT, or UNKNOWN where gcloud gives no answer.
state() {
  local answer
  if $dry_run; then
    tpu describe --format="value(state,networkEndpoints.len())" && echo "${assumed:-ABSENT}"
  elif answer=$(tpu describe --format="value(state,networkEndpoints.len())" 2>&1); then
    echo "${answer##*$'\n'}" # warnings stand before it
  elif [[ $answer == *NOT_FOUND* ]]; then
    echo ABSENT
  else
    say "$answer" && echo UNKNOWN
  fi
}

queue_state() {
  local answer
  answer=$(queue describe --format="value(state.state)" 2>&1) || answer=ABSENT
  echo "$answer"
}

image() {
  case $ACCELERATOR_TYPE in
    v5litepod-*) echo v2-alpha-tpuv5-lite ;;
    v5p-*) echo v2-alpha-tpuv5 ;;
    v6e-*) echo v2-alpha-tpuv6e ;;
    *) echo tpu-ubuntu2204-base ;;
  esac
}

create() {
  [[ -n ${ACCELERATOR_TYPE-} ]] || refuse "there is no $TPU_NAME in $ZONE, and no ACCELERATOR_TYPE says what to create"
  local kind=(--accelerator-type="$ACCELERATOR_TYPE" --version="${RUNTIME_VERSION:-$(image)}")
  $dry_run || touch "$place/created"
  case $CAPACITY in
    on-demand) tpu create "${kind[@]}" ;;
    spot) tpu create "${kind[@]}" --spot ;;
    queued | queued-spot)
      kind=(--node-id="$TPU_NAME" "${kind[0]}" --runtime-version="${kind[1]#*=}")
      if [[ $CAPACITY == queued-spot ]]; then kind+=(--spot); fi
      queue create "${kind[@]}"
      ;;
  esac
}

delete() {
  if [[ $CAPACITY == queued* ]]; then queue delete --quiet --force; else tpu delete --quiet; fi
}

# Deletes what was taken away or never came, so that it can be made again; that is no crash of the run.
make_anew() {
  if [[ ${DELETE-} != true && ! -f $place/created ]]; then
    refuse "$TPU_NAME is gone, and launch did not make it; set DELETE=true, or delete it yourself and run this again"
  fi
  say "$TPU_NAME is gone; making it anew"
  crashes=0
  delete || say "could not delete $TPU_NAME; trying again"
}

# Waits until the slice is there, whatever that takes, and sets `hosts`.
until_ready() {
  local now
  pause=$first_pause
  while true; do
    now=$(state)
    case $now in
      READY*) hosts=${now#*[[:space:]]} && return ;;
      ABSENT)
        if [[ $CAPACITY != queued* ]]; then
          create || say "could not create $TPU_NAME; trying again"
        else
          case $(queue_state) in
            ABSENT) create || say "could not queue $TPU_NAME; trying again" ;;
            FAILED | SUSPENDED) make_anew ;;
          esac
        fi
        copied=false assumed="READY 1"
        ;;
      PREEMPTED* | TERMINATED* | STOPPED*) make_anew ;;
      *) say "$TPU_NAME is ${now%%[[:space:]]*}" ;;
    esac
    wait_a_while
  done
}

wait_a_while() {
  $dry_run || sleep "$pause"
  pause=$((pause * 2 > 60 ? 60 : pause * 2))
}

# Brings the files that git knows to all hosts, and makes the environment there.
copy() {
  local host archive=$place/hybridlm.tar.gz
  # the first connection to a host makes keys, which hosts that are all asked at once would make at once
  for ((host = 0; host < hosts; host++)); do on "$host" true || return; done
  $dry_run || (
    cd "$here" && git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -czf -
  ) >"$archive"
  run gcloud compute tpus tpu-vm scp "$archive" "$TPU_NAME:hybridlm.tar.gz" "${where[@]}" --worker=all || return
  on all "mkdir -p hybridlm && tar -xzf hybridlm.tar.gz -C hybridlm && cd hybridlm && bash run_tpu.sh pip --version"
}

# One attempt: its logs, and its exit code in `code`; 255 where the connection or the slice was lost.
attempt() {
  local host words logs_here=$place/attempt_$1
  code=255
  printf -v words '%q ' "${settings[@]}" bash run_tpu.sh start "$TPU_NAME" "${@:2}"
  $dry_run || mkdir -p "$logs_here"
  $copied || copy || return 0
  copied=true
  on all "cd hybridlm && ${words% }" || return 0
  if $dry_run; then
    on 0 "cd hybridlm && bash run_tpu.sh follow $TPU_NAME" && code=0
    return
  fi
  on 0 "cd hybridlm && bash run_tpu.sh follow $TPU_NAME" | tee "$logs_here/host_0.log" || true
  code=$(sed -n 's/^run_tpu.sh: ended with \([0-9]*\)$/\1/p' "$logs_here/host_0.log")
  code=${code:-255}
  for ((host = 1; host < hosts; host++)); do
    run gcloud compute tpus tpu-vm scp "$TPU_NAME:.hybridlm/$TPU_NAME/log" "$logs_here/host_$host.log" \
      "${where[@]}" --worker="$host" || true
  done
}

launch() {
  if [[ ${1-} == --help ]]; then sed -n '3,/^$/s/^# \{0,1\}//p' "$here/launch_tpu.sh" && exit; fi
  [[ $# -gt 0 ]] || refuse "launch MODULE [ARGUMENT...]; bash run_tpu.sh launch --help explains it"
  [[ -n ${TPU_NAME-} && -n ${ZONE-} ]] || refuse "launch needs TPU_NAME and ZONE; launch --help lists all settings"
  [[ ${CAPACITY:=on-demand} =~ ^(on-demand|spot|queued|queued-spot)$ ]] ||
    refuse "CAPACITY=$CAPACITY is none of on-demand, spot, queued, queued-spot"
  local name where=(--zone="$ZONE" ${PROJECT:+--project="$PROJECT"}) place=$logs/$TPU_NAME settings=(env)
  local copied=false assumed='' hosts=1 crashes=0 code number=0 first_pause=${PAUSE:-5} pause
  for name in HYBRIDLM_EXTRA JAX_COMPILATION_CACHE_DIR LIBTPU_INIT_ARGS XLA_FLAGS; do
    if [[ -n ${!name-} ]]; then settings+=("$name=${!name}"); fi
  done
  $dry_run || mkdir -p "$place"
  while true; do
    until_ready
    attempt "$((++number))" "$@"
    case $code in
      0) say "done" && break ;;
      64 | 70) say "ended with $code, which a retry would repeat" && break ;;
      75) say "preempted with its checkpoint saved; going on" && crashes=0 ;;
      *)
        crashes=$((crashes + 1))
        say "attempt $number ended with $code"
        if ((crashes >= ${ATTEMPTS:-10})); then say "that was crash $crashes in a row; giving up" && break; fi
        on all "cd hybridlm && bash run_tpu.sh stop $TPU_NAME" || true
        ;;
    esac
    pause=$((first_pause * (crashes + 1)))
    wait_a_while
  done
  if [[ ${DELETE-} == true ]]; then delete; else say "$TPU_NAME is left as it is; DELETE=true deletes it at the end"; fi
  exit "$code"
}

# On a host -----------------------------------------------------------------------------------------------------------

alive() { [[ -f $1/pid ]] && kill -0 "$(<"$1/pid")" 2>/dev/null; }

# start NAME MODULE [ARGUMENT...]: in the background, unless it runs already
start() {
  local place=$HOME/.hybridlm/$1
  mkdir -p "$place"
  if alive "$place"; then say "$1 is running" && return; fi
  rm -f "$place/exit"
  # shellcheck disable=SC2016
  setsid bash -c '"${@:2}" & echo $! >"$1/module"; wait $!; echo $? >"$1/exit"' \
    start "$place" bash "$here/run_tpu.sh" "${@:2}" >"$place/log" 2>&1 </dev/null 3>&- &
  echo $! >"$place/pid"
}

# follow NAME: what it has said and says until it ends, and how it ended
follow() {
  local place=$HOME/.hybridlm/$1
  tail -n +1 --pid="$(<"$place/pid")" -f "$place/log"
  echo "run_tpu.sh: ended with $(cat "$place/exit" 2>/dev/null || echo 137)"
}

# stop NAME: with time to save, if it still runs
stop() {
  local place=$HOME/.hybridlm/$1 pid second
  alive "$place" || return 0
  pid=$(<"$place/pid")
  kill -TERM "$(<"$place/module")"
  for ((second = 0; second < 60; second++)); do
    alive "$place" || return 0
    sleep 1
  done
  kill -KILL -- "-$pid"
}
