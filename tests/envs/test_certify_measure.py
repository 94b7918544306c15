"""Many conversations, the certificate made of them, and the material that they are made of."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mocktrial.envs.task import Deed, Fact, Persona
from mocktrial.envs.users.base import Hand, Reply, UserState
from mocktrial.envs.users.certify.agents import AGENTS, messages
from mocktrial.envs.users.certify.cast import make_cast, scenes
from mocktrial.envs.users.certify.certificate import Certificate, battery, certified, fingerprint
from mocktrial.envs.users.certify.conversation import converse
from mocktrial.envs.users.certify.detect import FAULTS
from mocktrial.envs.users.certify.measure import certify
from mocktrial.envs.users.certify.saying import holds
from mocktrial.envs.users.grounded import GroundedUser
from mocktrial.envs.users.scripted import LexicalInterpreter, ScriptedUser
from mocktrial.envs.users.templates import Script
from mocktrial.mocktools.errors import NoResult, UsageError

ROUND = len(AGENTS) * len(scenes())  # conversations until each agent has met each scene


class Silent:
    """A user whose endpoint answers from the `after`-th message on."""

    def __init__(self, after: float) -> None:
        self.after, self.heard, self.inner = after, 0, ScriptedUser()

    async def reply(
        self, state: UserState, message: str, *, persona: Persona, goal: str, facts: tuple[Fact, ...],
        deeds: tuple[Deed, ...] = (), hand: Hand | None = None,
    ) -> tuple[Reply, UserState]:  # fmt: skip
        self.heard += 1
        if self.heard <= self.after:
            raise NoResult("down", blame="endpoint")
        return await self.inner.reply(state, message, persona=persona, goal=goal, facts=facts)


@pytest.mark.parametrize("conversations", [200, pytest.param(2000, marks=pytest.mark.soak)])
async def test_the_scripted_user_leaks_nothing_and_stays(conversations: int) -> None:
    result = await certify(ScriptedUser(), "scripted", conversations=conversations)
    for fault in ("leaks", "early_ends", "role_swaps"):
        assert [found for found in result.findings if found.fault == fault] == []
    assert set(result.certificate.rates) == set(FAULTS)
    assert result.certificate.no_results == 0


class SaysGoodbye:
    """A phrasing model that wants to leave whatever it is to say."""

    async def phrase(self, script: Script) -> str:
        return "Goodbye."


async def test_a_model_that_would_leave_is_held_back_and_counted() -> None:
    user = GroundedUser(LexicalInterpreter(), SaysGoodbye(), "leaver")
    rates = (await certify(user, "leaver", conversations=66)).certificate.rates
    bare = (await certify(ScriptedUser(), "scripted", conversations=66)).certificate.rates
    assert rates["guarded"].rate > 0.8  # the rest may leave at once: nothing was asked, and patience was short
    assert rates["unanswered"] == bare["unanswered"]
    assert rates["early_ends"] == bare["early_ends"]


async def test_same_seed_same_certificate() -> None:
    first, second = [(await certify(ScriptedUser(), "scripted", conversations=44, seed=3)).certificate for _ in "ab"]
    other = (await certify(ScriptedUser(), "scripted", conversations=44, seed=4)).certificate
    assert first == second
    assert first.rates != other.rates


async def test_counts_rates_and_intervals_agree() -> None:
    rates = (await certify(ScriptedUser(), "scripted", conversations=110)).certificate.rates
    for rate in rates.values():
        assert 0 <= rate.low <= rate.rate <= rate.high <= 1
        assert (rate.count == 0) == (rate.rate == 0)
    assert rates["leaks"].of == 110
    assert rates["unanswered"].of > 110  # counts questions


async def test_conversations_without_an_answer_are_counted_and_left_out() -> None:
    certificate = (await certify(Silent(after=3), "scripted", conversations=22)).certificate
    assert certificate.no_results == 3
    assert certificate.rates["leaks"].of == 19


async def test_a_dead_user_is_given_up() -> None:
    user = Silent(after=float("inf"))
    with pytest.raises(NoResult, match="down"):
        await certify(user, "scripted", conversations=2000)
    assert user.heard < 100


async def test_each_agent_meets_each_scene() -> None:
    held = [await converse(ScriptedUser(), number, 0) for number in range(ROUND)]
    met = Counter((each.agent, each.cast.scene.goal) for each in held)
    assert set(met.values()) == {1}
    assert len(met) == ROUND


def test_question_wordings_are_many_and_are_nobody_elses() -> None:
    facts = [fact for scene in scenes() for fact in scene.facts]
    wordings = [wording for fact in facts for wording in fact.wordings]
    assert len(set(wordings)) == len(wordings) >= 300
    assert not {fact.question for fact in facts} & set(wordings)


def test_nothing_that_a_value_must_not_be_taken_for() -> None:
    """No value of a cast stands in another's words, in the scene's words or in the messages."""
    for number in range(200):
        cast = make_cast(scenes()[number % len(scenes())], number)
        drawn = (*cast.values, *cast.others, *cast.strays)
        scene = cast.scene
        said = [*messages().small_talk, *messages().tricks, *messages().injections, *scene.idle, *scene.unknown]
        said += [wording for fact in scene.facts for wording in (*fact.wordings, fact.question, fact.label)]
        for value in drawn:
            assert sum(holds(other.spoken, value) for other in drawn) == 1, (value, drawn)
            assert not any(holds(text, value) for text in said), value


def test_the_goal_and_the_builders_notes_hold_canaries() -> None:
    cast = make_cast(scenes()[0], 1)
    dump = " ".join(fact.model_dump_json() for fact in cast.facts)
    assert cast.notes[0] in cast.goal
    assert all(note in dump for note in cast.notes[1:])
    assert all(fact.spoken in cast.goal for fact in cast.facts)


def test_a_certificate_is_read_back(tmp_path: Path) -> None:
    given = _certificate("openai:some/Model")
    (tmp_path / "openai-some-model.json").write_text(given.model_dump_json())
    assert certified("openai:some/Model", tmp_path) == given
    assert certified("nobody", tmp_path) is None


def test_a_broken_certificate_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "scripted.json").write_text("{}")
    with pytest.raises(UsageError, match="no certificate") as caught:
        certified("scripted", tmp_path)
    assert "certify-user scripted" in caught.value.hint


def test_another_user_another_fingerprint() -> None:
    assert fingerprint("scripted") != fingerprint("openai:a")
    assert _certificate("scripted").is_current
    assert not _certificate("scripted").model_copy(update={"fingerprint": "0" * 16}).is_current
    assert not _certificate("scripted").model_copy(update={"battery": "0" * 16}).is_current


@pytest.mark.parametrize("user", ["scripted", "scripted+dense"])
def test_the_shipped_certificate_is_that_of_the_user_that_ships(user: str) -> None:
    shipped = certified(user)
    file = user.replace("+", "-")
    again = f"mocktrial certify-user {user} --out envs/users/certify/certificates/{file}.json"
    assert shipped is not None, again
    assert shipped.is_current, f"the users' code or data has changed since; make it again: {again}"
    assert shipped.conversations >= (2000 if user == "scripted" else 500)


def _certificate(user: str) -> Certificate:
    return Certificate(
        user=user, fingerprint=fingerprint(user), battery=battery(), seed=0, conversations=1, no_results=0, rates={}
    )
