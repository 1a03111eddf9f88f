#!/usr/bin/env bash
# Two slices of a GKE cluster by xpk, which writes a JobSet such as jobset_tpu.yaml itself. The image holds this checkout
# in its working directory, with the extra tpu installed.
set -euo pipefail

# 1 is a hang, 74 storage that failed, 75 a run preempted with its checkpoint saved; 64 and 70 would only fail again
exec xpk workload create --project=MY-PROJECT --zone=us-west4-a --cluster=MY-CLUSTER --workload=first \
  --tpu-type=v5litepod-256 --num-slices=2 --docker-image=gcr.io/MY-PROJECT/hybridlm \
  --max-restarts=20 --restart-on-exit-codes=1,74,75,134,137,139,143 \
  --command="python -m hybridlm train --config=configs/llama2_7b.py --config.training.batch_rows=512 \
--config.data.prepared=gs://MY-BUCKET/rows \
--config.mesh.replica=2 --config.mesh.data=4 --config.mesh.fsdp=64 --workdir=gs://MY-BUCKET/runs/first"
