"""From the words after `--agent` to an agent.

    expert, null, guesser, interrogator, violator     scripted
    local, local:PATH                                  a checkpoint in this process (default: SmolLM2)
    openai:MODEL                                       any endpoint that speaks OpenAI's chat completions
    react:MODEL-AGENT, team:MODEL-AGENT                LangGraph: a tool-calling loop, the Auto-SLURP team

Optional packages are imported only when an agent needs them. Raises `UsageError` or `MissingExtra`.
"""

from __future__ import annotations

from rapidfuzz import process

from mocktrial.agents.base import Agent
from mocktrial.agents.loop import ModelAgent
from mocktrial.agents.scripted import AGENTS
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
)


def make_agent(spec: str, *, base_url: str | None = None, temperature: float = 0.0, max_new_tokens: int = 96) -> Agent:
    """The agent that `spec` names."""
    kind, _, rest = spec.partition(":")
    if kind == "react":
        from mocktrial.agents.react import ReactAgent

        return ReactAgent(_model(rest, spec, base_url, temperature, max_new_tokens))
    if kind == "team":
        from mocktrial.agents.slurp_team import SlurpTeam

        return SlurpTeam(_model(rest, spec, base_url, temperature, max_new_tokens))
    if spec in AGENTS:
        return AGENTS[spec]
    return ModelAgent(_model(spec, spec, base_url, temperature, max_new_tokens))


def _model(name: str, spec: str, base_url: str | None, temperature: float, max_new_tokens: int) -> ChatModel:
    kind, _, rest = name.partition(":")
    if kind == "openai" and rest:
        import stamina

        from mocktrial.agents.openai_client import OpenAIModel

        stamina.instrumentation.set_on_retry_hooks(())  # its warnings would mix with what the command prints

        return OpenAIModel(rest, base_url, temperature=temperature)
    if kind == "local":
        from mocktrial.agents.local.weights import load

        loaded = load(rest) if rest else load()
        from mocktrial.agents.local.policy import LocalPolicy  # imports torch, whose absence `load` explains

        return LocalPolicy(loaded, temperature=temperature, max_new_tokens=max_new_tokens)
    near = process.extractOne(spec, FORMS, score_cutoff=60)
    guess = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"unknown agent {spec!r}", hint=f"{guess}agents are: {', '.join(FORMS)}")
