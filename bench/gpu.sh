#!/usr/bin/env bash
# What a GPU does, part by part: bash bench/gpu.sh FOLDER [PART...]
# Each part takes at most some four minutes, prints its table and leaves its JSON in FOLDER as soon as it has it.
# Nothing is fetched. PYTHON names another interpreter (by default .venv/bin/python). A study goes on where it was
# when its part is asked for again; it needs all of the engine's packages, the other parts only the models'.
set -uo pipefail
parts=(equal-texts equal-train train eval eval-smollm2 merge unified growth study-embedded study-smollm2 study-0.5b)
usage="bash bench/gpu.sh FOLDER [PART...]; parts: ${parts[*]}"
[ $# -ge 1 ] || { echo "$usage" >&2; exit 2; }
out="$(realpath -m "$1")"; shift; mkdir -p "$out"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
py="${PYTHON:-.venv/bin/python}"
export HF_HUB_OFFLINE=1
"$py" -c 'import torch; assert torch.cuda.is_available(), "No GPU is in reach."; print(torch.cuda.get_device_name())' \
  | tee "$out/card.txt" || exit 1
failed=0
shown='
import json, sys
found = json.load(open(sys.argv[1]))
for row in found.get("rows", ()):
    told = "{way:<44} {seconds_a_unit:10.5f} s, {rate:10,.1f} a second, x {ratio:.1f}, {peak_gb} GB; {note}"
    print(told.format(rate=1 / row["seconds_a_unit"], **row))
for line in found.get("checks", ()):
    print("  " + line)
for point in found.get("points", ()):
    print("{task} {personas} personas, {axis} {size}: {seconds:.2f} s for {work}, {peak_gb} GB".format(**point))
for run in found.get("runs", ()):
    stages = ("{} {:.0f}".format(*stage) for stage in run["stages"].items())
    print("{:<40}".format(run["run"]), ", ".join(stages))
print({name: value for name, value in found.items() if isinstance(value, (int, float, str)) or name == "shares"})
'

table() {  # table NAME COMMAND...: run, keep the JSON, print it as a table; what fails says so and stops no other
  local name="$1"; shift
  echo "--- $name: $*"
  if timeout 280 "$py" "$@" --json > "$out/$name.part"; then
    mv "$out/$name.part" "$out/$name.json"
    "$py" -c "$shown" "$out/$name.json"
  else
    echo "$name failed or took more than 280 s" >&2; failed=1
  fi
}

part() {
  case "$1" in
    equal) part equal-texts; part equal-train ;;
    equal-train)  # the same weights as PEFT's after training
      table equal-train bench/train.py --base 0.5b --dtype fp32 --personas 2 --sample 2 --dialogues 4 --ways ours b-fp32 ;;
    equal-texts)  # the same 50 greedy texts as PEFT's in fp32, and how many of them in bf16
      table equal-texts bench/eval.py --base 0.5b --dtype fp32 --personas 5 --sample 5 --examples 10 --ways ours b-mixed-fp32
      table equal-bf16 bench/eval.py --base 0.5b --dtype bf16 --personas 5 --sample 5 --examples 10 --ways ours b-mixed-bf16 ;;
    train)  # with the product's own dropout beside PEFT, and without
      table train bench/train.py --base 0.5b --dtype bf16 --personas 200 --sample 1 --dialogues 30 --dropout 0.05 --ways ours a-bf16 b-bf16
      table train-plain bench/train.py --base 0.5b --dtype bf16 --personas 64 --sample 1 --dialogues 30 --ways ours b-bf16 ;;
    eval)
      table eval bench/eval.py --base 0.5b --dtype bf16 --personas 200 --sample 2 --examples 10 --ways ours a-bf16 b-mixed-bf16 ;;
    eval-smollm2)
      table eval-smollm2 bench/eval.py --base smollm2 --dtype bf16 --personas 200 --sample 2 --examples 10 --ways ours b-mixed-bf16 ;;
    merge) table merge bench/merge.py --base 0.5b ;;
    unified) table unified bench/train.py --base 0.5b --dtype bf16 --personas 1 --sample 1 --dialogues 200 --dropout 0.05 --ways ours b-bf16 ;;
    growth) table growth bench/growth.py --base 0.5b --axes personas ;;  # 20, 200 and 2,000 personas
    study-*)
      local base="${1#study-}"
      table "$1" bench/study.py --base "$base" --dialogues 20 --minutes 3.5 --workspace "$out/workspace-$base" ;;
    *) echo "There is no part $1. $usage" >&2; exit 2 ;;
  esac
}

[ $# -ge 1 ] || set -- "${parts[@]}"
for one in "$@"; do part "$one"; done
exit "$failed"
