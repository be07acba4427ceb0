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
    opponents = [found["reference"], *([placebo] if placebo else [])]
    rows = []
    for opponent in opponents:
        against = (
            found
            if opponent == found["reference"]
            else compare_variants(ws, split="test", reference=opponent)
        )
        for kind, personas in who.items():
            (pairing,) = pairings(ws, against, personas=personas, variants=[row["variant"]]).values()
            rows.append(
                {"personas": kind, "over": opponent, "n": len(personas), **compare(pairing).as_json()}
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("run")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = measure(asked.workspace, asked.run)
    if asked.json:
        print(json.dumps(rows))
        return
    print("| personas | over | difference, points | 95 % CI |\n|---|---|---|---|")
    for row in rows:
        low, high = 100 * row["ci_low"], 100 * row["ci_high"]
        kind = row["personas"].replace("_", " ")
        print(
            f"| {row['n']} {kind} | {row['over']} | {100 * row['delta']:+.1f} | {low:+.1f} to {high:+.1f} |"
        )


if __name__ == "__main__":
    main()
