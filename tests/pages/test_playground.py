"""The playground's page: what can be chosen, what is sent, what is hidden, and where the address leads."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.paths import Workspace
from engine.core.questions import Answer, Question
from engine.results import store, votes
from engine.serve import client, folder
from pages.shared import frame
from tests.pages.conftest import Open, texts
from tests.serve.made import answered, question

PAGE = "playground"


@pytest.fixture(autouse=True)
def _no_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests look at pages only: questions are written, and nothing is started to answer them."""
    monkeypatch.setattr(client, "_wake", lambda ws: None)


def keep(ws: Workspace, asked: Question, answer: Answer) -> str:
    """Leave a question with its answer, as the generator does."""
    folder.write_question(ws, asked)
    folder.write_answer(ws, answer)
    return asked.question_id


def asked_in(ws: Workspace, app: AppTest) -> Question:
    """The question in the app's address."""
    held = app.query_params["question"]
    return folder.find_question(ws, held if isinstance(held, str) else held[0])


def kept(ws: Workspace, *names: str, blind: bool = False) -> str:
    asked = question(*names, persona_id="persona_001", blind=blind, reference="The lights are off.")
    texts_ = [f"Reply number {place}." for place in range(len(names))]
    return keep(ws, asked, answered(asked, *texts_, scores=[0.9, 0.6, 0.5, 0.4][: len(names)]))


def test_without_data_and_without_variants_the_page_leads_on(
    open_page: Open, empty: Workspace, prepared: Workspace
) -> None:
    assert "No data yet" in texts(open_page(empty, PAGE))
    assert "Nobody can answer yet" in texts(open_page(prepared, PAGE))


def test_the_first_visit_proposes_unified_and_the_best_on_val(open_page: Open, full: Workspace) -> None:
    app = open_page(full, PAGE)
    (chosen,) = (entry.value for entry in app.multiselect)
    assert chosen == ["unified", "unified+retrieval-3"]
    assert "ceiling-persona" not in app.multiselect[0].options
    assert dict(app.query_params)["variant"] == ["unified", "unified+retrieval-3"]
    assert re.fullmatch(r"Say something as persona_000 \(\w+\)", app.chat_input[0].placeholder)


def test_the_address_decides_persona_variants_and_blind_mode(open_page: Open, full: Workspace) -> None:
    app = open_page(full, PAGE, persona="persona_003", variant=["base", "unified"], blind="1")
    assert app.selectbox(key="playground_persona").value == "persona_003"
    assert app.multiselect[0].value == ["base", "unified"]
    assert app.toggle[0].value is True
    example = app.selectbox(key="playground_example").value
    assert example.startswith("persona_003/")


def test_asking_writes_the_example_with_its_thread_and_reference(open_page: Open, full: Workspace) -> None:
    app = open_page(full, PAGE, persona="persona_002")
    app.button(key="playground_ask").click().run()
    asked = asked_in(full, app)
    assert asked.persona_id == "persona_002"
    assert asked.example_id == app.selectbox(key="playground_example").value
    assert asked.reference
    assert [one.variant for one in asked.speakers] == ["unified", "unified+retrieval-3"]
    assert asked.meta
    assert asked.message in texts(app)


def test_own_words_go_out_in_the_chosen_circumstances(open_page: Open, full: Workspace) -> None:
    app = open_page(full, PAGE, persona="persona_002")
    app.selectbox(key="playground_example").set_value("own").run()
    assert app.button(key="playground_ask").disabled
    weather = next(box for box in app.selectbox if box.label == "Weather")
    weather.set_value("snowy").run()
    app.chat_input[0].set_value("Close the day for me.").run()
    asked = asked_in(full, app)
    assert (asked.message, asked.reference, asked.example_id) == ("Close the day for me.", None, None)
    assert asked.meta == {"weather": "snowy"}
    assert asked.speakers[0].history == ()


def test_a_conversation_is_shown_from_its_address_and_goes_on(open_page: Open, full: Workspace) -> None:
    name = kept(full, "unified", "base")
    app = open_page(full, PAGE, question=name)
    seen = texts(app)
    assert "Reply number 0." in seen
    assert "Reply number 1." in seen
    assert "Right reply" in seen
    assert "tokens/s" in seen
    assert "similarity&nbsp;**60.0**&nbsp;:orange[−30.0]" in seen
    assert app.chat_input[0].placeholder.startswith("Go on as persona_001 (")
    app.chat_input[0].set_value("And the TV?").run()
    after = asked_in(full, app)
    assert after.follows == name
    assert [one.history[-1].text for one in after.speakers] == ["Reply number 0.", "Reply number 1."]


