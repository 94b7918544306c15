"""What a file of the catalogue holds, as frozen models: tables, rows and tools of one domain.

A tool either says its `steps`, or `use`s a template of `templates.toml` with the values in `with`. Before its
own steps come those of its conditions (`needs`), then one for each parameter that names a row, so that a tool
never runs into the void. `asks` are ways in which people ask for it, `{name}` standing for a parameter;
`values` are examples of what they ask for, and further ones that the world would take.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

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


class ToolEntry(Frozen):
    about: str  # what the agent reads
    takes: dict[Name, str] = Field(default_factory=dict)  # notation
    needs: tuple[str, ...] = ()  # names in conditions.toml
    use: str = ""  # name of a template
    with_: dict[str, str] = Field(default_factory=dict, alias="with")
    steps: tuple[Step, ...] = ()
    paged: bool = False
    asks: tuple[str, ...] = Field(min_length=3)
    values: dict[Name, tuple[Any, ...]] = Field(default_factory=dict)  # by parameter, the likeliest first


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
