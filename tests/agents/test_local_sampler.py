"""Decoding on kept keys and values equals running everything again, on a tiny random model."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

torch = pytest.importorskip("torch", reason="pip install 'mocktrial[train]'")
from tests.support.logprobs import logprobs_of  # noqa: E402
from tests.support.tiny import VOCABULARY, busy, decode, one_thread, tiny_llama  # noqa: E402, F401
from transformers import PreTrainedModel  # noqa: E402

from mocktrial.agents.local import decoding as engine  # noqa: E402
from mocktrial.agents.local.attention import install  # noqa: E402
from mocktrial.agents.local.decoding import Decoder  # noqa: E402
from mocktrial.agents.local.render import Row  # noqa: E402
from mocktrial.agents.local.sampler import History, Request, Sample  # noqa: E402
from mocktrial.mocktools.errors import NoResult, UsageError  # noqa: E402

STOP = frozenset({1, 6, 10, 15, 19})
PREFIX = [5, 9, 2, 7, 11, 3]


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return tiny_llama()


def _decode(
    decoder: Decoder, histories: Sequence[History], draws: Sequence[random.Random], new: int, temperature: float = 0.0
) -> list[Sample]:
    """One turn of all histories, in their order."""
    requests = [Request(history, draw, new, temperature) for history, draw in zip(histories, draws, strict=True)]
    return decode(decoder, requests)


def _histories() -> list[History]:
    tails = ([4], [8, 6, 2, 13], [4, 4], [20, 3, 17, 2, 9, 9, 5], [8, 6, 2, 13])
    return [History(PREFIX + tail, len(PREFIX)) for tail in tails]


def _draws(count: int) -> list[random.Random]:
    return [random.Random(seed) for seed in range(count)]


def _turns(model: PreTrainedModel, histories: Sequence[History], turns: int = 3) -> list[list[Sample]]:
    """`turns` turns of all histories together, with something new to read between them."""
    decoder, draws, out = Decoder(model, STOP), _draws(len(histories)), []
    for turn in range(turns):
        for place, history in enumerate(histories):
            history.ids += [2 + (place + turn + i) % 20 for i in range(turn * (1 + place % 3))]
        out.append(_decode(decoder, histories, draws, 9, 1.3))
    return out


def test_attention_equals_that_of_transformers(model: PreTrainedModel) -> None:
    ids = [3, 1, 4, 1, 5, 9, 2, 6]
    other = [2, 7, 1]
    packed = logprobs_of(model, [Row(tuple(ids), (0,) + (1,) * 7), Row(tuple(other), (0, 0, 1))])
    with torch.no_grad():
        plain = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        short = model(torch.tensor([other])).logits[0].log_softmax(-1)
    expected = plain[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    torch.testing.assert_close(packed[0], expected)
    torch.testing.assert_close(packed[1], short[1, other[2:]])


def test_gradients_reach_every_weight(model: PreTrainedModel) -> None:
    own = tiny_llama()
    (logprobs,) = logprobs_of(own, [Row((3, 1, 4, 1), (0, 1, 1, 1))])
    logprobs.sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in own.parameters())


def test_sampled_logprobs_are_those_of_one_forward_pass(model: PreTrainedModel) -> None:
    histories = _histories()
    masks: list[list[int]] = [[] for _ in histories]
    for samples in (turns := _turns(model, histories)):
        assert {len(sample.ids) for sample in samples} != {9}  # some row ends early, or nothing is retired
    for place, history in enumerate(histories):
        drawn = [token for samples in turns for token in samples[place].ids]
        mask, at = [0] * len(history.ids), len(history.ids)
        for samples in reversed(turns):
            ids = list(samples[place].ids)
            at = max(i for i in range(at) if history.ids[i : i + len(ids)] == ids and i + len(ids) <= at)
            mask[at : at + len(ids)] = [1] * len(ids)
        masks[place] = mask
        assert [token for token, bit in zip(history.ids, mask, strict=True) if bit] == drawn
    rows = [Row(tuple(h.ids), tuple(mask)) for h, mask in zip(histories, masks, strict=True)]
    with torch.no_grad():
        taught = logprobs_of(model, rows)
    for place, expected in enumerate(taught):
        seen = [logprob for samples in turns for logprob in samples[place].logprobs]
        torch.testing.assert_close(torch.tensor(seen, dtype=torch.float64), expected)


def test_rows_do_not_depend_on_their_batch(model: PreTrainedModel) -> None:
    together = _turns(model, _histories())
    for place in range(len(together[0])):
        decoder, draw, alone = Decoder(model, STOP), random.Random(place), _histories()[place]
        for turn, samples in enumerate(together):
            alone.ids += [2 + (place + turn + i) % 20 for i in range(turn * (1 + place % 3))]
            (sample,) = _decode(decoder, [alone], [draw], 9, 1.3)
            assert sample.ids == samples[place].ids


def test_greedy_takes_the_likeliest(model: PreTrainedModel) -> None:
    history = History([4, 8, 6])
    (sample,) = _decode(Decoder(model, STOP), [history], _draws(1), 5)
    ids = [4, 8, 6]
    for token in sample.ids:
        with torch.no_grad():
            assert int(model(torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids.append(token)
    assert history.ids == ids
    assert sample.ids[-1] in STOP or len(sample.ids) == 5


def test_draws_follow_the_distribution(model: PreTrainedModel) -> None:
    histories = [History([4, 8, 6]) for _ in range(4000)]
    samples = _decode(Decoder(model, STOP, rows=4000), histories, _draws(4000), 1, 2.0)
    counts = torch.bincount(torch.tensor([s.ids[0] for s in samples]), minlength=VOCABULARY) / 4000
    with torch.no_grad():
        expected = (model(torch.tensor([[4, 8, 6]])).logits[0, -1] / 2.0).softmax(-1)
    assert (counts - expected).abs().max() < 0.03


def test_shared_ids_are_run_once(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[int] = []
    real = engine.forward

    def counted(*given: object) -> object:
        run.append(len(given[1]))  # type: ignore[arg-type]
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "forward", counted)
    decoder = Decoder(model, STOP)
    _decode(decoder, _histories(), _draws(5), 1)
    assert run == [len(PREFIX), 1 + 4 + 2 + 7]  # the fifth is the second again
    _decode(decoder, _histories()[:1], _draws(1), 1)
    assert run[2:] == [1]
    decoder.forget()
    _decode(decoder, _histories()[:1], _draws(1), 1)
    assert run[3:] == [len(PREFIX), 1]


def test_a_finished_row_gives_its_place_to_the_next(model: PreTrainedModel) -> None:
    histories, draws = _histories() + _histories(), _draws(10)
    narrow, wide = Decoder(model, STOP, rows=3), Decoder(model, STOP)
    requests = [Request(history, draw, 9, 1.3) for history, draw in zip(histories, draws, strict=True)]
    for request in requests:
        narrow.submit(request)
    passes, over = 0, {}
    while busy(narrow):
        over.update(narrow.step())
        passes += 1
    lengths = [len(over[request].ids) for request in requests]
    assert passes < sum(max(lengths[start : start + 3]) for start in range(0, 10, 3))  # what whole batches would take
    together = _decode(wide, _histories() + _histories(), _draws(10), 9, 1.3)
    assert [over[request].ids for request in requests] == [sample.ids for sample in together]


def test_rows_of_other_worlds_decode_together(model: PreTrainedModel) -> None:
    worlds = [History([2, 7, 3, 9, 4], 3), History([5, 9, 2, 7, 11, 3, 8], 6), History([4, 4])]
    together = _decode(Decoder(model, STOP), [History(list(h.ids), h.shared) for h in worlds], _draws(3), 9, 1.3)
    for place, history in enumerate(worlds):
        plain = History(list(history.ids))
        (alone,) = _decode(Decoder(model, STOP), [plain], [random.Random(place)], 9, 1.3)
        assert alone.ids == together[place].ids
        assert alone.logprobs == pytest.approx(together[place].logprobs)


def test_what_is_dropped_is_not_decoded(model: PreTrainedModel) -> None:
    decoder = Decoder(model, STOP, rows=2)
    requests = [Request(history, draw, 9, 1.3) for history, draw in zip(_histories(), _draws(5), strict=True)]
    for request in requests:
        decoder.submit(request)
    decoder.step()
    decoder.drop([requests[0], requests[4]])
    over = {}
    while busy(decoder):
        over.update(decoder.step())
    alone = _decode(Decoder(model, STOP), _histories(), _draws(5), 9, 1.3)
    assert {place for place, request in enumerate(requests) if request in over} == {1, 2, 3}
    assert [over[request].ids for request in requests[1:4]] == [sample.ids for sample in alone[1:4]]


def test_changed_weights_count_after_forget() -> None:
    own = tiny_llama()
    decoder = Decoder(own, STOP)
    _decode(decoder, _histories(), _draws(5), 3)
    with torch.no_grad():
        for weight in own.parameters():
            weight.mul_(1.1)
    decoder.forget()
    again = _decode(decoder, _histories(), _draws(5), 3)
    assert again == _decode(Decoder(own, STOP), _histories(), _draws(5), 3)


def test_diverged_weights_are_no_result_and_leave_no_trace() -> None:
    own = tiny_llama()
    kept = {name: value.clone() for name, value in own.state_dict().items()}
    decoder = Decoder(own, STOP)
    with torch.no_grad():
        own.model.layers[0].self_attn.k_proj.weight.fill_(float("nan"))
    with pytest.raises(NoResult, match="not finite"):
        _decode(decoder, [History(history.ids + [3] * 20) for history in _histories()], _draws(5), 3)
    own.load_state_dict(kept)
    decoder.forget()
    assert _decode(decoder, _histories(), _draws(5), 3)


def test_windowed_attention_is_refused() -> None:
    windowed = tiny_llama()
    windowed.config.layer_types = ["sliding_attention", "full_attention"]
    with pytest.raises(UsageError, match="window"):
        install(windowed)