def test_blind_mode_hides_who_is_who_until_the_vote(open_page: Open, full: Workspace) -> None:
    name = kept(full, "unified", "base", blind=True)
    app = open_page(full, PAGE, question=name)
    seen = texts(app)
    assert "**Left**" in seen
    for secret in ("**unified**", "**base**", "tokens/s", "Right reply", "similarity"):
        assert secret not in seen, secret
    app.button(key="playground_vote_right").click().run()
    seen = texts(app)
    for shown in ("Your vote: **base** is better", "**unified**", "tokens/s", "Right reply", "similarity"):
        assert shown in seen, shown
    assert votes.vote_of(full, name) is not None
    app.button(key="playground_undo").click().run()
    assert votes.vote_of(full, name) is None
    assert "**Left**" in texts(app)


def test_another_blind_pair_is_one_click_away(open_page: Open, full: Workspace) -> None:
    name = kept(full, "unified", "base", blind=True)
    app = open_page(full, PAGE, question=name, variant=["base", "unified"])
    app.button(key="playground_vote_tie").click().run()
    app.button(key="playground_another").click().run()
    asked = asked_in(full, app)
    assert asked.blind
    assert asked.example_id
    assert {one.variant for one in asked.speakers} == {"base", "unified"}
    votes.undo(full)


def test_equal_replies_can_only_tie_and_a_broken_side_takes_no_vote(open_page: Open, full: Workspace) -> None:
    asked = question("unified", "base", blind=True, persona_id="persona_001")
    app = open_page(full, PAGE, question=keep(full, asked, answered(asked, "Same.", "Same.")))
    assert app.button(key="playground_vote_left").disabled
    assert not app.button(key="playground_vote_tie").disabled
    asked = question("unified", "base", blind=True, persona_id="persona_001")
    answer = answered(asked, "One.", "")
    broken = replace(answer.replies[1], error="run-of-base has no adapter.")
    answer = replace(answer, replies=(answer.replies[0], broken))
    app = open_page(full, PAGE, question=keep(full, asked, answer))
    assert "run-of-base" not in texts(app) + "".join(entry.value for entry in app.warning)
    assert not [one for one in app.button if one.key == "playground_vote_left"]


def test_the_lineage_tells_routes_mixtures_clusters_memories_and_the_prompt(
    open_page: Open, full: Workspace
) -> None:
    asked = question("unified", persona_id="persona_001")
    adapter = {"run": "lora-1", "name": "persona_009", "weight": 0.25, "experiment": "per-persona"}
    lineage = {
        "routes": [
            {"run": "r", "variant": "hybrid", "gain_val": 0.031, "metric": "m", "fallback": "unified"}
        ],
        "sides": [
            {
                "weight": 0.6,
                "persona_id": "persona_001",
                "adapters": [adapter],
                "profile": True,
                "memories": 1,
            },
            {"weight": 0.4, "persona_id": "persona_004", "adapters": [], "profile": False, "memories": 0},
        ],
        "cluster": {"run": "c", "number": 2, "personas": 7, "of": 3},
        "memories": [{"request": "Warmer.", "reply": "22 degrees.", "similarity": 0.71, "id": "d#1"}],
        "prompts": ["the whole prompt"],
    }
    answer = answered(asked, "Yes.")
    answer = replace(answer, replies=(replace(answer.replies[0], lineage=lineage),))
    app = open_page(full, PAGE, question=keep(full, asked, answer))
    seen = texts(app)
    for told in (
        "Routed to **hybrid**: on validation it was +3.1 over unified",
        "60 % of each token's probability: the base model, and, told the profile",
        "40 % of each token's probability: the base model alone, of persona_004 (",
        "Cluster 2 of 3, 7 personas",
        "71.0 alike. “Warmer.” → “22 degrees.”",
        "the whole prompt",
    ):
        assert told in seen, told


