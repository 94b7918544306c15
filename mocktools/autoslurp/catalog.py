"""The facts of Auto-SLURP's services, loaded from `intents.json`: services, intents, labels and their kinds.

Only data lives here. `slots` of an intent are labels that its service lists (data/autoslurp/services.md),
`extra` are labels that the released rows use with it although its service does not list them. A broken
`intents.json` raises pydantic's ValidationError at the first use: it is part of the package.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import Field

from mocktrial.mocktools.spec import Frozen

Kind = Literal[
    "date", "time", "timeofday", "place", "timezone", "amount", "person", "relation", "frequency", "email",
    "currency", "choice", "name", "text",
]  # fmt: skip


class Service(Frozen):
    slots: tuple[str, ...]  # labels that the service takes
    external: bool = False
    port: int | None = None  # local services only
    path: str = ""  # local services only
    paths: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # external services: path to its parameter names


class Intent(Frozen):
    service: str  # empty: the agent answers by itself
    slots: tuple[str, ...]
    extra: tuple[str, ...] = ()
    required: tuple[tuple[str, ...], ...] = ()  # of each group at least one label must be given
    question: str = ""  # asked when a group is missing
    effect: Literal["read", "write"] = "read"
    parameters: dict[str, str] = Field(default_factory=dict)  # external: label to the service's parameter
    unlisted: bool = False  # found in the data, named by no service


class Catalog(Frozen):
    services: dict[str, Service]
    intents: dict[str, Intent]
    aliases: dict[str, str]  # other spellings of labels
    intent_aliases: dict[str, str]
    kinds: dict[str, Kind]

    def label(self, name: str) -> str:
        """The services' own spelling of a label."""
        return self.aliases.get(name, name)

    def kind(self, name: str) -> Kind:
        """What sort of value a label holds; labels nobody knows hold text."""
        return self.kinds.get(self.label(name), "text")


@cache
def catalog() -> Catalog:
    text = files(__package__).joinpath("intents.json").read_text(encoding="utf-8")
    return Catalog.model_validate_json(text)
