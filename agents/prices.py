"""What tokens cost, as the user's price file says. No price is built in: where none is given, none is known.

["MODEL"]          # a table a model, by the name that is asked for
prompt = 0.15      # for a million tokens, in any currency, the same throughout
completion = 0.60
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from mocktrial.envs.chat import Usage
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import Frozen


class Price(Frozen):
    """For a million tokens."""

    prompt: float = Field(ge=0, allow_inf_nan=False)
    completion: float = Field(ge=0, allow_inf_nan=False)

    def priced(self, usage: Usage) -> Usage:
        """`usage` with its cost; an endpoint that counts no tokens has none."""
        if not usage.prompt_tokens and not usage.completion_tokens:
            return usage
        cost = (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1e6
        return usage.model_copy(update={"cost": cost})


_TABLE = TypeAdapter(dict[str, Price])


def read_prices(path: Path) -> Mapping[str, Price]:
    """The prices in `path` by model. Raises `UsageError` that names the key."""
    try:
        return _TABLE.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read prices from {path}: {error}", hint="docs/gateway.md has the form") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: {where}: {first['msg']}", hint="docs/gateway.md has the form") from error
