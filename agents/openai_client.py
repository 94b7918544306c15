"""`OpenAIModel`: any endpoint that speaks OpenAI's chat completions, as a `ChatModel`.

The message of a completion is what the model wrote, argument text included (`replies`); how it is asked for,
tried again and given up is `endpoint`'s. A conversation too long for the model is no fault: the reply is the
empty message that `loop` ends the episode on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mocktrial.agents.endpoint import EndpointClient, Refused
from mocktrial.agents.prices import Price
from mocktrial.agents.retry import Retry
from mocktrial.envs.chat import CONTEXT_LIMIT, Completion, Message, ToolSchema, assistant
from mocktrial.mocktools.errors import UsageError

__all__ = ["OpenAIChat", "OpenAIModel", "Refused"]

_SEEDS = 2**31  # servers differ in the seeds they take; all take these


class OpenAIModel:
    """A model behind `base_url` (default: OPENAI_BASE_URL, else OpenAI's own endpoint).

    timeout: seconds for one attempt, until the last byte. concurrency: requests under way at once, at most;
    an endpoint that throttles gets fewer. price: of its tokens; None: not known.
    sampling: further fields of the request, such as temperature or max_tokens, sent as given.
    """

    def __init__(
        self, model: str, base_url: str | None = None, *, api_key_env: str = "OPENAI_API_KEY",
        timeout: float = 120.0, concurrency: int = 16, retry: Retry | None = None, price: Price | None = None,
        **sampling: Any,
    ) -> None:  # fmt: skip
        if not model:
            raise UsageError("the model has no name", hint="write openai:MODEL")
        self.model, self.price, self.sampling = model, price, sampling
        self.client = EndpointClient(
            base_url, api_key_env=api_key_env, timeout=timeout, concurrency=concurrency, retry=retry
        )

    @property
    def name(self) -> str:
        return f"openai:{self.model}"

    def start(self, tools: Sequence[ToolSchema], *, seed: int) -> OpenAIChat:
        return OpenAIChat(self, tools, seed % _SEEDS)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self.client.aclose()

    async def complete(self, request: Mapping[str, Any]) -> Completion:
        """One completion for the body `request`, tried again where that may help. Raises `NoResult`."""
        try:
            reply = await self.client.ask(request)
        except Refused as error:
            if error.too_long:
                return Completion(message=assistant("") | {"refusal": CONTEXT_LIMIT})
            raise
        return Completion(message=reply.message, usage=self.price.priced(reply.usage) if self.price else reply.usage)


class OpenAIChat:
    """One conversation: a list of messages that only grows."""

    def __init__(self, model: OpenAIModel, tools: Sequence[ToolSchema], seed: int) -> None:
        self._model = model
        self._messages: list[Message] = []
        self._request: dict[str, Any] = {"model": model.model, "seed": seed, **model.sampling}
        if tools:
            self._request["tools"] = list(tools)

    async def send(self, messages: Sequence[Message]) -> Completion:
        self._messages.extend(messages)
        completion = await self._model.complete({**self._request, "messages": self._messages})
        self._messages.append(completion.message)
        return completion
