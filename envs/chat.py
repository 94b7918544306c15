"""The one interface behind which every model stands, and the messages that cross it.

Messages are OpenAI's (`role`, `content`, `tool_calls`, `tool_call_id`), as plain dicts. A `ChatModel`
starts a `Chat`; a chat is sent only the *new* messages and answers with a `Completion`. So a local
policy can extend its token history verbatim (DESIGN, invariant 11), and an endpoint client simply
keeps the list. Clients live in `mocktrial.agents`; users and judges are handed one at the edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

from pydantic import Field

from mocktrial.mocktools.spec import Frozen

Message: TypeAlias = dict[str, Any]
ToolSchema: TypeAlias = dict[str, Any]  # {"type": "function", "function": {...}}


CONTEXT_LIMIT = "context_limit"  # `refusal` of the empty message by which a model says that it is full


Drift: TypeAlias = Literal["", "tools", "history", "tokens"]


def _is_default(value: object) -> bool:
    return not value


class TokenTrace(Frozen):
    """Tokens of one turn, exactly as sampled. Lists of one length per group; never re-tokenised.

    An episode's traces of one branch, laid end to end, are one row; where a prompt is not an exact extension of what
    was run before, a new branch starts, whose first context is the whole prompt. What is at its default is not stored.

    context: ids appended to the history before sampling (rendered user or tool text, and on the
        first turn the system prompt with the tools). Not trained on.
    sampled: ids that the policy drew, end-of-turn token included when it was drawn. The mask of a row is 0 on
        contexts and 1 on these.
    logprobs: natural log-probability of each sampled id under the sampling policy, at temperature 1.
    turn: assistant messages of the episode before this one.
    branch: row of the episode that this turn extends, from 0.
    drift: why a branch starts here: the tools in sight changed, an earlier message did, or the same text became
        other ids; empty where none does, and at branch 0.
    policy_version: updates of the weights before these ids were drawn.
    weights: how much each sampled id counts in a loss; empty: 1 each.
    reused: of the sampled ids, the leading ones that were taken from an earlier epoch's draft and not decoded.
    """

    context: tuple[int, ...]
    sampled: tuple[int, ...]
    logprobs: tuple[float, ...]
    turn: int = Field(0, ge=0, exclude_if=_is_default)
    branch: int = Field(0, ge=0, exclude_if=_is_default)
    drift: Drift = Field("", exclude_if=_is_default)
    policy_version: int = Field(0, ge=0, exclude_if=_is_default)
    weights: tuple[float, ...] = Field((), exclude_if=_is_default)
    reused: int = Field(0, ge=0, exclude_if=_is_default)


class Usage(Frozen):
    """Tokens of a model, and what they cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None  # in the currency of the user's price file; None: not known

    def __add__(self, other: Usage) -> Usage:
        """A sum costs what its parts cost; one part of unknown cost makes it unknown."""
        costs = [part.cost for part in (self, other) if part != NO_USAGE]
        known = [cost for cost in costs if cost is not None]
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost=sum(known) if known and len(known) == len(costs) else None,
        )


NO_USAGE = Usage()


class Completion(Frozen):
    """One assistant message with what it cost and, from a local policy, its tokens."""

    message: Message
    usage: Usage = NO_USAGE
    trace: TokenTrace | None = None


class ModelCall(Frozen):
    """One request to a model and its reply, as the gateway saw them; an agent may make several in a turn.

    continues: number of the call whose messages and reply come before `messages`, and whose tokens, where they are
        known, come before the trace's, one for one; None: nothing comes before.
    trace: where the endpoint told the sampled ids. An empty `context`: it did not tell the prompt's.
    """

    number: int  # of the call in its episode, from 0, in the order of the requests
    model: str
    continues: int | None = None
    messages: tuple[Message, ...] = ()
    tools: tuple[ToolSchema, ...] = ()  # empty where `continues` names a call: the same as there
    settings: dict[str, Any] = Field(default_factory=dict)  # temperature and the like, as asked for
    reply: Message
    finish_reason: str = ""
    usage: Usage = NO_USAGE
    trace: TokenTrace | None = None


class Chat(Protocol):
    """One conversation with one model."""

    async def send(self, messages: Sequence[Message]) -> Completion:
        """Append `messages`, sample the reply, append it too. Raises `NoResult` when none can be had."""
        ...


class ChatModel(Protocol):
    """A model in some role. `name` goes into reports and keys."""

    @property
    def name(self) -> str: ...

    def start(self, tools: Sequence[ToolSchema], *, seed: int) -> Chat: ...


def assistant(content: str | None = None, *calls: Message) -> Message:
    """An assistant message with text, tool calls, or both."""
    message: Message = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = list(calls)
    return message


def tool_call(call_id: str, name: str, arguments: str) -> Message:
    """One entry of `tool_calls`; `arguments` is JSON text, as on the wire."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
