"""Toolkits beside a world's own: proving who one is, exact arithmetic, a searchable library of papers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from mocktrial.mocktools.spec import Column, Give, Require, Run, Table, ToolSpec
from mocktrial.synth.compose.design import Design
from mocktrial.synth.compose.ops import Op
from mocktrial.synth.compose.record_writes import VERIFIED
from mocktrial.synth.compose.rows import people
from mocktrial.synth.compose.sql import plain_number
from mocktrial.synth.compose.tools import Maker, known

PAPERS = "papers"
ANSWERS = "paper_answers"  # what the papers say of each person, for grading; no tool reads it
RESERVED = (PAPERS, "paper", ANSWERS, VERIFIED)  # tables and nouns that no kit's may take
_TOWNS = (
    "Aldmoor", "Brinfield", "Carrowby", "Dunwich Cross", "Elmsworth", "Fenwater", "Garstone", "Hollin Bay", "Inverlee",
    "Kestrel Hill", "Larkholm", "Marrowdale",
)  # fmt: skip
_YEARS = (1951, 2004)


def verify_tables() -> list[Table]:
    return [Table(name=VERIFIED, columns=(Column(name="person"),), primary_key=("person",))]


def verify_op(make: Maker) -> Op:
    """Checks a PIN and remembers for the episode that it was right."""
    person = make.design.thing(make.design.verified)
    assert person is not None, "the verified people are a thing of the design"
    parameter = make.id_of(person)
    return make.write(
        "verify", person.thing.name, make.name("verify", person.noun.snake),
        f"Verify {person.noun.a} by PIN",
        [known(person, parameter, ""),
         Require(require=f"SELECT 1 AS right FROM {person.table} WHERE {person.key} = :{parameter} AND pin = :pin",
                 error="wrong_pin", message="That is not the PIN.", hint="Ask for it again."),
         Run(run=f"INSERT INTO {VERIFIED} (person) VALUES (:{parameter}) ON CONFLICT DO NOTHING")],
        parameters={parameter: {"type": "string"}, "pin": {"type": "string", "minLength": 4, "maxLength": 4}},
        args={"id": parameter, "pin": "pin"},
    )  # fmt: skip


_OPERATIONS = {
    "add": ("Add two numbers", ":a + :b", "a", "b"),
    "subtract": ("Take the second number from the first", ":a - :b", "a", "b"),
    "multiply": ("Multiply two numbers", ":a * :b", "a", "b"),
    "divide": ("Divide the first number by the second, to two places", "round(1.0 * :a / nullif(:b, 0), 2)", "a", "b"),
    "percent_of": ("So many percent of a number, to two places", "round(:percent * :a / 100.0, 2)", "percent", "a"),
}


def maths_ops() -> Iterator[Op]:
    """One tool an operation: what a language model should not do in its head."""
    for name, (description, expression, first, second) in _OPERATIONS.items():
        spec = ToolSpec(
            name=name, description=description, effect="read", required=(first, second),
            parameters={first: {"type": "number"}, second: {"type": "number"}},
            steps=(Give(give=f"SELECT {plain_number(expression)} AS result"),),
        )  # fmt: skip
        yield Op("maths", "calculator", spec, name, {"a": "a", "b": "b", "percent": "percent"}, {"result": "result"})


def document_tables() -> tuple[Table, ...]:
    columns = (Column(name="id"), Column(name="title"), Column(name="body"))
    answers = (Column(name="person"), Column(name="of"), Column(name="year", type="integer"), Column(name="town"))
    return (
        Table(name=PAPERS, columns=columns, primary_key=("id",)),
        Table(name=ANSWERS, columns=answers, primary_key=("of",)),
    )


def document_ops() -> Iterator[Op]:
    """Search by words in title or body; open one whole."""
    text = {"type": "string", "minLength": 2, "maxLength": 80}
    search = ToolSpec(
        name="search_papers", description="Search the papers for words that stand together", effect="read",
        parameters={"words": text}, required=("words",),
        steps=(Give(give=f"SELECT id, title FROM {PAPERS} WHERE instr(fold(title || ' ' || body), fold(:words)) > 0 "
                         "ORDER BY id LIMIT 8", shape="rows"),),
    )  # fmt: skip
    yield Op("search", PAPERS, search, "", {"words": "words"}, {"id": "id", "title": "title"})
    read = ToolSpec(
        name="open_paper", description="Read one paper", effect="read", parameters={"paper": {"type": "string"}},
        required=("paper",),
        steps=(
            Require(require=f"SELECT 1 AS known FROM {PAPERS} WHERE id = :paper", error="no_paper",
                    message="There is no paper {paper}.", hint="Call search_papers."),
            Give(give=f"SELECT title, body FROM {PAPERS} WHERE id = :paper"),
        ),
    )  # fmt: skip
    yield Op("open", PAPERS, read, "", {"id": "paper"}, {"title": "title", "body": "body"})


def documents_of(design: Design, recipes: Sequence[dict[str, Any]], chance: random.Random) -> dict[str, Any]:
    """One paper a name of the first thing (who chose, trained or made it), one a person named there (town, year)."""
    names: Sequence[str] = recipes[0]["columns"]["name"]["choices"]
    thing = design.things[0].noun.one
    authors = people(max(4, len(names) // 2), chance)
    authors = [name for name in authors if name not in names] or ["Ida Quist"]
    lives = {author: (chance.randint(*_YEARS), chance.choice(_TOWNS)) for author in authors}
    papers, answers = [], []
    for name in names:
        author = chance.choice(authors)
        since = chance.randint(2005, 2024)
        body = f"The {thing} {name} was recommended to us by {author}, and has been with us since {since}."
        papers.append({"title": f"About {name}", "body": body})
        answers.append({"of": name, "person": author, "year": lives[author][0], "town": lives[author][1]})
    for author, (year, town) in lives.items():
        body = f"{author} was born in {year}, grew up in {town} and recommends others to us."
        papers.append({"title": f"Who is {author}?", "body": body})
    chance.shuffle(papers)
    return {
        PAPERS: tuple({"id": f"doc{number}", **paper} for number, paper in enumerate(papers, 1)),
        ANSWERS: tuple(answers),
    }
