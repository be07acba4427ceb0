"""Where a gain stands: on replies that her own train dialogues hold word for word and elsewhere, and by
turn."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from engine.core.paths import Workspace
from engine.data.dataset import examples, load_dataset, load_splits
from engine.results import store
from engine.results.comparing import sharing
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.leakage import audit, strangers
from engine.runs import manifest
from engine.strategies.plan import plan
from tests.sample_study import _leave as leave
from tests.sample_study import finish, prepare_world


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = prepare_world(tmp_path_factory.mktemp("study"), personas=6, dialogues=10)
    finish(ws, "unified", "retrieval", per_persona=6)
    return ws


def test_the_share_and_both_gains_are_those_of_the_examples_by_hand(ws: Workspace) -> None:
    found = compare_variants(ws)
    told = audit(ws, found, ["unified+retrieval-3"])
    assert told is not None
    dataset, splits = load_dataset(ws), load_splits(ws)
    own: dict[str, set[str]] = {}
    for one in examples(dataset, splits, "train"):
        own.setdefault(one.persona_id, set()).add(one.reference)
    there, elsewhere = told.parts["unified+retrieval-3"]
    assert (there.n_examples + elsewhere.n_examples) == told.n == 36
    assert told.share == pytest.approx(there.n_examples / told.n)
    assert 0 < told.share < 1
    assert f"{100 * told.share:.0f} %" in told.words
    known = {
        one.example_id: one.reference in own[one.persona_id] for one in examples(dataset, splits, "test")
    }
    scores = store.score_table(ws, metric="embedding_similarity", split="test", protocol=found["protocol"])
    wide = scores.pivot(index=["persona_id", "example_id"], columns="variant", values="value")
    gains = wide["unified+retrieval-3"] - wide["unified"]
    for part, wanted in ((there, True), (elsewhere, False)):
        kept = gains[[known[example] == wanted for _, example in gains.index]]
        assert part.delta == pytest.approx(kept.groupby("persona_id").mean().mean())
    assert sum(turn.n_examples for turn in told.turns["unified+retrieval-3"]) == told.n
    assert told.turns["unified+retrieval-3"][0].name == "1"


def test_both_gains_are_over_the_same_seeds_as_the_table(tmp_path: Path) -> None:
    ws = prepare_world(tmp_path, personas=6, dialogues=8)
    finish(ws, "unified", "per-persona", per_persona=4)
    again = plan(ws, "unified", seed=1).target.spec
    leave(ws, again, per_persona=4, order=9)
    path = ws.run_folder(again.run_id) / "scores.parquet"
    scores = pd.read_parquet(path)
    scores.assign(embedding_similarity=scores["embedding_similarity"] - 0.1).to_parquet(path)
    manifest.write(ws, again.run_id)
    found = compare_variants(ws)
    row = next(row for row in found["rows"] if row["variant"] == "per-persona")
    assert row["seeds"]["n"] == 2
    told = audit(ws, found, ["per-persona"])
    assert told is not None
    table = store.score_table(ws, metric="embedding_similarity", split="test", protocol=found["protocol"])
    wide = table.pivot(index=["persona_id", "example_id"], columns="variant", values="value")
    unified = wide[[name for name in wide.columns if name.startswith("unified")]].mean(axis=1)
    gains = wide["per-persona"] - unified
    assert gains.groupby("persona_id").mean().mean() == pytest.approx(row["delta"])
    first = told.turns["per-persona"][0]
    kept = gains[[example.endswith("#1") for _, example in gains.index]]
    assert first.delta == pytest.approx(kept.groupby("persona_id").mean().mean())


def test_who_shares_what_was_trained_is_no_witness_of_her_own_here_either(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compare_variants(ws)
    ids = {row["variant"]: row["variant_id"] for row in found["rows"] if not row["role"]}
    personas = sorted({one.persona_id for one in load_dataset(ws).personas})
    alone = audit(ws, found, ids)
    halves = {who: place % 2 for place, who in enumerate(personas)}
    monkeypatch.setattr(sharing, "groups", lambda *_: dict.fromkeys(ids.values(), halves))
    together = audit(ws, found, ids)
    assert alone is not None
    assert together is not None
    both = [
        (one, other)
        for name in alone.parts
        for one, other in zip(
            (*alone.parts[name], *alone.turns[name]),
            (*together.parts[name], *together.turns[name]),
            strict=True,
        )
        if one.ci_low is not None and other.ci_low is not None and one.ci_low < (one.ci_high or 0.0)
    ]
    assert both
    assert all(other.ci_low < one.ci_low for one, other in both)  # type: ignore[operator]


def test_who_is_seen_in_training(ws: Workspace, tmp_path: Path) -> None:
    seen, unseen = strangers(ws, "test")
    assert (len(seen), len(unseen)) == (6, 0)
    other = prepare_world(tmp_path / "by-persona", personas=6, dialogues=4)
    assert other.read_config()["split"] == "by-persona"
    seen, unseen = strangers(other, "test")
    assert len(unseen) >= 1
    assert not seen
