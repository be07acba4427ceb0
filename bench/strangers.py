"""Whether a network serves those whom it was not trained on (projected-profile, hypernetwork-trained).

    .venv/bin/python -m engine bench strangers WORKSPACE RUN

What the variant of RUN gains over the reference and over its placebo, for the personas that its network was
trained on and for those held out of its training: mean difference on test in the primary metric, with its
95 % interval over personas. Asking test is counted as a look, as `compare --split test` is.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])


def measure(workspace: Path, run: str) -> list[dict[str, Any]]:
    """Return a row for each kind of persona and each opponent, differences as fractions."""
    from engine.core.paths import Workspace, read_json
    from engine.results.comparing.comparison import compare_variants
    from engine.results.comparing.pairings import pairings
    from engine.stats.compare import compare

    ws = Workspace(workspace)
    who = read_json(ws.run_folder(run) / "trained.json")
    found = compare_variants(ws, split="test")
    (row,) = (one for one in found["rows"] if one["run_id"] == run)
    placebo = (row["above_placebo"] or {}).get("placebo")
    tables = [found, *([compare_variants(ws, split="test", reference=placebo)] if placebo else [])]
    rows = []
    for table in tables:
        for kind, personas in who.items():
            (pairing,) = pairings(ws, table, personas=personas, variants=[row["variant"]]).values()
            told = {"personas": kind, "over": table["reference"], "n": len(personas)}
            rows.append({**told, **compare(pairing).as_json()})
    return rows


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("workspace", type=Path)
    made.add_argument("run")
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    asked = made.parse_args()
    rows = measure(asked.workspace, asked.run)
    if asked.json:
        print(json.dumps(rows))
        return
    print("| personas | over | difference, points | 95 % CI |\n|---|---|---|---|")
    for row in rows:
        delta, low, high = (f"{100 * row[name]:+.1f}" for name in ("delta", "ci_low", "ci_high"))
        kind = row["personas"].replace("_", " ")
        print(f"| {row['n']} {kind} | {row['over']} | {delta} | {low} to {high} |")


if __name__ == "__main__":
    main()
