"""The local policy as a chat model: many chats at once on one event loop, decoded together (`sampler`).

Ids are appended to a chat's history as sampled and never made again from text.

A conversation that no longer fits the context is the agent's own limit, no fault of the infrastructure: the
reply is an empty message whose `refusal` is "context_limit", with no trace, and the history stays as it
was. What breaks while decoding reaches every waiting chat as `NoResult`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from mocktrial.agents.local.render import Renderer
from mocktrial.agents.local.reuse import Follower, Reuse, Turn
from mocktrial.agents.local.sampler import History, Request, Sample, sampler_for
from mocktrial.agents.local.weights import LoadedModel
from mocktrial.envs.chat import CONTEXT_LIMIT, Completion, Message, TokenTrace, ToolSchema, Usage, assistant
from mocktrial.mocktools.errors import UsageError

KEPT = 64  # likeliest tokens that are kept of each place where a turn may be reused exactly


class LocalPolicy:
    """A `ChatModel` on a loaded model.

    max_new_tokens: longest turn, in tokens; what is cut off is parsed as it stands.
    temperature: 0 is greedy. Recorded log-probabilities are at temperature 1 in any case.
    max_context: most tokens of a conversation, a whole turn included; None is the model's own limit.
    max_batch: most chats decoded together; bounds memory (46 KB a token in float32 for SmolLM2).
    renderer: of a model that was trained on another form than `Renderer` writes.
    paged: let transformers decode on CUDA, which can neither reuse turns nor tell tokens as they come, and draws at
        temperature 0 or 1 only; else we do there too.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        max_context: int | None = None,
        max_batch: int = 64,
        renderer: Renderer | None = None,
        paged: bool = True,
    ) -> None:
        self.renderer = renderer or Renderer(loaded.tokenizer)
        self.max_new_tokens = max_new_tokens
        self.temperature = temperature
        self.max_context = max_context or int(loaded.model.config.max_position_embeddings)
        self.version = 0  # of the weights: how often they have changed
        paged = paged and temperature in (0.0, 1.0)
        self.sampler = sampler_for(loaded.model, self.renderer.stop, rows=max_batch, paged=paged)
        self._name = loaded.name

    @property
    def name(self) -> str:
        return self._name

    def start(self, tools: Sequence[ToolSchema], *, seed: int, reuse: Reuse | None = None) -> LocalChat:
        """reuse: an earlier chat's turns, and this one's are kept for a later one. Only at temperature 1."""
        if reuse is not None and self.temperature != 1.0:
            raise UsageError(
                f"turns cannot be reused at temperature {self.temperature:g}",
                hint="sample at temperature 1, at which log-probabilities are recorded, or reuse nothing",
            )
        return LocalChat(self, tools, seed, reuse)

    def weights_changed(self, version: int | None = None) -> None:
        """Forget what was computed with the old weights. Chats that are open must not go on.

        version: of the new weights, where another process counts them.
        """
        self.version = self.version + 1 if version is None else version
        self.sampler.forget()


class LocalChat:
    """One conversation. `history` holds every id read and drawn so far."""

    def __init__(self, policy: LocalPolicy, tools: Sequence[ToolSchema], seed: int, reuse: Reuse | None = None) -> None:
        self._policy = policy
        self._tools = list(tools)
        self._draw = random.Random(seed)
        self._follower = Follower(reuse) if reuse else None
        self._turn = 0
        self.history = History()

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What a later chat may reuse; none where that was not asked for."""
        return tuple(self._follower.turns) if self._follower else ()

    async def send(self, messages: Sequence[Message]) -> Completion:
        """See `envs.chat.Chat`. `usage.prompt_tokens` counts the whole conversation before the reply."""
        context = self._context(messages)
        if len(self.history.ids) + len(context) + self._policy.max_new_tokens > self._policy.max_context:
            return Completion(message={**assistant(""), "refusal": CONTEXT_LIMIT})
        self.history.ids += context
        read = len(self.history.ids)
        sample = await self._sample(tuple(context))
        renderer, turn = self._policy.renderer, self._turn
        self._turn += 1
        return Completion(
            message=renderer.parse(renderer.text(sample.ids), f"call_{turn}_"),
            usage=Usage(prompt_tokens=read, completion_tokens=len(sample.ids)),
            trace=TokenTrace(
                context=tuple(context), sampled=sample.ids, logprobs=sample.logprobs, turn=turn,
                policy_version=self._policy.version, reused=sample.reused,
            ),
        )  # fmt: skip

    async def _sample(self, context: tuple[int, ...]) -> Sample:
        policy, follower = self._policy, self._follower
        request = Request(self.history, self._draw, policy.max_new_tokens, policy.temperature)
        if follower is None:
            return await policy.sampler.sample(request)
        request.draft, request.lenience = follower.draft(context, policy.max_new_tokens), follower.lenience
        request.top = KEPT if follower.lenience is None else 0
        sample = await policy.sampler.sample(request)
        follower.note(context, sample)
        return sample

    def _context(self, messages: Sequence[Message]) -> list[int]:
        """The ids that `messages` append to the history, the assistant's header included."""
        renderer = self._policy.renderer
        if self._turn:
            ids, rest = list(renderer.closing(self.history.ids)), list(messages)
        else:
            ids, rest = renderer.opening(messages, self._tools)
            self.history.shared = len(ids)
        for message in rest:
            ids = ids + renderer.segment(message)
        return ids + renderer.header
