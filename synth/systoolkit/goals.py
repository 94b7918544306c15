"""From a `Wish` to goals: one in which the words tell all, one in which something must be asked for.

What may be left out of an ask is found in its words: "Move {alarm} to {time}." loses " to {time}". What a
way of asking never names is told in a sentence of its own, or asked for.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mocktrial.mocktools.systoolkit.entries import ToolUse
from mocktrial.synth.form.goals import Goal
from mocktrial.synth.form.templates import fill
from mocktrial.synth.systoolkit.answers import Answer, answer_of
from mocktrial.synth.systoolkit.speaking import phrases, words
from mocktrial.synth.systoolkit.wish import Option, Wish

_STEP = "done"  # id of the call that the task is about


@dataclass(frozen=True)
class Trouble:
    """A condition that does not hold at the start. `tried`: the look-ups work all the same, so the tool is tried."""

    error: str  # the failure that it makes
    leave: str  # in which words the user allows to mend it
    mend: ToolUse
    tried: bool


def goals_of(wish: Wish, number: int, chance: random.Random, trouble: Trouble | None = None) -> Iterator[Goal]:
    """The goals of way of asking `number`; none for a read whose answer cannot be told apart."""
    tail = "".join(f"[ {_missing(name)}]" for name in wish.missing)
    text = wish.ask + tail
    answer = None
    if wish.tool.spec.effect == "read":
        spoken = {name: option.words for name, option in wish.chosen.items()}
        answer = answer_of(wish.result, wish.later, fill(text, spoken), chance)
        if answer is None:
            return
        text += " " + chance.choice(phrases()["tell"][answer.scope]).format(what=_column(answer.what), of=answer.of)
    if trouble:
        text += " " + trouble.leave
    name = wish.tool.spec.name
    if not wish.missing:
        yield _goal(f"{name}-{number}{'t' if trouble else ''}", wish, text, (), answer, trouble)
    if trouble:
        return
    hidden = wish.missing
    if not hidden and (cut := _cut(wish, text)):
        (hidden, text) = cut
    if hidden:
        yield _goal(f"{name}-{number}h", wish, text, hidden, answer, None)


def _goal(
    id_: str, wish: Wish, text: str, hidden: tuple[str, ...], answer: Answer | None, trouble: Trouble | None
) -> Goal:
    read = answer is not None
    finish = phrases()["done"]
    told: list[dict[str, Any]] = []
    if answer:
        finish = phrases()["here"].format(f"{{{_STEP}.{answer.path}}}")
        told = [{"id": "told", "kind": "tell", "any_of": answer.forms}]
    subgoals = told or _called(wish)
    tags = ["mend"] if trouble else []
    return Goal.model_validate(
        {
            "id": id_, "gap": bool(hidden), "tags": tags, "finish": finish, "subgoals": subgoals,
            "bind": [
                *({"name": name, "choices": [option.named]} for name, option in wish.chosen.items()),
                *({"name": f"{name}_row", "choices": [wish.chosen[name].value]} for name in wish.lookups),
            ],
            "facts": [_fact(wish, name, option, name in hidden) for name, option in wish.chosen.items()],
            "plan": _plan(wish, "told" if read else "", trouble),
            "wish": re.sub(r"[\[\]]", "", text), "instructions": [text],
        }
    )  # fmt: skip


def _called(wish: Wish) -> list[dict[str, Any]]:
    """That the tool was called with what does not show in the state, such as for how long something is muted."""
    if not wish.unseen:
        return []
    given = {name: f"{{{name}_row}}" if name in wish.lookups else f"{{{name}}}" for name in wish.unseen}
    return [{"id": "called", "kind": "call", "tool": wish.tool.spec.name, "arguments": given}]


def _plan(wish: Wish, subgoal: str, trouble: Trouble | None) -> list[dict[str, Any]]:
    looks = [
        {"call": lookup.use.tool, "id": lookup.step, "arguments": _values(lookup.use)}
        for lookup in {one.step: one for one in wish.lookups.values()}.values()
    ]
    call = {"call": wish.tool.spec.name, "id": _STEP, "subgoal": subgoal, "arguments": _arguments(wish)}
    if trouble is None:
        return [*looks, call]
    mend = {"call": trouble.mend.tool, "id": "mend", "arguments": _values(trouble.mend)}
    if not trouble.tried:
        return [mend, *looks, call]
    return [*looks, {**call, "id": "tried", "subgoal": "", "code": trouble.error}, mend, call]


def _values(use: ToolUse) -> dict[str, Any]:
    return {name: {"value": value} for name, value in use.arguments.items()}


def _arguments(wish: Wish) -> dict[str, Any]:
    given: dict[str, Any] = {name: {"value": value} for name, value in wish.implied.items()}
    for name in wish.chosen:
        lookup = wish.lookups.get(name)
        given[name] = (
            {"step": lookup.step, "take": lookup.key, "where": {lookup.column: name}} if lookup else {"fact": name}
        )
    return given


def _fact(wish: Wish, name: str, option: Option, hidden: bool) -> dict[str, Any]:
    others = wish.others[name]
    return {
        "id": name, "label": _label(name), "question": _question(wish, name), "hide": hidden,
        "aliases": [words(name)] if _label(name) != words(name) else [],
        "spoken_as": {str(one.named): one.words for one in (option, *others)},
        "alternatives": _listed([one.named for one in others]) if others else "",
    }  # fmt: skip


def _listed(values: list[Any]) -> str:
    """A query that gives the values."""
    text = json.dumps(values).replace("'", "''")
    return f"SELECT value FROM json_each('{text}')"


def _question(wish: Wish, name: str) -> str:
    label, kind = _label(name), "other"
    if name in wish.lookups:
        kind = "row"
    elif wish.tool.takes[name].type in ("time", "date", "datetime"):
        kind = "moment"
    elif label in phrases()["counted"]["labels"]:
        kind = "count"
    question: str = phrases()["questions"][kind]
    return question.format(label=label)


def _label(name: str) -> str:
    labels: Mapping[str, str] = phrases()["labels"]
    return labels.get(name, words(name))


def _column(what: str) -> str:
    columns: Mapping[str, str] = phrases()["columns"]
    return columns.get(what, what)


def _missing(name: str) -> str:
    text: str = phrases()["missing"]
    said = text.format(label=_label(name), value=f"{{{name}}}")
    return said[:1].upper() + said[1:]


def _cut(wish: Wish, text: str) -> tuple[tuple[str, ...], str] | None:
    """A required parameter that the words can do without, and the words with it in brackets."""
    before, units = phrases()["prepositions"], phrases()["units"]
    for name in wish.tool.spec.required:
        if not wish.others.get(name) or text.count(f"{{{name}}}") != 1:
            continue
        end = rf"(?=[.,?!]| (?:{before})\b)"
        phrase = rf",? (?:{before})(?: (?:the|my|a|about))? \{{{name}\}}(?: (?:{units}))?{end}"
        part = rf"{phrase}|: \{{{name}\}}(?=[.?!])"
        if found := re.search(part, text):
            return (name,), f"{text[: found.start()]}[{found[0]}]{text[found.end() :]}"
    return None
