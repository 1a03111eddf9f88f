#!/usr/bin/env bash
# The same by a queued resource: the slice is asked for once, and the run starts when the cloud has one to give.
set -euo pipefail
cd "$(dirname "$0")/../.."

export TPU_NAME=my-slice PROJECT=MY-PROJECT ZONE=europe-west4-b
export ACCELERATOR_TYPE=v5litepod-256 CAPACITY=queued DELETE=true
export JAX_COMPILATION_CACHE_DIR=gs://MY-BUCKET/compiled

exec bash run_tpu.sh launch hybridlm train --config=configs/llama2_7b.py \
  --config.data.prepared=gs://MY-BUCKET/rows --config.mesh.data=4 --config.mesh.fsdp=64 \
  --workdir=gs://MY-BUCKET/runs/large
