#!/usr/bin/env bash
# Fine-tune Nano on a JSONL file of records (format: README, "Train"), then ask the new weights.
#   examples/finetune.sh [RECORDS.jsonl] [OUT] [STEPS]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
records=${1:-$here/records.jsonl}
records=$(cd "$(dirname "$records")" && pwd)/$(basename "$records")
out=${2:-runs/finetune}
steps=${3:-20}
vl2 train "$here/finetune.toml" --out "$out" --set "records.mine=$records" --set "stages.0.steps=$steps"
vl2 ask "$here/receipt.png" "What is the total?" --model "$out/weights" --max-tokens 32
