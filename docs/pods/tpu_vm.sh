#!/usr/bin/env bash
# A run on a TPU slice that is made when it is missing, from a laptop with gcloud. Change what stands behind "=".
set -euo pipefail
cd "$(dirname "$0")/../.."

export TPU_NAME=my-slice PROJECT=MY-PROJECT ZONE=us-west4-a
export ACCELERATOR_TYPE=v5litepod-16 CAPACITY=spot
export JAX_COMPILATION_CACHE_DIR=gs://MY-BUCKET/compiled

# 16 rows a chip in 16 passes, since a v5e holds the activations of one (docs/scaling.md)
# try it with `run_tpu.sh --dry-run launch`, which prints every command
exec bash run_tpu.sh launch hybridlm train --config=configs/llama2_7b.py \
  --config.data.prepared=gs://MY-BUCKET/rows --config.mesh.fsdp=16 \
  --config.training.accumulate=16 --workdir=gs://MY-BUCKET/runs/first
