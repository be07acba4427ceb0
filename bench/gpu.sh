#!/usr/bin/env bash
# What a GPU is asked for, in one command and without a network: bash bench/gpu.sh [FOLDER]
# Trains and answers with 200 adapters on a random Qwen2.5-0.5B shape beside PEFT, then times the engine's whole
# 200-persona study. Writes one JSON file a benchmark into FOLDER (by default the folder it is called from).
set -euo pipefail
out="$(realpath "${1:-.}")"; mkdir -p "$out"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
py="${PYTHON:-.venv/bin/python}"
"$py" -c 'import torch; assert torch.cuda.is_available(), "No GPU is in reach."; print(torch.cuda.get_device_name())'
"$py" bench/train.py --base 0.5b --dtype bf16 --personas 200 --sample 3 --dialogues 30 --json > "$out/gpu-train.json"
"$py" bench/eval.py --base 0.5b --dtype bf16 --personas 200 --sample 3 --examples 10 --json > "$out/gpu-eval.json"
"$py" bench/eval.py --base 0.5b --dtype bf16 --personas 200 --sample 3 --examples 64 --json > "$out/gpu-eval-64.json"
"$py" bench/merge.py --base 0.5b --json > "$out/gpu-merge.json"
"$py" bench/study.py --base 0.5b --json > "$out/gpu-study.json"
cat "$out"/gpu-*.json
