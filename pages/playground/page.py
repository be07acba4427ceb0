"""What do the variants answer, side by side? And the vote on a blind conversation, and what it reveals."""

from dataclasses import replace

import streamlit as st

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.questions import Answer, Question
from engine.core.wording import ago
from engine.results import votes
from engine.results.votes import Choice, Vote
from engine.serve import client, folder
from engine.serve.conversation import again, can_answer, conversation, next_question
from pages.playground import setup as playground_setup
from pages.playground import turn as playground_turn
from pages.playground import voter
from pages.shared import frame, reads

_BUTTONS: tuple[tuple[Choice, str, str, str], ...] = (
    ("left", "Left is better", ":material/west:", "1"),
    ("tie", "Tie", ":material/balance:", "2"),
    ("both bad", "Both bad", ":material/thumb_down:", "3"),
    ("right", "Right is better", ":material/east:", "4"),
)


def _vote(
    ws: Workspace, question: Question, answer: Answer, vote: Vote | None, *, conversation_id: str
) -> bool:
    """Show the four choices, or what was chosen and who it was; return whether another one is wished."""
    if vote is not None:
        return _revealed(ws, vote, conversation_id)
    if answer.state != "done" or any(reply.error for reply in answer.replies):
        st.caption("Only two finished replies can be voted on.")
        return _another()
    _choices(ws, question, answer, conversation_id)
    return False


def _choices(ws: Workspace, question: Question, answer: Answer, conversation_id: str) -> None:
    differ = votes.can_differ(answer)
    if not differ:
        st.caption("Both say the same.")
    with st.container(horizontal=True, gap="small"):
        for choice, label, icon, key in _BUTTONS:
            pressed = frame.action(
                label, icon=icon, shortcut=key, key=f"playground_vote_{choice}",
                off=not differ and choice in ("left", "right"),
            )  # fmt: skip
            if pressed:
                with frame.boundary():
                    votes.cast(
                        ws, question, answer, choice, conversation_id=conversation_id, voter=voter.voter()
                    )
                    st.rerun()
    st.caption("Names, scores and the right reply are shown after your vote.")


def _revealed(ws: Workspace, vote: Vote, conversation_id: str) -> bool:
    told = f"Your vote: {vote.choice}."
    if vote.winner:
        told = f"Your vote: **{frame.plain(vote.winner)}** is better."
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f":material/how_to_vote: {told}", width="content")
        mine = [one for one in votes.read(ws) if one.voter == voter.voter()]
        last = bool(mine) and mine[-1].conversation_id == conversation_id
        if last and frame.action("Take it back", icon=":material/undo:", key="playground_undo"):
            votes.undo(ws, voter=voter.voter())
            st.rerun()
        return _another()


def _another() -> bool:
    return frame.action(
        "Another", icon=":material/casino:", shortcut="5", key="playground_another",
        help="A message of anybody's test dialogues, drawn at random, to two of the chosen variants.",
    )  # fmt: skip


_POLL_SECONDS = 0.3
_RECENT = 8


def show() -> None:
    ws = frame.workspace()
    frame.heading("Playground", "What do the variants answer, side by side?")
    if not frame.is_prepared(ws):
        frame.no_data_yet("Variants answer you here side by side, named or blind.")
        return
    variants = [one for one in reads.variants(ws) if can_answer(one)]
    if not variants:
        frame.empty_state(
            "Nobody can answer yet",
            "Variants are made by runs: the base model alone, or one trained on dialogues.",
        )
        return
    _earlier(ws)
    question = _asked(ws)
    setup = playground_setup.show(ws, variants, question)
    if question is not None and setup.persona_id != question.persona_id:
        question = None  # another persona was chosen: what follows is about her
        st.query_params.pop("question", None)
    answer, another = _conversation(ws, question) if question else (None, False)
    if another or setup.draw:
        open_(ws, setup.another(ws))
    _listen(ws, setup, question, answer)


def _earlier(ws: Workspace) -> None:
    """The way back to conversations; nothing before the first."""
    recent = _recent(ws)
    if not recent:
        return
    with st.popover("Earlier conversations", icon=":material/history:", type="tertiary"):
        for question in recent:
            who, when = reads.called(ws, question.persona_id), ago(question.asked_at)
            label = frame.plain(f"{who}, {when}: {_short(question.message)}")
            st.page_link(frame.PLAYGROUND, label=label, query_params={"question": question.question_id})


