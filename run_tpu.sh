#!/usr/bin/env bash
# Runs a Python module in hybridlm's own environment, created on first use; the same line on a TPU VM (every host of a
# slice), a GPU machine and a laptop. It needs neither root nor a recent system Python.
#
#   bash run_tpu.sh hybridlm train --config=configs/NAME.py --workdir=DIR
#   bash run_tpu.sh pytest
#   bash run_tpu.sh --dry-run MODULE [ARGUMENT...]    prints the commands, changes nothing
#
# The module runs in the caller's directory. The environment follows setup.cfg and always holds the tests' packages,
# which are small beside jax.
#
#   HYBRIDLM_VENV     where the environment lives (default: .venv beside this script)
#   HYBRIDLM_EXTRA    extras of setup.cfg to install (default: tpu, cuda or none, by the hardware found)
set -euo pipefail

run() { if $dry_run; then printf '%q ' "$@" && echo; else "$@"; fi; }

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

ready() { [[ -f $venv/ready && $(<"$venv/ready") == "$wanted" ]]; }

dry_run=false
if [[ ${1-} == --dry-run ]]; then dry_run=true && shift; fi
if [[ $# == 0 || $1 == -* ]]; then
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
  [[ ${1-} == --help ]] && exit
  exit 64
fi

here=$(cd "$(dirname "$0")" && pwd)
venv=${HYBRIDLM_VENV:-$here/.venv}
extra=${HYBRIDLM_EXTRA-$(hardware)}
project="${here}[test${extra:+,$extra}]"
wanted="$project $(cat "$here/setup.cfg" "$here/pyproject.toml" | cksum)"
is_recent="import ensurepip, sys, venv; assert sys.version_info >= (3, 12); print(sys.executable)"
no_python="run_tpu.sh: no Python >= 3.12 with venv was found, and uv could not bring one; install one, then run again."

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
run exec "$venv/bin/python" -m "$@"
