"""The synthetic worlds: the same from the same seed, importable, and with the truth they claim."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace, read_json
from engine.data.dataset import examples_of, load_dataset
from engine.data.prepare import prepare
from engine.data.worlds import WORLDS, Household, Session, draw_world, write_world
from engine.data.worlds.households import draw_household, draw_manner_of_type
from engine.data.worlds.words import REPLY_SLOTS
from engine.domains.smart_home.actions import extract
from engine.lm.scorer import Scorer

FILES = ("characters.jsonl", "routines.jsonl", "sessions.jsonl", "truth.jsonl")
Drawn = list[tuple[Household, list[Session]]]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def drawn(name: str, *, personas: int = 20, dialogues: int = 6, seed: int = 0) -> Drawn:
    return list(draw_world(name, personas=personas, dialogues=dialogues, seed=seed))


@pytest.mark.parametrize("name", WORLDS)
def test_the_seed_decides_every_byte(tmp_path: Path, name: str) -> None:
    written = {}
    for folder, seed in (("one", 7), ("again", 7), ("other", 8)):
        write_world(tmp_path / folder, name=name, personas=5, dialogues=4, seed=seed)
        written[folder] = files_of(tmp_path / folder)
    assert set(written["one"]) == set(FILES)
    assert written["one"] == written["again"]
    for file in FILES:
        assert written["one"][file] != written["other"][file]


def test_another_process_with_another_hash_seed_writes_the_same(tmp_path: Path) -> None:
    write_world(tmp_path / "here", name="default", personas=4, dialogues=3, seed=3)
    code = (
        "import sys; from pathlib import Path; from engine.data.worlds import write_world; "
        "write_world(Path(sys.argv[1]), name='default', personas=4, dialogues=3, seed=3)"
    )
    env = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], env=env, check=True, timeout=400)
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")


def test_a_larger_world_holds_the_smaller_one() -> None:
    small, large = drawn("default", personas=3, dialogues=2), drawn("default", personas=5, dialogues=4)
    for (one, its_sessions), (other, more_sessions) in zip(small, large, strict=False):
        assert one == other
        assert its_sessions == more_sessions[:2]


def test_an_unknown_world_and_an_empty_one_are_refused() -> None:
    with pytest.raises(EngineError, match="'defualt'") as caught:
        next(draw_world("defualt", personas=1, dialogues=1, seed=0))
    assert "default" in caught.value.hint
    with pytest.raises(EngineError, match="0 x 5"):
        next(draw_world("default", personas=0, dialogues=5, seed=0))


@pytest.mark.parametrize("name", WORLDS)
def test_the_ordinary_importer_takes_a_world_without_a_fault(tmp_path: Path, name: str) -> None:
    ws = Workspace(tmp_path / "space")
    card = prepare(ws, dataset=f"world:{name}", personas=6, dialogues=8)
    assert card["left_out"] == []
    assert card["counts"]["personas"] == card["counts"]["personas_with_character"] == 6
    assert card["counts"]["dialogues"] == card["counts"]["dialogues_with_meta"] == 48
    assert all(check["ok"] for check in read_json(ws.splits / "splits.json")["checks"])
    # The same files given as a folder are the same dataset.
    write_world(tmp_path / "files", name=name, personas=6, dialogues=8)
    (tmp_path / "files" / "truth.jsonl").unlink()
    other = prepare(Workspace(tmp_path / "other"), dataset=tmp_path / "files")
    assert other["data_hash"] == card["data_hash"]


@pytest.mark.parametrize("name", WORLDS)
def test_every_assistant_turn_has_its_truth(tmp_path: Path, name: str) -> None:
    ws = Workspace(tmp_path)
    prepare(ws, dataset=f"world:{name}", personas=5, dialogues=6)
    lines = (ws.dataset / "truth.jsonl").read_text().splitlines()
    truth = [json.loads(line) for line in lines]
    wanted = [one.example_id for dialogue in load_dataset(ws).dialogues for one in examples_of(dialogue)]
    assert sorted(line["example_id"] for line in truth) == sorted(wanted)
    assert all(line["knows_persona"].strip() and line["knows_population"].strip() for line in truth)


def turns(world: Drawn, *, first: int | None = None) -> list[Any]:
    return [turn for _, sessions in world for session in sessions for turn in session.turns[:first]]


def test_where_nobody_differs_both_oracles_say_the_same() -> None:
    world = drawn("uniform")
    assert all(not household.manner for household, _ in world)
    assert len(turns(world)) > 400
    assert all(turn.knows_persona == turn.knows_population for turn in turns(world))


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer()


@pytest.mark.parametrize("name", ["default", "archetypes", "individualists"])
def test_where_personas_differ_knowing_the_persona_pays(scorer: Scorer, name: str) -> None:
    asked = turns(drawn(name, personas=20, dialogues=2))[::3][:60]
    replies = [turn.reply for turn in asked]
    persona = scorer.similarity([turn.knows_persona for turn in asked], replies).mean()
    population = scorer.similarity([turn.knows_population for turn in asked], replies).mean()
    assert persona > population + 0.01
    assert persona > 0.75


def likeness(one: Household, other: Household) -> float:
    slots = {*one.manner, *other.manner}
    return mean(one.manner.get(slot) == other.manner.get(slot) for slot in slots)


def test_archetypes_share_their_manner_within_a_type_and_not_beyond() -> None:
    households = [draw_household(WORLDS["archetypes"], seed=0, index=index) for index in range(60)]
    assert {household.archetype for household in households} == set(range(5))
    pairs = [
        (one.archetype == other.archetype, likeness(one, other)) for one, other in combinations(households, 2)
    ]
    assert min(like for same_type, like in pairs if same_type) == 1.0
    assert mean(like for same_type, like in pairs if not same_type) < 0.5


def test_in_told_the_text_tells_the_whole_manner_and_the_first_dialogues_nothing_of_it() -> None:
    """Who reads the text knows every way that is kept to; who reads the first dialogues knows of none."""
    question = "Is there anything else you'd like to adjust?"
    asked: dict[tuple[bool, bool], list[bool]] = {}
    manners: dict[frozenset[str], set[tuple[str, ...]]] = {}
    for household, sessions in drawn("told", personas=40, dialogues=10):
        likes = household.character.split(". ")[1].removeprefix(f"{household.name} ").rstrip(".")
        assert set(household.manner) == set(household.spec.slots)
        kept = tuple(household.manner[slot] for slot in household.spec.slots)
        manners.setdefault(frozenset(likes.split(" and ")), set()).add(kept)
        for number, session in enumerate(sessions):
            set_so = [turn.reply for turn in session.turns if turn.reply.startswith("Setting")]
            said = [reply.endswith(question) for reply in set_so if not reply.endswith("as well?")]
            asked.setdefault((number >= 6, household.manner["follow_up"] == question), []).extend(said)
    assert len(manners) > 10
    assert all(len(kept) == 1 for kept in manners.values())
    assert abs(mean(asked[False, True]) - mean(asked[False, False])) < 0.1
    assert mean(asked[True, True]) > 0.9
    assert mean(asked[True, False]) < 0.1


def test_styles_have_nothing_in_common_and_say_what_a_frozen_base_can_say() -> None:
    spec = WORLDS["styles"]
    styles = [draw_manner_of_type(spec, seed=3, kind=kind, source="world")[0] for kind in range(4)]
    for slot in spec.slots:
        own = [style[slot] for style in styles]
        assert len(set(own)) == len(own)
        assert set(own) <= {way.text for way in REPLY_SLOTS[slot] if way.elsewhere}


def test_individualists_share_no_manner_and_follow_no_type() -> None:
    households = [draw_household(WORLDS["individualists"], seed=0, index=index) for index in range(40)]
    pairs = [
        (one.archetype == other.archetype, likeness(one, other)) for one, other in combinations(households, 2)
    ]
    within = mean(like for same_type, like in pairs if same_type)
    beyond = mean(like for same_type, like in pairs if not same_type)
    assert within < 0.5
    assert abs(within - beyond) < 0.05


def test_a_household_keeps_to_its_settings_and_mostly_to_its_manner() -> None:
    for household, sessions in drawn("individualists", personas=4, dialogues=12):
        for routine in household.routines:
            acting = {device: values for device, values in routine["actions"].items() if values}
            assert acting
            for device, values in acting.items():
                needs = [need for need in household.settings if need.startswith(f"{device}/")]
                assert values in [household.settings[need] for need in needs]
        kept = [turn.reply == turn.knows_persona for session in sessions for turn in session.turns]
        assert mean(kept) > 0.5


BANDS = {
    "names a device": (0.95, 0.85, 1.0),
    "holds a number": (0.5, 0.35, 0.65),
    "asks something": (0.7, 0.55, 0.85),
}


def test_first_replies_look_like_published_ones() -> None:
    """Shares over the first two replies of a dialogue, in wide bands around the published text's figures."""
    replies = [turn.reply for turn in turns(drawn("default", personas=60, dialogues=4), first=2)]
    shares = {
        "names a device": mean(bool(extract(reply).devices) for reply in replies),
        "holds a number": mean(bool(re.search(r"\d", reply)) for reply in replies),
        "asks something": mean("?" in reply for reply in replies),
    }
    for name, (_, low, high) in BANDS.items():
        assert low <= shares[name] <= high, (name, shares)
    assert 12 <= mean(len(reply.split()) for reply in replies) <= 20


@pytest.mark.parametrize("name", WORLDS)
def test_texts_are_whole_sentences_without_holes(name: str) -> None:
    for turn in turns(drawn(name, personas=12, dialogues=5)):
        for text in (turn.user, turn.reply, turn.knows_persona, turn.knows_population):
            assert not re.search(r"[{}]|  |\bNone\b| [.,?!]|\.\.|,\.", text), text
            assert text == text.strip()
            assert text[0].isupper() or text[0].isdigit(), text
            assert text[-1] in ".?!", text


def test_dialogues_have_about_ten_messages_and_alternate(tmp_path: Path) -> None:
    write_world(tmp_path, name="default", personas=20, dialogues=5)
    lines = (tmp_path / "sessions.jsonl").read_text().splitlines()
    sessions = [session for line in lines for session in json.loads(line)["sessions"]]
    assert len(sessions) == 100
    for session in sessions:
        roles = [message["role"] for message in session["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert set(session["meta"]) == {"time_of_day", "day_of_week", "sun_phase", "weather", "outdoor_temp"}
    assert 8 <= mean(len(session["messages"]) for session in sessions) <= 14
