"""From the words after `--agent` to an agent.

    expert, null, guesser, interrogator, violator     scripted
    local, local:PATH                                  a checkpoint in this process (default: SmolLM2)
    openai:MODEL                                       any endpoint that speaks OpenAI's chat completions
    react:MODEL-AGENT, team:MODEL-AGENT                LangGraph: a tool-calling loop, the Auto-SLURP team
    line:PATH                                          a checkpoint that was fine-tuned for Auto-SLURP's one-line form

Optional packages are imported only when an agent needs them. Raises `UsageError` or `MissingExtra`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rapidfuzz import process

from mocktrial.agents.base import Agent
from mocktrial.agents.loop import ModelAgent
from mocktrial.agents.prices import Price
from mocktrial.agents.scripted import AGENTS
from mocktrial.agents.tracing import Tracing
from mocktrial.envs.chat import ChatModel
from mocktrial.mocktools.errors import UsageError

FORMS = (
    *AGENTS,
    "local",
    "local:PATH",
    "openai:MODEL",
    "react:local",
    "react:openai:MODEL",
    "team:openai:MODEL",
    "line:PATH",
)


@dataclass(frozen=True)
class _Options:
    """What a model is made with."""

    base_url: str | None
    temperature: float
    max_new_tokens: int
    prices: Mapping[str, Price]
    timeout: float
    device: str = "auto"


def make_agent(
    spec: str, *, base_url: str | None = None, temperature: float = 0.0, max_new_tokens: int = 96,
    prices: Mapping[str, Price] | None = None, timeout: float = 120.0, tool_retrieval: int = 0,
    tracing: Tracing | None = None, device: str = "auto",
) -> Agent:  # fmt: skip
    """The agent that `spec` names. prices: of tokens, by model. timeout: seconds for one try at an endpoint.

    tool_retrieval: how many tools a message of the user brings into the model's sight; 0: all are in sight.
    tracing: leaves spans of what the agent asks its model. device, max_new_tokens (of a turn): of a local model.
    """
    kind, _, rest = spec.partition(":")
    if tool_retrieval and (spec in AGENTS or kind == "line"):
        raise UsageError(f"{spec} has no model that could be shown fewer tools", hint="leave out --tool-retrieval")
    options = _Options(base_url, temperature, max_new_tokens, prices or {}, timeout, device)
    if kind == "line" and rest:
        return _line_agent(rest, options)
    if spec in AGENTS:
        return AGENTS[spec]
    make = _maker(kind)
    model = _model(rest if kind in ("react", "team") else spec, spec, options)
    model = tracing.model(model) if tracing else model
    if not tool_retrieval:
        return make(model)
    from mocktrial.agents.tool_retrieval import RetrievingAgent

    return RetrievingAgent(make, model, tool_retrieval)


def _maker(kind: str) -> Callable[[ChatModel], Agent]:
    """What plays with a model."""
    if kind == "react":
        from mocktrial.agents.react import ReactAgent

        return ReactAgent
    if kind == "team":
        from mocktrial.agents.slurp_team import SlurpTeam

        return SlurpTeam
    return ModelAgent


def _line_agent(path: str, options: _Options) -> Agent:
    from mocktrial.agents.local.weights import load

    loaded = load(path, device=options.device)
    from mocktrial.agents.local.policy import LocalPolicy
    from mocktrial.agents.slurp_local.agent import LineAgent
    from mocktrial.agents.slurp_local.render import LineRenderer

    renderer = LineRenderer(loaded.tokenizer)
    return LineAgent(
        LocalPolicy(loaded, temperature=options.temperature, max_new_tokens=options.max_new_tokens, renderer=renderer)
    )


def make_model(
    spec: str, *, base_url: str | None = None, temperature: float = 0.0, max_new_tokens: int = 96,
    prices: Mapping[str, Price] | None = None, timeout: float = 120.0,
) -> ChatModel:  # fmt: skip
    """The model of another role: openai:MODEL, local or local:PATH."""
    return _model(spec, spec, _Options(base_url, temperature, max_new_tokens, prices or {}, timeout))


def _model(name: str, spec: str, options: _Options) -> ChatModel:
    kind, _, rest = name.partition(":")
    if kind == "openai" and rest:
        from mocktrial.agents.openai_client import OpenAIModel
        from mocktrial.agents.retry import Retry

        retry = Retry(deadline=max(Retry.deadline, options.timeout))
        return OpenAIModel(
            rest, options.base_url, timeout=options.timeout, retry=retry, price=options.prices.get(rest),
            temperature=options.temperature,
        )  # fmt: skip
    if kind == "local":
        from mocktrial.agents.local.weights import SMOLLM2, load

        loaded = load(rest or SMOLLM2, device=options.device)
        from mocktrial.agents.local.policy import LocalPolicy  # imports torch, whose absence `load` explains

        return LocalPolicy(loaded, temperature=options.temperature, max_new_tokens=options.max_new_tokens)
    near = process.extractOne(spec, FORMS, score_cutoff=60)
    guess = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"unknown agent {spec!r}", hint=f"{guess}agents are: {', '.join(FORMS)}")
