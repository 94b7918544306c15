"""The local policy as a chat model: many chats at once on one event loop, decoded together.

A `send` puts its chat in a queue. Once the loop has nothing else to do, all that wait are decoded as one
batch in a worker thread. Ids are appended to a chat's history as sampled and never made again from text.

A conversation that no longer fits the context is the agent's own limit, no fault of the infrastructure: the
reply is an empty message whose `refusal` is "context_limit", with no trace, and the history stays as it
was. What breaks while decoding reaches every waiting chat as `NoResult`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from mocktrial.agents.local.render import Renderer
from mocktrial.agents.local.sampler import History, Sample, Sampler
from mocktrial.agents.local.weights import LoadedModel
from mocktrial.envs.chat import CONTEXT_LIMIT, Completion, Message, TokenTrace, ToolSchema, Usage, assistant
from mocktrial.mocktools.errors import NoResult

_IDLE = 3  # passes of the event loop without a new request before a batch starts


class LocalPolicy:
    """A `ChatModel` on a loaded model.

    max_new_tokens: longest turn, in tokens; what is cut off is parsed as it stands.
    temperature: 0 is greedy. Recorded log-probabilities are at temperature 1 in any case.
    max_context: most tokens of a conversation, a whole turn included; None is the model's own limit.
    max_batch: most chats decoded together; bounds memory (46 KB a token in float32 for SmolLM2).
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        max_context: int | None = None,
        max_batch: int = 64,
    ) -> None:
        self.renderer = Renderer(loaded.tokenizer)
        self.max_new_tokens = max_new_tokens
        self.temperature = temperature
        self.max_context = max_context or int(loaded.model.config.max_position_embeddings)
        self._name = loaded.name
        self._max_batch = max_batch
        self._sampler = Sampler(loaded.model, self.renderer.stop)
        self._waiting: list[tuple[LocalChat, asyncio.Future[Sample]]] = []
        self._worker: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self._name

    def start(self, tools: Sequence[ToolSchema], *, seed: int) -> LocalChat:
        return LocalChat(self, tools, seed)

    def weights_changed(self) -> None:
        """Forget what was computed with the old weights. Chats that are open must not go on."""
        self._sampler.forget()

    async def sample(self, chat: LocalChat) -> Sample:
        """The next turn of `chat`, decoded with all that wait at the same time."""
        future: asyncio.Future[Sample] = asyncio.get_running_loop().create_future()
        self._waiting.append((chat, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._until_idle()
                batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
                await self._decode([(chat, future) for chat, future in batch if not future.done()])
        finally:  # cancelled with the loop: nobody is left to wait
            for _, future in self._waiting:
                future.cancel()
            self._waiting = []

    async def _until_idle(self) -> None:
        seen, quiet = -1, 0
        while quiet < _IDLE:
            quiet = quiet + 1 if seen == len(self._waiting) else 0
            seen = len(self._waiting)
            await asyncio.sleep(0)

    async def _decode(self, batch: Sequence[tuple[LocalChat, asyncio.Future[Sample]]]) -> None:
        try:
            samples = await asyncio.to_thread(
                self._sampler.sample,
                [chat.history for chat, _ in batch],
                [chat.draw for chat, _ in batch],
                max_new_tokens=self.max_new_tokens,
                temperature=self.temperature,
            )
        except Exception as error:  # noqa: BLE001 -- the boundary to torch: memory, devices, kernels
            for _, future in batch:
                if not future.done():
                    future.set_exception(NoResult(f"decoding failed: {error}", blame="model"))
            return
        for (_, future), sample in zip(batch, samples, strict=True):
            if not future.done():
                future.set_result(sample)


class LocalChat:
    """One conversation. `history` holds every id read and drawn so far."""

    def __init__(self, policy: LocalPolicy, tools: Sequence[ToolSchema], seed: int) -> None:
        self._policy = policy
        self._tools = list(tools)
        self._turn = 0
        self.history = History()
        self.draw = random.Random(seed)

    async def send(self, messages: Sequence[Message]) -> Completion:
        """See `envs.chat.Chat`. `usage.prompt_tokens` counts the whole conversation before the reply."""
        context = self._context(messages)
        history = self.history
        if len(history.ids) + len(context) + self._policy.max_new_tokens > self._policy.max_context:
            return Completion(message={**assistant(""), "refusal": CONTEXT_LIMIT})
        history.ids += context
        read = len(history.ids)
        sample = await self._policy.sample(self)
        renderer = self._policy.renderer
        message = renderer.parse(renderer.text(sample.ids), f"call_{self._turn}_")
        self._turn += 1
        return Completion(
            message=message,
            usage=Usage(prompt_tokens=read, completion_tokens=len(sample.ids)),
            trace=TokenTrace(context=tuple(context), sampled=sample.ids, logprobs=sample.logprobs),
        )

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
