"""What a study is about: recognised, held, told to the model, and judged in one place."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.core.types import Dataset, Dialogue, Message, Persona
from engine.data import load_dataset, prepare
from engine.data.augment.growing import fault
from engine.data.augment.records import ACTIONS
from engine.data.statistics import subject_shares
from engine.domains.acts import findings
from engine.domains.chat import CHAT
from engine.domains.domain import Domain
from engine.domains.metrics import METRICS
from engine.domains.registry import BUILT_IN, domain_of, domains, find_domain, recognise
from engine.domains.smart_home import SMART_HOME
from engine.domains.smart_home.actions import device_name, extract
from engine.domains.smart_home.behaviour import habits
from engine.lm.prompts import Memory, system_text
from engine.strategies.plan import plan
from tests.domains.chats import write_chats
from tests.sample_study import prepare_world
from tests.scores_for_tests import score_texts
from tests.workspaces import make_workspace

META = {
    "day_of_week": "weekday",
    "outdoor_temp": "very cold",
    "rating": 5,
    "sun_phase": "after_sunset",
    "time_of_day": "evening",
    "weather": "",
}
MEMORIES = (Memory("Too dark.", "Lights at 80."), Memory("I'm off.", "Security armed."))
OLDER_PROMPT = """You are the assistant of a smart home.
Now: weekday, very cold outside, 5, after sunset, evening.
About the user: Likes it warm.
Earlier:
User: Too dark.
You: Lights at 80.
User: I'm off.
You: Security armed."""


def told(domain: Domain) -> str:
    return system_text(domain, meta=META, character="Likes it warm.", memories=MEMORIES)


# --- workspaces older than domains


def test_a_workspace_older_than_domains_is_prompted_as_it_was(tmp_path: Path) -> None:
    ws = make_workspace(tmp_path)
    assert "domain" not in ws.read_config()
    assert told(domain_of(ws)) == OLDER_PROMPT
    assert system_text(domain_of(ws)) == "You are the assistant of a smart home."


def test_the_protocol_and_the_runs_of_an_older_workspace_stay(tmp_path: Path) -> None:
    ws = make_workspace(tmp_path)
    older = plan(ws, "base").target.spec
    assert "domain" not in older.protocol
    write_json(ws.config, {**ws.read_config(), "domain": "smart-home"})
    newer = plan(ws, "base").target.spec
    assert newer.protocol == {**older.protocol, "domain": "smart-home 1"}
    assert newer.run_id != older.run_id


def test_preparing_the_same_data_again_leaves_an_older_workspace_alone(tmp_path: Path) -> None:
    ws = prepare_world(tmp_path, personas=3, dialogues=6)
    config = ws.read_config()
    older = {key: value for key, value in config.items() if key != "domain"}
    write_json(ws.config, older)
    again = {"dataset": "world:default", "personas": 3, "dialogues": 6, "base": config["base"]}
    assert prepare(ws, **again)["unchanged"]
    assert ws.read_config() == older
    with pytest.raises(EngineError, match="holds other data"):
        prepare(ws, **again, domain="chat")


# --- what it is about, and how that is known


def test_the_domain_is_recognised_from_the_data_and_held(tmp_path: Path) -> None:
    world = prepare_world(tmp_path / "world", personas=3, dialogues=6)
    assert (world.read_config()["domain"], domain_of(world)) == ("smart-home", SMART_HOME)
    chats = Workspace(tmp_path / "chats")
    card = prepare(chats, dataset=write_chats(tmp_path / "files" / "chats.jsonl"))
    assert (card["domain"], chats.read_config()["domain"], domain_of(chats)) == ("chat", "chat", CHAT)
    assert any("not made for the domain chat" in note for note in card["notes"])
    assert plan(chats, "base").target.spec.protocol["domain"] == "chat 1"


def test_a_home_is_known_by_its_devices_where_nothing_stands_beside(tmp_path: Path) -> None:
    ws = prepare_world(tmp_path, personas=3, dialogues=6)
    data = load_dataset(ws)
    bare = tuple(Dialogue(d.persona_id, d.dialogue_id, d.order, d.messages) for d in data.dialogues)
    assert recognise(ws, Dataset(data.personas, bare)) is SMART_HOME
    talk = (Message("user", "A light read?"), Message("assistant", "Try the security of a good old story."))
    assert recognise(ws, Dataset((Persona("p"),), (Dialogue("p", "p/0", 0, talk),))) is CHAT


def test_the_choice_of_a_domain_goes_before_what_is_recognised(tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "w")
    data = write_chats(tmp_path / "chats.jsonl")
    with pytest.raises(EngineError, match="no domain named"):
        prepare(ws, dataset=data, domain="smart-hom")
    prepare(ws, dataset=data, domain="smart-home")
    assert domain_of(ws).name == "smart-home"
    with pytest.raises(EngineError, match="--force"):
        prepare(ws, dataset=data)
    assert prepare(ws, dataset=data, force=True)["domain"] == "chat"
    assert read_json(ws.config)["domain"] == "chat"


def test_only_what_a_domain_shows_reaches_a_prompt() -> None:
    assert told(SMART_HOME) == OLDER_PROMPT.replace(" 5,", "")
    assert system_text(CHAT, meta=META | {"language": "English"}).splitlines() == [
        "You are a helpful assistant.",
        "Now: day of week weekday, time of day evening, language English.",
    ]
    assert SMART_HOME.situation(META) == "Weekday, evening, after sunset, very cold outside"
    assert CHAT.situation({"rating": 5}) == ""


@pytest.mark.parametrize("domain", BUILT_IN, ids=lambda one: one.name)
def test_every_domain_is_complete(domain: Domain, tmp_path: Path) -> None:
    assert find_domain(None, domain.name) is domains()[domain.name]
    assert domain.about.endswith(".")
    assert domain.title
    assert domain.instruction
    assert METRICS[domain.primary].higher_is_better is not None
    assert set(domain.also_up) <= set(domain.metrics)
    assert bool(domain.acts_title) == domain.judges
    methods = domain.augmenting.make([])(Persona("p"))
    assert list(methods) == list(domain.augmenting.rules)
    said = Dialogue("p", "p/0", 0, (Message("user", "Please help."), Message("assistant", "I will.")))
    for number, method in enumerate(methods.values()):
        made = method(said, Random(number))
        assert made is None or made.messages[1] == said.messages[1]


# --- one judge

SENTENCES = [
    ("The camera is on.", {"Camera on"}),
    ("The security system is not armed.", set()),  # said to be left alone
    ("I've disarmed the alarm.", {"Security disarmed"}),
    ("Security armed.", {"Security armed"}),
    ("Setting the AC to 22 degrees and fan speed 3.", {"AC temperature 22", "AC fan speed 3"}),
    ("Shall I dim the lights?", {"Lights named"}),
    ("Lights to 40% and warm.", {"Lights brightness 40", "Lights color warm"}),
    ("The TV has been turned off.", {"TV off"}),
    ("You're welcome.", set()),
    ("A delightful act of security theatre.", {"Security named"}),
]


@pytest.mark.parametrize(("text", "words"), SENTENCES, ids=[text for text, _ in SENTENCES])
def test_all_who_say_what_a_reply_does_agree(text: str, words: set[str]) -> None:
    """Chips, marks, metrics, the data page, behaviour, and the guards of augmentation."""
    acts = SMART_HOME.acts(text)
    devices = {device_name(device) for device in extract(text).devices}
    source = Dialogue("p", "p/0", 0, (Message("user", "Please."), Message("assistant", text)))
    # chips without a right reply, and the same reply held against itself
    assert {one.words for one in findings(acts, None)} == {act.words for act in acts}
    assert {one.kind for one in findings(acts, acts)} <= {"right"}
    # the data page counts what the reply names
    assert set(subject_shares([source], SMART_HOME)) == devices == {act.subject for act in acts}
    # the metrics: all right against itself, keeping still included
    scores = score_texts(text, text)
    assert scores["device_f1"] == 1
    assert scores["param_f1"] == 1
    # behaviour: what is asked for, and what is set
    columns = habits({"p": [(text, text)]}).columns
    assert {
        device_name(name.removeprefix("asks ")) for name in columns if name.startswith("asks ")
    } == devices
    assert len([name for name in columns if name.startswith("sets ")]) == len(
        {a.about for a in acts if a.aspect}
    )
    # the guards: a reply may not lose what it does
    silent = Dialogue("p", "p/0", 0, (source.messages[0], Message("assistant", "As you wish.")))
    if not any(letter.isdigit() for letter in text):
        assert fault(source, silent, SMART_HOME.augmenting.keeps) == (ACTIONS if acts else None)
    assert SMART_HOME.is_useful(text) == bool(acts)
    assert {act.words for act in acts} == words
