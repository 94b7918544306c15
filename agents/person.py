"""A person at the terminal in the place of the agent or of the user. Lines in, lines out; nothing is graded here.

`PersonAgent` implements `Agent`, `PersonUser` implements `User`. The end of the input ends the part: the agent
finishes, the user leaves. A line that cannot be understood is answered with what can be typed, never with an error.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mocktrial.envs.chat import Message, ToolSchema, assistant, tool_call
from mocktrial.envs.episode import Episode
from mocktrial.envs.task import Deed, Fact, Persona
from mocktrial.envs.users.base import Hand, Reply, UserState
from mocktrial.envs.users.forms import says_fact
from mocktrial.envs.users.words import pattern
from mocktrial.mocktools.values import dumps, fold

PERSON = "person"
HELP = "/help"
LEAVE = "/leave"
_HOW = f"Call a tool, or type words for the user; {HELP} says what each tool does."


@dataclass(frozen=True)
class Terminal:
    """Where the person reads and writes. `read` raises `EOFError` at the end."""

    read: Callable[[str], str]
    write: Callable[[str], None]


class PersonAgent:
    """Plays as the agent: a line is a tool call (`name key=value`, `name {JSON}`) or words for the user."""

    name = PERSON

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._calls = 0

    async def play(self, episode: Episode) -> None:
        write = self._terminal.write
        observation = await episode.reset()
        tools = {tool["function"]["name"]: tool["function"] for tool in observation.tools}
        for message in observation.messages:
            write(f"{message['role']}: {message['content']}\n")
        write("\n".join([_HOW, *(f"  {_usage(name, tool)}" for name, tool in tools.items())]))
        while not observation.done:
            typed = self._message(tools)
            if typed is None:
                episode.finish("finished")
                return
            observation = await episode.step(typed)
            for answer in observation.messages:
                write(f"{answer['role']}: {answer['content']}")

    def _message(self, tools: Mapping[str, ToolSchema]) -> Message | None:
        """What the next line makes; None at the end of the input."""
        while True:
            try:
                line = self._terminal.read("agent> ").strip()
            except EOFError:
                return None
            name, _, rest = line.partition(" ")
            if line == HELP:
                self._terminal.write(_listing(tools))
            elif line.startswith("/") or ("_" in name and name not in tools):
                self._terminal.write(f"There is no {name}. {_HOW}")
            elif name in tools:
                try:
                    arguments = arguments_of(rest.strip(), tools[name])
                except ValueError as error:
                    self._terminal.write(f"{error}. Type {_usage(name, tools[name])}")
                    continue
                self._calls += 1
                return assistant(None, tool_call(f"call_{self._calls}", name, dumps(arguments)))
            elif line:
                return assistant(line)


def arguments_of(text: str, tool: ToolSchema) -> dict[str, Any]:
    """Arguments from `{"key": value}`, from `key=value key="two words"`, or from the only argument's bare text.

    A value is read as JSON unless the tool wants a text there. Raises `ValueError` for what is none of these.
    """
    properties: dict[str, Any] = tool["parameters"].get("properties", {})
    if text.startswith("{"):
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError("the arguments are no JSON object")
        return given
    if len(properties) == 1 and text and not text.startswith(f"{next(iter(properties))}="):
        return {name: _value(text, schema) for name, schema in properties.items()}
    pairs = [part.partition("=") for part in shlex.split(text)]
    wrong = next((key for key, sign, _ in pairs if not sign), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is not key=value")
    return {key: _value(value, properties.get(key, {})) for key, _, value in pairs}


def _value(text: str, schema: Mapping[str, Any]) -> Any:
    if schema.get("type") == "string":
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _listing(tools: Mapping[str, ToolSchema]) -> str:
    return "\n".join(f"  {_usage(name, tool)}\n      {tool['description']}" for name, tool in tools.items())


def _usage(name: str, tool: ToolSchema) -> str:
    needed = tool["parameters"].get("required", [])
    keys = tool["parameters"].get("properties", {})
    return " ".join([name, *(f"{key}=..." if key in needed else f"[{key}=...]" for key in keys)])


class PersonUser:
    """Answers as the user. What counts as told or confirmed is read from the words, as for every user."""

    name = PERSON

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._told_part = False

    async def reply(
        self, state: UserState, message: str, *, persona: Persona, goal: str, facts: tuple[Fact, ...],
        deeds: tuple[Deed, ...] = (), hand: Hand | None = None,
    ) -> tuple[Reply, UserState]:  # fmt: skip
        write = self._terminal.write
        if not self._told_part:
            self._told_part = True
            write(_part(persona, goal, facts))
        write(f"assistant: {message}")
        try:
            text = self._terminal.read("you> ").strip()
        except EOFError:
            text = LEAVE
        if text == LEAVE:
            return Reply(text="I have to go.", leaves=True), state
        folded = fold(text)
        new = tuple(
            fact.id for fact in facts if fact.hidden and fact.id not in state.released and says_fact(folded, fact)
        )
        yes = "?" in message and pattern("yes").match(folded) is not None
        return Reply(text=text, released=new, confirmed=yes), state.model_copy(
            update={"released": state.released + new}
        )


def _part(persona: Persona, goal: str, facts: Sequence[Fact]) -> str:
    who = f"{persona.name}, {persona.occupation}" if persona.occupation else persona.name
    lines = [f"You are {who}. What you want: {goal}", f"What you know (answer in these words; {LEAVE} ends):"]
    lines += [f"  {fact.label}: {fact.spoken}{'' if fact.hidden else ' (already said)'}" for fact in facts]
    return "\n".join(lines)
