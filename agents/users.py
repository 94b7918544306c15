"""From the words after `--user` to a user.

    scripted                 offline, lexical, the default
    scripted+dense           the same, reading with the lower layers of SmolLM2 too
    openai:MODEL             a model behind an endpoint reads the messages and finds the words
    local, local:PATH        a checkpoint in this process does

The decision rule is the same for all (`envs.users.decision`). Optional packages are imported only when a user
needs them. Raises `UsageError` or `MissingExtra`.
"""

from __future__ import annotations

from collections.abc import Mapping

from rapidfuzz import process

from mocktrial.agents.metered import Metered
from mocktrial.agents.prices import Price
from mocktrial.agents.registry import make_model
from mocktrial.envs.users.grounded import GroundedUser
from mocktrial.envs.users.model import ModelInterpreter, ModelPhraser
from mocktrial.envs.users.scripted import ScriptedUser
from mocktrial.mocktools.errors import UsageError

FORMS = ("scripted", "scripted+dense", "openai:MODEL", "local", "local:PATH")
_MEMORY = 4  # messages before the present one that a model is shown


def make_user(
    spec: str, *, base_url: str | None = None, temperature: float = 0.0, max_new_tokens: int = 160,
    prices: Mapping[str, Price] | None = None,
) -> GroundedUser:  # fmt: skip
    """The user that `spec` names. base_url, temperature, max_new_tokens, prices: of a model."""
    if spec == "scripted":
        return ScriptedUser()
    if spec == "scripted+dense":
        from mocktrial.agents.local.weights import smollm2_folder
        from mocktrial.envs.users.dense import load_dense

        return ScriptedUser(load_dense(smollm2_folder()))
    if spec.partition(":")[0] in ("openai", "local"):
        made = make_model(
            spec, base_url=base_url, temperature=temperature, max_new_tokens=max_new_tokens, prices=prices
        )
        model = Metered(made, "user")
        return GroundedUser(ModelInterpreter(model), ModelPhraser(model), model.name, memory=_MEMORY)
    near = process.extractOne(spec, FORMS, score_cutoff=60)
    guess = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"unknown user {spec!r}", hint=f"{guess}users are: {', '.join(FORMS)}")
