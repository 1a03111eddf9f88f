#!/usr/bin/env bash
# Runs a Python module in hybridlm's own environment, created on first use; the same line on a TPU VM (every host of a
# slice), a GPU machine and a laptop. It needs neither root nor a recent system Python.
#
#   bash run_tpu.sh hybridlm train --config=configs/NAME.py --workdir=DIR
#   bash run_tpu.sh pytest
#   bash run_tpu.sh local N MODULE [ARGUMENT...]      N processes of one run on this machine, one GPU each if there are
#   bash run_tpu.sh launch MODULE [ARGUMENT...]       on all hosts of a TPU slice, from a laptop, until it is done
#   bash run_tpu.sh --dry-run ...                     prints the commands of any of these, changes nothing
#
# The module runs in the caller's directory. The environment follows setup.cfg and always holds the tests' packages,
# which are small beside jax. What `launch` reads is explained in launch_tpu.sh, and all of it in docs/pods.md.
#
#   HYBRIDLM_VENV     where the environment lives, one for each checkout (default: .venv beside this script)
#   HYBRIDLM_EXTRA    extras of setup.cfg to install (default: tpu, cuda or none, by the hardware found)
#   HYBRIDLM_LOGS     directory of the logs of `local` and `launch` (default: runs/logs)
set -euo pipefail

run() { if $dry_run; then { printf '%q ' "$@" && echo; } >&3; else "$@"; fi; }

hardware() {
  if [[ -e /dev/nvidia0 || -e /dev/dxg ]] || command -v nvidia-smi >/dev/null; then
    echo cuda
  elif compgen -G '/dev/accel[0-9]*' >/dev/null ||
    { compgen -G '/dev/vfio/[0-9]*' && grep -sx 0x1ae0 /sys/bus/pci/devices/*/vendor; } >/dev/null; then
    echo tpu # any device may pass through vfio; 0x1ae0 is Google
  fi
}

create() {
  local name python uv=uv
  for name in python3.12 python3.13 python3; do # asked from here, where .python-version steers pyenv
    if python=$(cd "$here" && "$name" -c "$is_recent" 2>/dev/null); then
      run "$python" -m venv "$venv" && return
    fi
  done
  command -v uv >/dev/null || { uv=$venv/uv/bin/uv && run python3 -m pip install -qq --target "$venv/uv" uv; }
  run "$uv" venv --quiet --seed --allow-existing --python 3.12 "$venv"
}

prepare() {
  "$venv/bin/python" -m pip --version >/dev/null 2>&1 || create || { echo "$no_python" >&2 && exit 1; }
  run "$venv/bin/python" -m pip install -qq --disable-pip-version-check --editable "$project"
}

# An environment holds one checkout, by its path: another clone would swap the code under the first one's runs.
refuse_theirs() {
  local owner
  [[ -f $venv/ready ]] || return 0
  owner=$(<"$venv/ready")
  owner=${owner%\[test*}
  if [[ -f $owner/run_tpu.sh && ! $owner -ef $here ]]; then
    echo "run_tpu.sh: $venv runs the code of $owner, not of $here." \
      "Give each checkout an environment of its own: unset HYBRIDLM_VENV, or set it to another directory." >&2
    exit 1
  fi
}

ready() { [[ -f $venv/ready && $(<"$venv/ready") == "$wanted" ]]; }

# N MODULE [ARGUMENT...]: processes of one run, of which the first speaks here and the others to their logs. The exit
# code is that of the first that failed; who ends this ends all of them.
processes() {
  local count=$1 number pid own code=0 port=${HYBRIDLM_PORT:-$((20000 + RANDOM % 12000))} is_ended=false joined pids=()
  shift
  $dry_run || mkdir -p "$logs"
  trap 'is_ended=true; kill -TERM "${pids[@]}" 2>/dev/null || true' TERM INT
  for ((number = 0; number < count; number++)); do
    joined=(JAX_COORDINATOR_ADDRESS="localhost:$port" JAX_NUM_PROCESSES="$count" JAX_PROCESS_ID="$number")
    joined+=(JAX_COORDINATOR_BIND_ADDRESS="localhost:$port") # unnamed, it would be every address of the machine
    if [[ $extra == *cuda* && ${JAX_PLATFORMS-} != cpu ]]; then joined+=(CUDA_VISIBLE_DEVICES="$number"); fi
    (
      ((number == 0)) || $dry_run || exec >"$logs/host_$number.log" 2>&1
      run exec env "${joined[@]}" "$venv/bin/python" -m "$@"
    ) &
    pids+=($!)
    if $dry_run; then wait $!; fi # one line after the other
  done
  for pid in "${pids[@]}"; do
    wait "$pid" && own=0 || own=$?
    if $is_ended; then wait "$pid" && own=0 || own=$?; fi # a signal ends the first wait before the process
    if ((code == 0)); then code=$own; fi
  done
  return "$code"
}

dry_run=false
exec 3>&1 # where a dry run prints, whatever the output is used for
if [[ ${1-} == --dry-run ]]; then dry_run=true && shift; fi
if [[ $# == 0 || $1 == -* ]]; then
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
  [[ ${1-} == --help ]] && exit
  exit 64
fi

here=$(cd "$(dirname "$0")" && pwd)
logs=${HYBRIDLM_LOGS:-runs/logs}
venv=${HYBRIDLM_VENV:-$here/.venv}
extra=${HYBRIDLM_EXTRA-$(hardware)}
project="${here}[test${extra:+,$extra}]"
wanted="$project $(cat "$here/setup.cfg" "$here/pyproject.toml" | cksum)"
is_recent="import ensurepip, sys, venv; assert sys.version_info >= (3, 12); print(sys.executable)"
no_python="run_tpu.sh: no Python >= 3.12 with venv was found, and uv could not bring one; install one, then run again."

case $1 in
  launch | start | follow | stop)
    # a file of its own, since workers, GPU machines and laptops that train need nothing of it
    # shellcheck disable=SC1091
    source "$here/launch_tpu.sh"
    "$@"
    exit
    ;;
esac

refuse_theirs
if $dry_run; then
  ready || prepare
elif ! ready; then
  echo "run_tpu.sh: setting up $venv, about a minute" >&2
  mkdir -p "$venv"
  (
    flock 9 2>/dev/null || true # two runs may start at once; macOS has no flock
    ready || { prepare && echo "$wanted" >"$venv/ready"; }
  ) 9>"$venv/lock"
fi
if [[ $1 == local ]]; then
  [[ ${2-} =~ ^[1-9][0-9]*$ && $# -gt 2 ]] || { echo "run_tpu.sh: local N MODULE [ARGUMENT...]" >&2 && exit 64; }
  processes "${@:2}"
else
  run exec "$venv/bin/python" -m "$@"
fi
