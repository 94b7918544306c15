"""Tables of a config file whose keys say what they mean, and the list of them that a person asks for.

No tensors here: keys are listed and files are read without torch.
"""

from __future__ import annotations

import json
import types
from collections.abc import Collection, Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from mocktrial.mocktools.spec import Frozen


class Table(Frozen):
    """One table of a TOML file. The line under a key is its meaning, and is printed."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def filled(form: type[BaseModel], found: dict[str, Any]) -> dict[str, Any]:
    """What an older release wrote of `form`, with the defaults of keys that have come since.

    So a new key's default must leave all as it was. What cannot be read (a key is gone, say) comes back as it is.
    """
    try:
        return form.model_validate_json(json.dumps(found)).model_dump(mode="json")
    except ValidationError:
        return found


def listed(table: type[Table], without: Collection[str] = (), name: str = "") -> Iterator[str]:
    """`key = default  # meaning`, a line a key, tables last. without: keys that are left out. name: of the table."""
    fields = {key: field for key, field in table.model_fields.items() if key not in without}
    inner = {key: found for key, field in fields.items() if (found := _table_of(field))}
    for key, field in fields.items():
        if key not in inner:
            yield f"{f'{key} = {_default(field)}':<28}  # {field.description}{_choices(field)}"
    for key, found in inner.items():
        yield ""
        yield f"{f'[{name}{key}]':<28}  # {fields[key].description}"
        yield from listed(found, name=f"{name}{key}.")


def _table_of(field: FieldInfo) -> type[Table] | None:
    return next((kind for kind in _kinds(field.annotation) if isinstance(kind, type) and issubclass(kind, Table)), None)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The parts of a union; anything else is its only part."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _default(field: FieldInfo) -> str:
    return "..." if field.is_required() else json.dumps(field.default)


def _choices(field: FieldInfo) -> str:
    """The words that a key may take, also those of a list."""
    kinds = [
        part for kind in _kinds(field.annotation) for part in (kind, *get_args(kind)) if get_origin(part) is Literal
    ]
    words = [json.dumps(word) for kind in kinds for word in get_args(kind)]
    return f" One of {', '.join(words)}." if len(words) > 1 else ""
