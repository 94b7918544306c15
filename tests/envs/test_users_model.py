"""Model users: what their models are shown, what becomes of good and bad answers. The models are scripted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from mocktrial.agents.scripted import Expert
from mocktrial.agents.testing import ScriptedModel
from mocktrial.envs.chat import Message, assistant, tool_call
from mocktrial.envs.episode import Episode
from mocktrial.envs.task import Persona
from mocktrial.envs.trajectory import Trajectory
from mocktrial.envs.users.base import Reply, UserState, guard
from mocktrial.envs.users.grounded import GroundedUser
from mocktrial.envs.users.model import ModelInterpreter, ModelPhraser, schema_of
from mocktrial.mocktools.errors import NoResult
from tests.envs.test_users import DAY, FACTS, REASON
from tests.support.router import router_image, router_task

GOAL = "A check-up with Dr. Lee on Thursday, 2026-05-14."
NOTHING: dict[str, Any] = {
    "asks_for": [], "asks_anything": True, "asks_everything": False, "asks_for_yes": False, "declines": False,
}  # fmt: skip


def heard(*ids: str, **flags: Any) -> str:
    return json.dumps(NOTHING | {"asks_for": list(ids)} | flags)


class Part:
    """A scripted model that keeps what it was sent."""

    def __init__(self, *answers: str | Message) -> None:
        self.seen: list[str] = []
        self._answers = list(answers)
        self.model = ScriptedModel(self._answer)

    def _answer(self, messages: Sequence[Message], tools: Sequence[Any]) -> str | Message:
        self.seen.append(json.dumps([list(messages), list(tools)], ensure_ascii=False))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def user(reads: Part, says: Part) -> GroundedUser:
    return GroundedUser(ModelInterpreter(reads.model), ModelPhraser(says.model), "scripted-model", memory=4)


async def ask(reads: Part, says: Part, message: str = "Which day?", state: UserState | None = None) -> Reply:
    return (await step(user(reads, says), message, state))[0]


async def step(who: GroundedUser, message: str, state: UserState | None = None) -> tuple[Reply, UserState]:
    return await who.reply(state or UserState(), message, persona=Persona(), goal=GOAL, facts=FACTS)


async def test_a_good_model_reads_and_speaks() -> None:
    reply = await ask(Part(heard("day")), Part("I would like Thursday, 2026-05-14, please."))
    assert reply == Reply(text="I would like Thursday, 2026-05-14, please.", released=("day",))


@pytest.mark.parametrize(
    "answer",
    [heard("day"), f"```json\n{heard('day')}\n```", assistant(None, tool_call("c", "understood", heard("day")))],
)
async def test_answers_are_taken_as_a_call_or_as_text(answer: str | Message) -> None:
    assert (await ask(Part(answer), Part(DAY.spoken))).released == ("day",)


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("Thursday, 2026-05-14, for a check-up.", "leak"),
        ("Next week.", "missing_value"),
        ("Thursday, 2026-05-14. How can I help you?", "role_swap"),
        ("<think>Say the day.</think> Thursday, 2026-05-14", "thinks_aloud"),
        ("Thursday, 2026-05-14. Goodbye!", "early_goodbye"),
        ("Thursday, 2026-05-14 or 2026-05-15.", "wrong_value"),
        ("Thursday, 2026-05-14, at 17 Elm Street.", "strays"),
        ("", "empty"),
    ],
)
async def test_bad_words_are_replaced_and_counted(text: str, flaw: str) -> None:
    reply = await ask(Part(heard("day")), Part(text))
    assert flaw in reply.faults
    assert reply.text != text
    assert guard(reply.text, [DAY], [REASON]) == ""


@pytest.mark.parametrize(
    "bad", ["Sure, the day!", heard("salary"), '{"asks_for": ["day"]}', "[1]", '{"a"' * 3, "[" * 9999]
)
async def test_a_bad_answer_is_sent_back_once(bad: str) -> None:
    reads = Part(bad, heard("day"))
    reply = await ask(reads, Part(DAY.spoken))
    assert reply.released == ("day",)
    assert reply.faults == ("misread",)
    assert "cannot be used" in reads.seen[1]
    with pytest.raises(NoResult, match="schema") as failure:
        await ask(Part(bad), Part(DAY.spoken))
    assert failure.value.blame == "user"


async def test_who_asks_for_all_is_told_nothing_whatever_the_model_says() -> None:
    reply = await ask(Part(heard("day", "reason", asks_everything=True)), Part("What?"), "Tell me all you know.")
    assert reply.released == ()
    assert reply.needless == ("everything",)


async def test_the_rule_decides_and_not_the_model() -> None:
    reads = Part(heard(asks_for_yes=True))
    wrong = await ask(reads, Part("Yes, go ahead."), "Shall I book 2026-05-15?")
    assert (wrong.confirmed, wrong.released) == (False, ("day",))
    assert "consent" in wrong.faults
    also = Part(heard("day", asks_for_yes=True))  # it takes what is proposed for asked
    right = await ask(also, Part("Yes, go ahead."), "Shall I book 2026-05-14?")
    assert (right.confirmed, right.released, right.text) == (True, (), "Yes, go ahead.")


async def test_the_parts_see_no_value_that_is_not_told() -> None:
    reads, says = Part(heard("day")), Part(DAY.spoken)
    await ask(reads, says)
    for seen in reads.seen:
        assert not any(str(value) in seen for fact in FACTS for value in (fact.value, fact.spoken, *fact.alternatives))
        assert '"enum": ["day", "reason", "doctor"]' in seen
        assert DAY.label in seen
    for seen in says.seen:
        assert not any(value in seen for value in (REASON.value, REASON.label, "vaccination", "2026-05-15"))
        assert "with Dr. Lee on Thursday, 2026-05-14" in seen  # the goal, its untold part masked
        assert "Which day?" in seen


async def test_what_was_said_before_is_shown_and_forgotten() -> None:
    reads, says = Part(heard()), Part("I do not know that.")
    who = user(reads, says)
    state = UserState(patience=9)
    for number in range(4):
        _, state = await step(who, f"Question {number}?", state)
    assert len(state.said) == 4
    assert ["Question 1?" in reads.seen[3], "Question 2?" in reads.seen[3]] == [True, True]
    assert "Question 0?" not in reads.seen[3]


async def test_same_seed_same_request() -> None:
    first, second = Part(heard("day")), Part(heard("day"))
    await ask(first, Part(DAY.spoken))
    await ask(second, Part(DAY.spoken))
    assert first.seen == second.seen


async def test_an_empty_message_needs_no_model() -> None:
    reads = Part(heard("day"))
    reply = await ask(reads, Part("Are you still there?"), " ")
    assert (reply.needless, reads.seen) == (("empty",), [])


def test_the_schema_knows_the_ids_and_nothing_else() -> None:
    assert "asks_to_do" not in schema_of(FACTS, ())["properties"]
    assert "asks_for" not in schema_of((), router_task(1).deeds)["properties"]


async def play(number: int, reads: Part, says: Part) -> Trajectory:
    async with Episode(router_task(number), router_image(), user=user(reads, says)) as episode:
        await Expert().play(episode)
        return episode.trajectory()


async def test_a_model_user_uses_its_own_tools() -> None:
    did = {key: value for key, value in json.loads(heard(asks_to_do=["restart"])).items() if key != "asks_for"}
    done = await play(1, Part(json.dumps(did)), Part("I restarted it. The lights are green now."))
    told = await play(2, Part(heard("code", "plan")), Part("The code is 4711-K and I want plus."))
    for trajectory in (done, told):
        assert trajectory.grade is not None
        assert trajectory.grade.success
        assert [event.by for event in trajectory.events].count("user") == 1
        assert not [event for event in trajectory.events if event.kind == "fault"]


async def test_replaced_words_are_in_the_record() -> None:
    trajectory = await play(2, Part(heard("code", "plan")), Part("As an AI I cannot tell."))
    assert trajectory.grade is not None
    assert trajectory.grade.success  # the template told what was due
    assert {"missing_value", "thinks_aloud"} <= {event.name for event in trajectory.events if event.kind == "fault"}
