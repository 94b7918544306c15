"""The sampler for CUDA: transformers' own continuous batching (paged cache, shared prompt blocks, CUDA graphs).

The manager has the model only while a turn is open: in between its thread rests and the model has our attention again,
so that it can be trained. Its draws come from one generator of its own, so that what is drawn depends on what is
decoded at the same time; greedy turns do not. Turns are not reused here. Fails with `UsageError` for what the manager
cannot do, and with `NoResult` when decoding breaks.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import cast

from transformers import ContinuousBatchingConfig, GenerationConfig, PreTrainedModel
from transformers.generation.continuous_batching.continuous_api import ContinuousBatchingManager, ContinuousMixin
from transformers.generation.continuous_batching.requests import GenerationOutput

from mocktrial.agents.local.attention import install
from mocktrial.agents.local.sampler import Request, Sample
from mocktrial.mocktools.errors import NoResult, UsageError

_IDLE = 3  # passes of the event loop without an open turn before the manager rests
_PAGE = 32  # tokens; prompts share whole pages
_SHARE = 0.4  # of the free memory that may be kept keys and values; the rest is for training


class PagedSampler:
    """Implements `Sampler`."""

    def __init__(self, model: PreTrainedModel, stop: frozenset[int]) -> None:
        self._model, self._stop = model, sorted(stop)
        self._batching = cast(ContinuousMixin, model)  # what every model that generates is
        self._manager: ContinuousBatchingManager | None = None
        self._temperature: float | None = None  # of the manager
        self._names = count()
        self._open = 0
        self._rest: asyncio.Task[None] | None = None

    def forget(self) -> None:
        if self._manager is not None:
            self._batching.destroy_cached_continuous_batching_manager()
            self._manager = None

    async def sample(self, request: Request) -> Sample:
        manager, name = self._running(request), f"turn-{next(self._names)}"
        future: asyncio.Future[GenerationOutput] = asyncio.get_running_loop().create_future()
        manager.register_result_handler(name, lambda output: None if future.done() else future.set_result(output))
        self._open += 1
        try:
            ids = list(request.history.ids)
            if manager.add_request(ids, name, request.max_new_tokens, eos_token_id=self._stop) is None:
                raise NoResult("decoding failed: the manager has stopped", blame="model")
            output = await future
        except asyncio.CancelledError:
            manager.cancel_request(name)
            raise
        finally:
            self._open -= 1
            if not self._open:
                self._rest = asyncio.create_task(self._rest_when_idle(manager))
        return self._sampled(request, output)

    def _running(self, request: Request) -> ContinuousBatchingManager:
        """The manager, at work. It is made again where another temperature is asked for."""
        if request.draft is not None or request.top:
            raise UsageError("transformers' batching reuses no turns", hint="make the policy with paged=False")
        if request.temperature not in (0.0, 1.0):
            raise UsageError(
                f"no log-probabilities at temperature 1 from sampling at {request.temperature:g} on CUDA",
                hint="sample at temperature 0 or 1, or make the policy with paged=False",
            )
        if self._manager is not None and self._temperature != request.temperature:
            if self._open:
                raise UsageError("turns of two temperatures at a time, on CUDA", hint="ask for one after the other")
            self.forget()
        if self._manager is None or not self._manager.is_running():
            self._start(request)
        assert self._manager is not None
        return self._manager

    def _start(self, request: Request) -> None:
        self._temperature = request.temperature
        self._model.set_attn_implementation("sdpa")  # what the manager can replace by its own
        whole = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0} if request.temperature else {}
        self._manager = self._batching.init_continuous_batching(
            GenerationConfig(eos_token_id=-1, **whole),  # type: ignore[no-untyped-call]
            ContinuousBatchingConfig(
                page_size=_PAGE, max_memory_percent=_SHARE, return_logprobs=True, seed=request.draw.getrandbits(31)
            ),
        )
        self._manager.start()

    async def _rest_when_idle(self, manager: ContinuousBatchingManager) -> None:
        try:
            for _ in range(_IDLE):
                await asyncio.sleep(0)
        finally:  # also when the loop ends
            if not self._open and manager.is_running():
                manager.stop(block=True, keep_for_next_session=True)
                install(self._model)

    def _sampled(self, request: Request, output: GenerationOutput) -> Sample:
        if output.error:
            raise NoResult(f"decoding failed: {output.error}", blame="model")
        ids, logprobs = tuple(output.generated_tokens), tuple(output.logprobs)
        if request.on_token:
            ended = (place for place, pair in enumerate(zip(ids, logprobs, strict=True), 1) if request.on_token(*pair))
            end = next(ended, len(ids))
            ids, logprobs = ids[:end], logprobs[:end]
        request.history.ids += ids
        return Sample(ids, logprobs)
