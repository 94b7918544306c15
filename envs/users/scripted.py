"""The scripted user: the default, offline, and the decision rule of every other user.

Three steps (DESIGN, invariant 4): interpret the message, decide what to release, phrase it from a
template. A hidden fact is told when it is asked for and never otherwise. Questions that were not needed
cost patience; when it is used up the user leaves, but never on a message that asked for a yes.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Fact, Persona
from mocktrial.envs.users.base import Needless, Reply, UserState, guard, says
from mocktrial.envs.users.interpret import Reading, interpret
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import fold


class Decision(Frozen):
    """What the reply must carry, before any words are chosen."""

    tells: tuple[str, ...] = ()  # facts whose values the reply holds, told before or not
    released: tuple[str, ...] = ()  # of these, the hidden ones told for the first time
    confirmed: bool = False
    corrects: bool = False  # a proposal contradicts a fact
    needless: tuple[Needless, ...] = ()
    leaves: bool = False


class ScriptedUser:
    """Implements `User`."""

    async def reply(
        self, state: UserState, message: str, *, persona: Persona, goal: str, facts: tuple[Fact, ...]
    ) -> tuple[Reply, UserState]:
        decision = decide(interpret(message, facts), state, message, facts)
        told = [fact for fact in facts if fact.id in decision.tells]
        heard = {*state.released, *decision.released}
        untold = [fact for fact in facts if fact.hidden and fact.id not in heard]
        # A phrase may hold a hidden value by accident ("fine", where that is a grade): then another one serves.
        texts = phrases(decision, persona, facts, derive(state.seed, state.patience, len(state.released)))
        text = next((text for text in texts if not guard(text, told, untold)), texts[0])
        if wrong := guard(text, told, untold):
            raise NoResult(f"the user's template broke its contract: {wrong}", blame="user")
        spent = 1 if decision.needless else 0
        after = state.model_copy(
            update={"released": state.released + decision.released, "patience": state.patience - spent}
        )
        reply = Reply(
            text=text,
            released=decision.released,
            confirmed=decision.confirmed,
            needless=decision.needless,
            leaves=decision.leaves,
        )
        return reply, after


def decide(reading: Reading, state: UserState, message: str, facts: tuple[Fact, ...]) -> Decision:
    """The release rule. Deterministic; no words in, no words out but the message that is judged."""
    asked = [fact for fact in facts if fact.id in reading.facts]
    contradicted = [fact for fact in facts if reading.proposes and _contradicts(message, fact)]
    if reading.proposes and not contradicted:
        asked = []  # "shall I book Tuesday?" mentions the day but asks for a yes
    told = contradicted or asked
    new = tuple(fact.id for fact in told if fact.hidden and fact.id not in state.released)
    needless = _needless(reading, asked, new, state, message)
    confirmed = reading.proposes and not contradicted
    return Decision(
        tells=tuple(fact.id for fact in told),
        released=new,
        confirmed=confirmed,
        corrects=bool(contradicted),
        needless=needless,
        leaves=bool(needless) and not confirmed and state.patience <= 1,
    )


def _contradicts(message: str, fact: Fact) -> bool:
    folded = fold(message)
    if says(folded, str(fact.value)) or says(folded, fact.spoken):
        return False
    return any(says(folded, str(other)) for other in fact.alternatives)


def _needless(
    reading: Reading, asked: list[Fact], new: tuple[str, ...], state: UserState, message: str
) -> tuple[Needless, ...]:
    if not message.strip():
        return ("empty",)
    if reading.everything:
        return ("everything",)
    if reading.proposes:
        return ()
    if not reading.asks:
        return ("statement",)
    if not asked:
        return ("unknown",)
    kinds: list[Needless] = ["public" if not fact.hidden else "repeated" for fact in asked if fact.id not in new]
    return tuple(kinds)


def phrases(decision: Decision, persona: Persona, facts: tuple[Fact, ...], seed: int) -> list[str]:
    """All that the persona's manner says to such a decision; the one that `seed` chooses comes first."""
    values = ", ".join(fact.spoken for fact in facts if fact.id in decision.tells)
    if decision.leaves and not decision.tells:
        key = "leave"
    elif decision.corrects:
        key = "refuse"
    elif decision.confirmed:
        key = "confirm"
    elif decision.tells:
        key = "reserved" if persona.privacy == 2 else "release"
    else:
        key = decision.needless[0]
    templates = _phrases()[persona.manner][key]
    first = seed % len(templates)
    given = {"values": values, "Values": values[:1].upper() + values[1:], "name": persona.name}
    return [template.format(**given) for template in (*templates[first:], *templates[:first])]


@lru_cache
def _phrases() -> dict[str, dict[str, list[str]]]:
    """By manner and key; a single sentence in the file is a list of one."""
    read = tomllib.loads((Path(__file__).parent / "phrases.toml").read_text(encoding="utf-8"))
    return {
        manner: {key: [said] if isinstance(said, str) else said for key, said in keys.items()}
        for manner, keys in read.items()
    }
