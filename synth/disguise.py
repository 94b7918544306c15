"""Blueprints in disguise: opaque names, other words. Each knob gives a new `Blueprint`.

    scramble   `tool_7f` for a tool and `arg_2` for an argument, the same everywhere
    reword     descriptions in other words, from `disguise.toml`

Goals are carried along: whatever names a tool or an argument in a plan, a criterion, a violation or a fault is
renamed with it, so that the same planner makes the tasks and the same proof tests them. Deterministic by seed.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mocktrial.envs.seeds import derive
from mocktrial.mocktools.spec import Give, Require, Run, Step, ToolSpec
from mocktrial.synth.blueprint import Blueprint
from mocktrial.synth.form.goals import Goals
from mocktrial.synth.form.recipes import RowRecipe
from mocktrial.synth.voice.speech import verbs, with_article

_TEXT_OR_NAME = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(?<![:\w]):([a-z_]\w*)")
_SLOT = re.compile(r"\{([a-z_]\w*)\}")
# "Find a patient", "Send back the parcel"; not "Free slots of a doctor".
_OBJECT = re.compile(
    r"(\w+) (?:(?:up|off|back|in|out|for|through|down|away) )?(?:an?|the|all|one|every|another|how|what|whether)\b"
)
_TOOL_BYTES = 2  # hexadecimal digits of a scrambled tool's name; more where the world has many tools
_FAULT = frozenset(["tool", "kind", "calls"])


def scramble(blueprint: Blueprint, seed: int) -> Blueprint:
    """`blueprint` with an opaque name for each tool and each argument; one name is one name everywhere.

    No new name is an old one, so that a scrambled blueprint scrambled again has other names.
    """
    chance = random.Random(derive(seed, "scramble", blueprint.name))
    specs = blueprint.world.tools()
    old_tools = sorted(tool.name for tool in specs)
    old_args = sorted({name for tool in specs for name in tool.parameters})
    digits = _TOOL_BYTES if len(old_tools) <= 64 else 4
    tools = _opaque(old_tools, [f"tool_{n:0{digits}x}" for n in range(16**digits)], chance)
    args = _opaque(old_args, [f"arg_{n}" for n in range(1, 3 * len(old_args) + 2)], chance)
    world, text = blueprint.world, _renamer(tools)
    kits = tuple(
        kit.model_copy(
            update={
                "tools": tuple(_scrambled(tool, tools[tool.name], args, text) for tool in kit.tools),
                "description": text(kit.description),
            }
        )
        for kit in world.toolkits
    )
    return blueprint.changed(
        world={
            "toolkits": kits,
            "rules": text(world.rules),
            "description": text(world.description),
            "rows": {table: tuple(_walk(rows, text)) for table, rows in world.rows.items()},
        },
        rows=RowRecipe.model_validate(_renamed(blueprint.rows.model_dump(), {}, {}, text)),
        goals=Goals.model_validate(_renamed(blueprint.goals.model_dump(), tools, args, text)),
    )


def _opaque(old: Sequence[str], names: Sequence[str], chance: random.Random) -> dict[str, str]:
    """A new name for each; no name that stands already, lest an old one and a new one be mixed up."""
    free = [name for name in names if name not in old]
    return dict(zip(old, chance.sample(free, len(old)), strict=True))


def _scrambled(tool: ToolSpec, name: str, args: Mapping[str, str], text: Callable[[str], str]) -> ToolSpec:
    own = {old: args[old] for old in tool.parameters}
    steps: list[Step] = []
    left = dict(own)  # without those that a column of an earlier `require` has taken the place of
    for step in tool.steps:
        steps.append(_step(step, left, text))
        if isinstance(step, Require):
            left = {old: new for old, new in left.items() if not _gives(step.require, old)}
    spelled = _named(own)
    return tool.model_copy(
        update={
            "name": name,
            "description": spelled(text(tool.description)),
            "parameters": {
                own[old]: _described(schema, lambda d: spelled(text(d))) for old, schema in tool.parameters.items()
            },
            "required": tuple(own[old] for old in tool.required),
            "steps": tuple(steps),
        }
    )


def _step(step: Step, args: Mapping[str, str], text: Callable[[str], str]) -> Step:
    def sql(old: str) -> str:
        return _TEXT_OR_NAME.sub(lambda m: f":{args[m[1]]}" if m[1] in args else m[0], old)

    def message(old: str) -> str:
        return text(_SLOT.sub(lambda m: f"{{{args.get(m[1], m[1])}}}", old))

    match step:
        case Require():
            update = {"require": sql(step.require), "message": message(step.message), "hint": message(step.hint)}
            return step.model_copy(update=update)
        case Run():
            return step.model_copy(update={"run": sql(step.run)})
        case Give():
            return step.model_copy(update={"give": sql(step.give)})


def _gives(sql: str, name: str) -> bool:
    """Whether a query has a result column of that name, so that `:name` means it from then on."""
    head = re.split(r"\bFROM\b", sql, maxsplit=1, flags=re.IGNORECASE)[0]
    return re.search(rf"(?:\bAS\s+|[\s,.]){name}\s*(?:,|$)", head, re.IGNORECASE) is not None


def _renamer(tools: Mapping[str, str]) -> Callable[[str], str]:
    """Renames tools in a text: in backticks, after "call" or "use", or a name that is no English word.

    "book" is also a word: in prose it is left alone.
    """
    named = "|".join(sorted(map(re.escape, tools), key=len, reverse=True))
    spelled = [name for name in tools if "_" in name]
    plain = "|".join(sorted(map(re.escape, spelled), key=len, reverse=True)) or r"(?!)"
    pattern = re.compile(
        rf"(?:(?<=`)|(?<=\b[Cc]all )|(?<=\b[Uu]se )|(?<=\btool ))(?:{named})(?!\w)|(?<!\w)(?:{plain})(?!\w)"
    )
    return lambda text: pattern.sub(lambda match: tools[match[0]], text)


def _named(args: Mapping[str, str]) -> Callable[[str], str]:
    """Renames arguments in a description: in backticks or quotes, or a name with an underscore."""
    names = "|".join(sorted(map(re.escape, args), key=len, reverse=True)) or r"(?!)"
    spelled = "|".join(sorted((re.escape(name) for name in args if "_" in name), key=len, reverse=True)) or r"(?!)"
    pattern = re.compile(rf"(?<=[`'\"])(?:{names})(?=[`'\"])|(?<!\w)(?:{spelled})(?!\w)")
    return lambda text: pattern.sub(lambda match: args[match[0]], text)


def _renamed(node: Any, tools: Mapping[str, str], args: Mapping[str, str], text: Callable[[str], str]) -> Any:
    """Goals (or a row recipe) as plain data with every mention of a tool or argument renamed, wherever it stands.

    A gold call has `call` and `arguments`; a call criterion `tool` and `arguments`; an event of kind call a `name`;
    a fault a `tool`. Steps keep their ids, which no agent sees.
    """
    if isinstance(node, list | tuple):
        return [_renamed(item, tools, args, text) for item in node]
    if not isinstance(node, dict):
        return node
    new = {key: _renamed(item, tools, args, text) for key, item in node.items()}
    for key in ("call", "tool"):
        if isinstance(node.get(key), str) and ("arguments" in node or set(node) <= _FAULT):
            new[key] = tools.get(node[key], node[key])
            if "arguments" in node:
                new["arguments"] = {args.get(name, name): new["arguments"][name] for name in node["arguments"]}
    if node.get("kind") == "call" and isinstance(node.get("name"), str):
        new["name"] = tools.get(node["name"], node["name"])
    for key in ("choices", "format"):  # what is picked or filled in may name tools, as planted orders do
        if key in node:
            new[key] = _walk(node[key], text)
    return new


# Other words.


def reword(blueprint: Blueprint, seed: int) -> Blueprint:
    """`blueprint` with the descriptions of its tools and arguments in other words."""
    chance = random.Random(derive(seed, "reword", blueprint.name))
    kits = tuple(
        kit.model_copy(update={"tools": tuple(_reworded(tool, chance) for tool in kit.tools)})
        for kit in blueprint.world.toolkits
    )
    return blueprint.changed(world={"toolkits": kits})


def _reworded(tool: ToolSpec, chance: random.Random) -> ToolSpec:
    kept = {tool.name, *tool.parameters} | {
        str(value).casefold() for schema in tool.parameters.values() for value in schema.get("enum", ())
    }
    parameters = {
        name: _described(schema, lambda text: _other_words(text, kept, chance))
        for name, schema in tool.parameters.items()
    }
    said = _other_words(_other_verb(tool.description, kept, chance), kept, chance)
    starts = _OBJECT.match(said)
    kind = "command" if starts and starts[1].lower() in verbs() else "other"
    first = said.split(" ")[0]
    small = said if first[1:] != first[1:].lower() or not first else said[0].lower() + said[1:]
    frame = chance.choice(_data()["frames"][kind])
    return tool.model_copy(update={"description": frame.format(D=said, d=small), "parameters": parameters})


def _other_verb(text: str, kept: set[str], chance: random.Random) -> str:
    for verb, others in _data()["verbs"].items():
        if re.match(rf"{verb} (?:an?|the|all|one|every)\b", text) and verb.lower() not in kept:
            return f"{chance.choice(others)}{text[len(verb) :]}"
    return text


def _other_words(text: str, kept: set[str], chance: random.Random) -> str:
    """Words of the list replaced, about half of them; not where one is a name of the tool's."""
    for word, others in _data()["words"].items():
        match = re.search(rf"(?<![\w`'\"-]){word}(?![\w`'\"-])", text)
        if match and word not in kept and chance.random() < 0.5:
            before, other = text[: match.start()], chance.choice(others)
            article = re.search(r"\b(an?) $", before)
            if article:
                before, other = before[: article.start()], with_article(other)
            text = before + other + text[match.end() :]
    return text


def _described(schema: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    description = schema.get("description")
    return {**schema, "description": change(description)} if isinstance(description, str) else dict(schema)


def _walk(node: Any, change: Callable[[str], str]) -> Any:
    """Every text of a tree changed; keys stay."""
    if isinstance(node, str):
        return change(node)
    if isinstance(node, list | tuple):
        return [_walk(item, change) for item in node]
    return {key: _walk(item, change) for key, item in node.items()} if isinstance(node, dict) else node


@lru_cache
def _data() -> Mapping[str, Any]:
    return tomllib.loads((Path(__file__).parent / "disguise.toml").read_text(encoding="utf-8"))
