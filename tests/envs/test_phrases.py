"""What the scripted user says: several ways, chosen by seed and state, all of which the guard passes."""

from __future__ import annotations

import itertools

import pytest

from mocktrial.envs.task import Fact, Persona
from mocktrial.envs.users.base import UserState, guard
from mocktrial.envs.users.decision import Decision
from mocktrial.envs.users.scripted import ScriptedUser
from mocktrial.envs.users.templates import Script, phrases

DAY = Fact(id="day", label="the day", value="2026-05-14", spoken="next Thursday", question="Which day?")
MOOD = Fact(id="mood", label="the grade", value="fine", spoken="fine", question="Which grade?")
MANNERS = ("plain", "terse", "chatty")
DECISIONS = (
    Decision(tells=("day",), released=("day",)),
    Decision(confirmed=True),
    Decision(tells=("day",), corrects=True),
    Decision(needless=("unknown",)),
    Decision(needless=("everything",)),
    Decision(needless=("statement",)),
    Decision(needless=("empty",)),
    Decision(needless=("unknown",), leaves=True),
)


@pytest.mark.parametrize(("manner", "privacy"), list(itertools.product(MANNERS, (0, 2))))
def test_every_phrase_passes_the_guard(manner: str, privacy: int) -> None:
    persona = Persona.model_validate({"manner": manner, "privacy": privacy})
    for decision in DECISIONS:
        told = [DAY] if decision.tells else []
        texts = phrases(Script(decision, persona, (DAY,) if decision.tells else ()))
        assert len(set(texts)) >= 3
        for text in texts:
            assert guard(text, told, [] if told else [DAY]) == ""
            assert "{" not in text


def test_the_seed_chooses_and_the_reserved_speak_otherwise() -> None:
    release = DECISIONS[0]
    texts = {phrases(Script(release, Persona(), (DAY,), seed=seed))[0] for seed in range(50)}
    assert len(texts) >= 6
    assert not texts & {phrases(Script(release, Persona(privacy=2), (DAY,), seed=seed))[0] for seed in range(50)}


async def test_a_phrase_that_holds_a_hidden_value_by_accident_gives_way() -> None:
    persona = Persona(manner="terse", privacy=2)  # "Fine. {Values}." is one of its ways
    for seed in range(20):
        state = UserState(seed=seed)
        reply, _ = await ScriptedUser().reply(state, "Which day?", persona=persona, goal="", facts=(DAY, MOOD))
        assert guard(reply.text, [DAY], [MOOD]) == ""
        again, _ = await ScriptedUser().reply(state, "Which day?", persona=persona, goal="", facts=(DAY, MOOD))
        assert again == reply
