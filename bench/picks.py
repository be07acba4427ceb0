"""Whether the tokens of a persona find her adapter in a library (Arrow).

    .venv/bin/python -m engine bench picks WORKSPACE RUN

RUN is a run of the experiment arrow over adapters of single personas. Of one test prompt each of 40 personas:
how often her own adapter is among those that a token takes in a layer, what chance alone would give, how much
of the softmax its first has, and how alike the directions of any two adapters are beside those of chance.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from functools import partial
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

PERSONAS = 40


def measure(workspace: Path, run: str) -> dict[str, Any]:
    """Return the shares and likenesses, as fractions and absolute cosines."""
    import torch

    from engine.core.paths import Workspace
    from engine.data.dataset import examples, load_dataset, load_splits
    from engine.lm.arrow import load_library
    from engine.lm.asking import Asker
    from engine.lm.bank import written
    from engine.lm.effects import read_recipe
    from engine.lm.load import load_base
    from engine.lm.recipes import Shelf, read_personas
    from engine.runs.runfolder import declared, read_spec

    ws = Workspace(workspace)
    spec, shelf = read_spec(ws.run_folder(run)), Shelf(ws)
    library, base = load_library(ws.adapter(run, "library")), load_base(spec.base)
    own = {
        who: (parts[0].run, parts[0].name)
        for who, parts in read_personas(ws, spec.upstream["adapters"]).items()
    }
    order = sorted(set(own.values()))
    held = examples(load_dataset(ws), load_splits(ws), "test")
    first = {example.persona_id: example for example in reversed(held) if example.persona_id in own}
    asked = [first[who] for who in sorted(first)][:: max(1, len(first) // PERSONAS)]
    recipe = read_recipe(declared(ws.run_folder(run), "variants", [])[0]["recipe"])
    mine = taken = 0
    largest = 0.0

    def look(path: str, place: int, _: Any, inputs: tuple[torch.Tensor, ...], __: Any) -> None:
        nonlocal mine, taken, largest
        fit = (inputs[0] @ library.modules[path].direction.T).abs().topk(min(library.top_k, len(order)))
        mine += int((fit.indices == place).any(-1).sum())
        taken += fit.indices[..., 0].numel()
        largest += float(torch.softmax(fit.values / library.temperature, -1)[..., 0].sum())

    with torch.no_grad():
        for example, ask in zip(
            asked, Asker(ws, base, shelf, max_new_tokens=1).asks(recipe, asked), strict=True
        ):
            place = order.index(own[example.persona_id])
            hooks = [
                base.model.get_submodule(path).register_forward_hook(partial(look, path, place))
                for path in library.modules
            ]
            with written(base.model, ask.rows[0].change):
                base.model(input_ids=torch.tensor([list(ask.rows[0].ids)]))
            for hook in hooks:
                hook.remove()
    alike, wide = [], []
    for module in library.modules.values():
        cosines = (module.direction @ module.direction.T).abs()
        alike.append(float((cosines.sum() - cosines.trace()) / (len(order) * (len(order) - 1))))
        wide.append(module.direction.shape[1])
    return {
        "personas": len(asked),
        "adapters": len(order),
        "own": mine / taken,
        "own_by_chance": min(library.top_k, len(order)) / len(order),
        "share_of_the_first": largest / taken,
        "alike": sum(alike) / len(alike),
        "alike_by_chance": sum(math.sqrt(2 / math.pi / one) for one in wide) / len(wide),
    }


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("workspace", type=Path)
    made.add_argument("run")
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    given = made.parse_args()
    found = measure(given.workspace, given.run)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['personas']} prompts, {found['adapters']} adapters")
    print(f"her own among a token's: {found['own']:.1%} (by chance {found['own_by_chance']:.1%})")
    print(f"the first one's share: {found['share_of_the_first']:.0%}")
    print(f"directions alike: {found['alike']:.3f} (by chance {found['alike_by_chance']:.3f})")


if __name__ == "__main__":
    main()
