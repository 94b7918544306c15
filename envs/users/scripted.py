"""The scripted user: the default, offline. Lexical understanding, our decision rule, sentences from a file."""

from __future__ import annotations

from mocktrial.envs.task import Deed, Fact
from mocktrial.envs.users.decision import Understood
from mocktrial.envs.users.grounded import GroundedUser
from mocktrial.envs.users.interpret import Reader, interpret
from mocktrial.envs.users.requests import requested
from mocktrial.envs.users.words import pattern
from mocktrial.mocktools.values import fold


class LexicalInterpreter:
    """Implements `Interpreter` by words and a small transformer: `reader` or the one that ships. It needs no memory."""

    def __init__(self, reader: Reader | None = None) -> None:
        self.reader = reader

    async def read(
        self, message: str, facts: tuple[Fact, ...], deeds: tuple[Deed, ...], said: tuple[str, ...]
    ) -> Understood:
        reading = interpret(message, facts, self.reader)
        return Understood(
            facts=reading.facts,
            unsure=reading.unsure,
            asks=reading.asks,
            proposes=reading.proposes,
            checks=reading.checks,
            everything=reading.everything,
            deeds=requested(message, deeds) if deeds else (),
            declines=pattern("declines").search(fold(message)) is not None,
        )


class ScriptedUser(GroundedUser):
    """`GroundedUser` that decides and speaks without a model. reader: what it reads with besides words."""

    def __init__(self, reader: Reader | None = None) -> None:
        name = f"scripted+{reader.name}" if reader else "scripted"
        super().__init__(LexicalInterpreter(reader), None, name)
