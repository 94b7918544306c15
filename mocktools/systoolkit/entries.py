"""What a file of the catalogue holds, as frozen models: tables, rows and tools of one domain.

A tool either says its `steps`, or `use`s a template of `templates.toml` with the values in `with`. Before its
own steps come those of its conditions (`needs`), then one for each parameter that names a row, so that a tool
never runs into the void. `asks` are ways in which people ask for it, `{name}` standing for a parameter; `implied`
is what each says without naming it ("Let {alarm} rest" switches it off);
`values` are examples of what they ask for, and further ones that the world would take.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from mocktrial.mocktools.spec import Frozen, Name, Step

Device = Literal["phone", "watch", "car", "home"]


class TableEntry(Frozen):
    columns: dict[Name, str]  # notation
    key: tuple[Name, ...] = ("id",)
    checks: tuple[str, ...] = ()
    about: str = ""
    says: str = ""  # the column by which a person means a row ("label"); empty: rows are not spoken of
    listed_by: str = ""  # the tool, callable without arguments, whose result rows have key and `says`
    rows: tuple[dict[str, Any], ...] = ()


class ToolUse(Frozen):
    """A call of another tool."""

    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class ToolEntry(Frozen):
    about: str  # what the agent reads
    takes: dict[Name, str] = Field(default_factory=dict)  # notation
    needs: tuple[str, ...] = ()  # names in conditions.toml
    use: str = ""  # name of a template
    with_: dict[str, str] = Field(default_factory=dict, alias="with")
    steps: tuple[Step, ...] = ()
    paged: bool = False
    asks: tuple[str, ...] = Field(min_length=3)
    implied: tuple[dict[Name, Any], ...] = ()  # by ask, in their order: arguments that its words say; may be shorter
    values: dict[Name, tuple[Any, ...]] = Field(default_factory=dict)  # by parameter, the likeliest first

    # For tasks: which call shows the rows that a parameter may name, where `listed_by` of the table does not; and
    # by table with one row the column values from which the tool has something to do.
    found: dict[Name, ToolUse] = Field(default_factory=dict)
    starts: dict[Name, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _implied_by_ask(self) -> ToolEntry:
        if len(self.implied) > len(self.asks):
            raise ValueError(f"implied has {len(self.implied)} entries for {len(self.asks)} asks")
        for ask, implied in zip(self.asks, self.implied, strict=False):
            if named := [name for name in implied if f"{{{name}}}" in ask]:
                raise ValueError(f"{ask!r} names {named[0]}, which implied gives too")
        return self


class DomainEntry(Frozen):
    title: str
    about: str
    device: Device = "phone"
    app: str = ""  # the app in front when its tools are likely
    uses: tuple[Name, ...] = ()  # other domains whose tables its tools touch; core is always there
    tables: dict[Name, TableEntry] = Field(default_factory=dict)
    tools: dict[Name, ToolEntry] = Field(default_factory=dict)


class Template(Frozen):
    """A form that many tools share; `{key}` in its texts stands for an entry of `with`."""

    about: str
    plain: bool = False  # a mere toggle, or the opening of a page
    takes: dict[str, str] = Field(default_factory=dict)
    steps: tuple[Step, ...]


class Condition(Frozen):
    """What must hold before a tool works: a query that must return a row, else the error."""

    require: str
    error: Name
    message: str
    hint: str = ""  # which tool mends it
    broken: dict[str, dict[str, Any]] = Field(default_factory=dict)  # by table: column values with which it fails
    mend: ToolUse | None = None  # the call after which it holds again
    leave: str = ""  # how a person allows that call: "If flight mode is in the way, switch it off."