def _recent(ws: Workspace) -> list[Question]:
    """The last questions of the last conversations."""
    found = folder.recent_questions(ws)
    gone_on = {question.follows for question in found}
    return [question for question in found if question.question_id not in gone_on][:_RECENT]


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _asked(ws: Workspace) -> Question | None:
    """The question that the address names."""
    name = st.query_params.get("question")
    if not name:
        return None
    try:
        return folder.find_question(ws, name)
    except EngineError:
        st.query_params.pop("question", None)
        st.info("The conversation in the address is not here; begin a new one.", icon=":material/info:")
        return None


def _conversation(ws: Workspace, question: Question) -> tuple[Answer, bool]:
    """The conversation up to a question, and whether another one is wished; what grows draws itself anew."""
    chain = conversation(ws, question.question_id)
    vote = votes.vote_of(ws, chain[0].question_id) if question.blind else None
    hidden = question.blind and vote is None
    answer = client.look(ws, question.question_id)
    st.space("small")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        frame.persona_link(reads.called(ws, question.persona_id), question.persona_id)
        where = reads.domain(ws).situation(question.meta)
        st.caption(frame.plain(where if where else "No circumstances told"), width="stretch")
        if hidden:
            st.badge("Blind", icon=":material/visibility_off:", color="blue")
        st.button("New conversation", icon=":material/add_comment:", on_click=_begin_anew)
        if not hidden and answer.ended:
            _regenerate(ws, question)
    playground_turn.before(chain[0])
    for earlier in chain[:-1]:
        playground_turn.show(ws, earlier, client.look(ws, earlier.question_id), hidden=hidden)
    if not answer.ended:
        _answering(question, hidden)
        return answer, False
    playground_turn.show(ws, question, answer, hidden=hidden)
    if not question.blind:
        return answer, False
    return answer, _vote(ws, question, answer, vote, conversation_id=chain[0].question_id)


def _regenerate(ws: Workspace, question: Question) -> None:
    """Ask the same again by the next seed; the likeliest words would only come out the same."""
    drawn = question.temperature > 0
    told = f"By seed {question.seed + 1}." if drawn else "Without a temperature the reply would be the same."
    pressed = frame.action(
        "Regenerate", icon=":material/refresh:", key="playground_again", off=not drawn, help=told
    )
    if pressed:
        open_(ws, again(question))


@st.fragment(run_every=_POLL_SECONDS)
@frame.guarded
def _answering(question: Question, hidden: bool) -> None:
    """The replies as they grow; once they have ended, the whole page is drawn anew."""
    ws = frame.workspace()
    answer = client.look(ws, question.question_id)
    if answer.ended:
        st.rerun()
    # Above the replies: below them it would move away with every line that they grow by.
    if frame.action("Stop", icon=":material/stop_circle:", shortcut="Esc", key="playground_stop"):
        client.cancel(ws, question.question_id)
    playground_turn.show(ws, question, answer, hidden=hidden)


def _listen(
    ws: Workspace, setup: playground_setup.Setup, question: Question | None, answer: Answer | None
) -> None:
    """The line at the bottom: it goes on with the conversation that is open, else it opens one."""
    busy = answer is not None and not answer.ended
    who = reads.called(ws, question.persona_id if question else setup.persona_id)
    said = st.chat_input(
        f"Go on as {who}" if question else f"Say something as {who}",
        key="playground_said",
        disabled=busy or bool(frame.closed()),
    )
    asked: Question | None = None
    if setup.ask_example and setup.example is not None:
        asked = setup.asked(ws)
    elif said and question is not None and answer is not None:
        asked = next_question(question, answer, said)
        first = conversation(ws, question.question_id)[0].question_id
        if question.blind and votes.vote_of(ws, first) is not None:
            asked = replace(asked, blind=False)
    elif said:
        asked = setup.question(said)
    if asked is not None:
        open_(ws, asked)


def open_(ws: Workspace, question: Question) -> None:
    """Ask, and show the page with the new question in its address."""
    st.query_params["question"] = client.ask(ws, question)
    st.rerun()


def _begin_anew() -> None:
    st.query_params.pop("question", None)


if __name__ == "__main__":
    frame.run(show)
