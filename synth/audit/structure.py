"""Whether two worlds, or two tools, are the same but for their words: hashes that renaming cannot change.

    world_structure(spec)       tables, relations, life cycles, rules
    tool_structure(tool, spec)  its steps and the shape of its parameters
    tool_identity(tool)         the tool itself: name, parameters, steps

Life cycles are what tools show of them: a step that sets a column with choices, after the states that the
same tool asks for. Rules are the checks of tables and whatever a tool requires beyond finding a row by a
parameter. Descriptions, messages, policy text, seeded rows and the order of tables, columns and tools count
for nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from mocktrial.mocktools.spec import Column, Give, Require, Run, Step, Table, ToolSpec, WorldSpec
from mocktrial.mocktools.values import JSON, stable
from mocktrial.synth.audit.canonical import Edge, canonical
from mocktrial.synth.audit.sqlwords import Token, columns, words

_SHAPE = ("type", "format")  # keys of a parameter's schema that are compared; of the rest, only that they are there


def world_structure(spec: WorldSpec) -> str:
    """16 hex digits: equal for worlds that differ in names alone."""
    graph = _Graph(spec)
    return _hash(canonical(graph.colours, sorted(set(graph.edges))))


def tool_structure(tool: ToolSpec, spec: WorldSpec) -> str:
    """16 hex digits: equal for tools whose steps differ in names and literals alone."""
    tables = {table.name for table in spec.tables()}
    names: dict[tuple[str, str], str] = {}
    steps: list[list[JSON]] = []
    for step in tool.steps:
        tokens = [_renamed(token, names, tables) for token in words(_sql(step))]
        shape = [step.shape, bool(step.name), sorted(step.types.values())] if isinstance(step, Give) else []
        steps.append([type(step).__name__, tokens, shape])
    used = {name: new for (sort, name), new in names.items() if sort == "param"}
    parameters = sorted(
        (used.get(f":{name}", ""), name in tool.required, _shape(schema)) for name, schema in tool.parameters.items()
    )
    return _hash(stable([tool.effect, tool.paged, steps, *parameters]))


def tool_identity(tool: ToolSpec) -> str:
    """16 hex digits of name, parameters and steps."""
    body = tool.model_dump(mode="json", include={"name", "parameters", "required", "steps"})
    return _hash(stable(body))


def _renamed(token: Token, names: dict[tuple[str, str], str], tables: set[str]) -> str:
    """Keywords, functions and operators as they are; anything else by the order of its first appearance."""
    if token.sort in ("keyword", "function", "sign"):
        return token.text
    sort = "table" if token.sort == "name" and token.text in tables else token.sort
    return names.setdefault((sort, token.text), f"{sort}{sum(kind == sort for kind, _ in names)}")


def _shape(schema: dict[str, Any]) -> list[str]:
    inner = schema.get("items")
    return [
        *(f"{key}={stable(schema[key])}" if key in _SHAPE else key for key in sorted(schema) if key != "description"),
        *(_shape(inner) if isinstance(inner, dict) else []),
    ]


class _Graph:
    """Tables, columns, states and rules as nodes of a graph."""

    def __init__(self, spec: WorldSpec) -> None:
        self.colours: list[str] = []
        self.edges: list[Edge] = []
        self.nodes: dict[tuple[str, ...], int] = {}
        self.tables = {table.name: frozenset(column.name for column in table.columns) for table in spec.tables()}
        self.choices = {
            (table.name, column.name): column.choices for table in spec.tables() for column in table.columns
        }
        for table in spec.tables():
            self._table(table)
        for table in spec.tables():
            for column in table.columns:
                if column.references:
                    target = tuple(column.references.split("."))
                    self.edges.append((self.nodes[table.name, column.name], self.nodes[target], "refers"))
            for check in table.checks:
                self._rule("check", check, f"SELECT 1 FROM {table.name} WHERE {check}")
        for tool in spec.tools():
            for step in tool.steps:
                if isinstance(step, Require) and not _looks_up(words(step.require)):
                    self._rule("require", step.require, step.require)
            self._transitions(tool)

    def _node(self, key: tuple[str, ...], colour: str) -> int:
        if key not in self.nodes:
            self.nodes[key] = len(self.colours)
            self.colours.append(colour)
        return self.nodes[key]

    def _table(self, table: Table) -> None:
        home = self._node((table.name,), "table")
        for column in table.columns:
            node = self._node((table.name, column.name), _kind(column, column.name in table.primary_key))
            self.edges.append((home, node, "has"))
            for choice in column.choices:
                self.edges.append((node, self._node((table.name, column.name, choice), "state"), "may be"))

    def _rule(self, kind: str, text: str, statement: str) -> None:
        """A rule is a node whose edges say which column stands where in it. Equal rules are one."""
        tokens = words(statement)
        places = {at: (table, column) for at, table, column in columns(tokens, self.tables)}
        names: dict[tuple[str, str], str] = {}
        body, ends = [], []
        for at, token in enumerate(tokens):
            home = places.get(at)
            state = self._state(tokens, at, places)
            named = state or home
            if named:
                ends.append(self.nodes[named])
                body.append("state" if state else "column")
            elif token.sort == "name" and token.text in self.tables:
                ends.append(self.nodes[(token.text,)])
                body.append("table")
            else:
                body.append(token.text if token.sort in ("number", "text") else _renamed(token, names, set()))
        key = (kind, stable([body, ends]))
        if key not in self.nodes:
            node = self._node(key, f"{kind} {' '.join(body)}")
            self.edges += [(node, end, f"at {place}") for place, end in enumerate(ends)]

    def _state(
        self, tokens: Sequence[Token], at: int, places: dict[int, tuple[str, str]]
    ) -> tuple[str, str, str] | None:
        """The state that a text token names: a choice of the column compared with or set just before it."""
        if tokens[at].sort != "text":
            return None
        before = next((places[place] for place in range(at - 1, -1, -1) if place in places), None)
        value = tokens[at].text[1:-1].replace("''", "'")
        return (*before, value) if before and value in self.choices[before] else None

    def _transitions(self, tool: ToolSpec) -> None:
        """Edges from the states that a tool asks for to the one that it sets."""
        asked: list[tuple[str, str, str]] = []
        made: list[tuple[tuple[str, str], tuple[str, str, str] | None]] = []
        for step in tool.steps:
            tokens = words(_sql(step))
            places = {at: (table, column) for at, table, column in columns(tokens, self.tables)}
            setting = range(0)
            if isinstance(step, Run) and Token("keyword", "SET") in tokens:
                start = tokens.index(Token("keyword", "SET"))
                ends = [at for at, token in enumerate(tokens) if token == Token("keyword", "WHERE")]
                setting = range(start, ends[-1] if ends else len(tokens))
            for at in range(len(tokens)):
                state = self._state(tokens, at, places)
                if state and at not in setting:
                    asked.append(state)
                elif at in setting and at in places and self.choices[places[at]]:
                    made.append((places[at], self._state(tokens, at + 2, places) if at + 2 < len(tokens) else None))
        for home, target in made:
            origins = [self.nodes[state] for state in asked if state[:2] == home] or [self.nodes[home]]
            end = self.nodes[target] if target else self.nodes[home]
            self.edges += [(origin, end, "becomes" if target else "is set") for origin in origins]


def _kind(column: Column, key: bool) -> str:
    return stable(["column", column.type, column.null, column.unique, key])


def _sql(step: Step) -> str:
    return step.require if isinstance(step, Require) else step.run if isinstance(step, Run) else step.give


def _looks_up(tokens: Sequence[Token]) -> bool:
    """Whether a query only finds rows of one table whose columns equal parameters."""
    texts = [token.text for token in tokens]
    if "WHERE" not in texts or "JOIN" in texts or texts.count("SELECT") > 1:
        return "WHERE" not in texts
    return all(_equals_parameter(part) for part in _conjuncts(tokens[texts.index("WHERE") + 1 :]))


def _equals_parameter(tokens: Sequence[Token]) -> bool:
    sorts = [token.sort for token in tokens if token.text != "."]
    return sorts[-3:] == ["name", "sign", "param"] and tokens[-2].text in ("=", "==") and len(sorts) <= 4


def _conjuncts(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    part: list[Token] = []
    for token in tokens:
        if token == Token("keyword", "AND"):
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