def test_a_failed_answer_says_why_and_an_unknown_question_is_let_go(open_page: Open, full: Workspace) -> None:
    asked = question("unified", persona_id="persona_001")
    answer = Answer(asked.question_id, "failed", error="The base model is gone.", hint="Bring it back.")
    app = open_page(full, PAGE, question=keep(full, asked, answer))
    assert "The base model is gone." in [entry.value.replace("\\", "") for entry in app.error][0]
    app = open_page(full, PAGE, question="../../secret")
    assert "is not here" in texts(app)
    assert "question" not in app.query_params


def test_a_blind_pair_is_drawn_where_two_say_different_things(open_page: Open, full: Workspace) -> None:
    app = open_page(full, PAGE, variant=["unified", "base", "profile-prompt"], blind="1")
    assert "only where they differ a pair is drawn" in texts(app)
    rows = store.example_rows(full, split="test").set_index(["example_id", "variant"])["reply"]
    for _ in range(3):
        app.button(key="playground_draw").click().run()
        asked = asked_in(full, app)
        one, other = (rows[asked.example_id, speaker.variant] for speaker in asked.speakers)
        assert one != other
        assert app.selectbox(key="playground_persona").value == asked.persona_id
        assert app.selectbox(key="playground_example").value == asked.example_id
        assert app.chat_input[0].placeholder.startswith(f"Go on as {asked.persona_id} (")


def test_another_persona_ends_the_conversation_on_the_page(open_page: Open, full: Workspace) -> None:
    app = open_page(full, PAGE, question=kept(full, "unified", "base"))
    assert app.selectbox(key="playground_persona").value == "persona_001"
    app.selectbox(key="playground_persona").set_value("persona_002").run()
    assert "question" not in app.query_params
    assert app.chat_input[0].placeholder.startswith("Say something as persona_002 (")
    assert "Reply number 0." not in texts(app)


def test_words_are_drawn_at_a_temperature_and_again_by_the_next_seed(
    open_page: Open, full: Workspace
) -> None:
    app = open_page(full, PAGE, persona="persona_002", temperature="0.7", top_p="0.9", seed="5")
    app.button(key="playground_ask").click().run()
    asked = asked_in(full, app)
    assert (asked.temperature, asked.top_p, asked.seed) == (0.7, 0.9, 5)
    folder.write_answer(full, answered(asked, "One lamp on.", "The lamp is on."))
    app.run()
    seen = texts(app)
    assert "temperature 0.7, top-p 0.9, seed 5" in seen
    assert "The :blue-background" not in seen
    assert ":blue-background[The]" in seen
    app.button(key="playground_again").click().run()
    once_more = asked_in(full, app)
    assert once_more == replace(
        asked,
        question_id=once_more.question_id,
        seed=6,
        asked_at=once_more.asked_at,
        consent=once_more.consent,
    )
    app.slider(key="playground_temperature").set_value(0.0).run()
    assert "temperature" not in app.query_params
    told = texts(open_page(full, PAGE, persona="persona_002", temperature="hot"))
    assert "The address asks for the temperature hot, which is not here. Shown instead: 0." in told


def test_who_cannot_answer_for_her_is_not_offered(open_page: Open, full: Workspace, tmp_path: Path) -> None:
    ws = Workspace(shutil.copytree(full.root, tmp_path / "copy"))
    (made,) = [one for one in store.variants(ws) if one.variant == "profile-prompt"]
    ws.adapter(made.run_id, "profile-prompt").rmdir()
    app = open_page(ws, PAGE, variant=["profile-prompt", "base"])
    assert "profile-prompt" not in app.multiselect[0].options
    assert app.multiselect[0].value == ["base"]
    assert "1 variant cannot answer for her: profile-prompt (profile-prompt of" in texts(app)


def test_a_vote_bears_the_name_given_in_this_session(open_page: Open, full: Workspace) -> None:
    name = kept(full, "unified", "base", blind=True)
    app = open_page(full, PAGE, question=name, blind="1")
    app.text_input(key="playground_voter").set_value(" Ada ").run()
    app.button(key="playground_vote_left").click().run()
    assert [vote.voter for vote in votes.read(full)] == ["Ada"]
    app.switch_page(frame.script_of("votes")).run()
    links = "\n".join(one.label for one in app.get("page_link"))
    assert "Ada, persona\\_001 (Theodor)\\: unified over base" in links
    app.switch_page(frame.script_of(PAGE)).run()
    app.query_params["question"] = name
    app.run()
    app.button(key="playground_undo").click().run()
    assert votes.read(full) == []
