"""Decoding on kept keys and values equals running everything again, on a tiny random model."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

torch = pytest.importorskip("torch", reason="pip install 'mocktrial[train]'")
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel  # noqa: E402

from mocktrial.agents.local import sampler as engine  # noqa: E402
from mocktrial.agents.local.attention import install  # noqa: E402
from mocktrial.agents.local.logprobs import logprobs_of  # noqa: E402
from mocktrial.agents.local.render import Row  # noqa: E402
from mocktrial.agents.local.sampler import History, Sample, Sampler  # noqa: E402
from mocktrial.mocktools.errors import NoResult, UsageError  # noqa: E402

STOP = frozenset({1, 6, 10, 15, 19})
VOCABULARY = 24
PREFIX = [5, 9, 2, 7, 11, 3]


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return _tiny()


def _tiny() -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=36,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tiny = LlamaForCausalLM(config).double().eval()
    install(tiny)
    return tiny


def _sampler(model: PreTrainedModel) -> Sampler:
    return Sampler(model, STOP)


def _histories() -> list[History]:
    tails = ([4], [8, 6, 2, 13], [4, 4], [20, 3, 17, 2, 9, 9, 5], [8, 6, 2, 13])
    return [History(PREFIX + tail, len(PREFIX)) for tail in tails]


def _draws(count: int) -> list[random.Random]:
    return [random.Random(seed) for seed in range(count)]


def _turns(model: PreTrainedModel, histories: Sequence[History], turns: int = 3) -> list[list[Sample]]:
    """`turns` turns of all histories together, with something new to read between them."""
    sampler, draws, out = _sampler(model), _draws(len(histories)), []
    for turn in range(turns):
        for place, history in enumerate(histories):
            history.ids += [2 + (place + turn + i) % 20 for i in range(turn * (1 + place % 3))]
        out.append(sampler.sample(histories, draws, max_new_tokens=9, temperature=1.3))
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
    own = _tiny()
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
        sampler, draw, alone = _sampler(model), random.Random(place), _histories()[place]
        for turn, samples in enumerate(together):
            alone.ids += [2 + (place + turn + i) % 20 for i in range(turn * (1 + place % 3))]
            (sample,) = sampler.sample([alone], [draw], max_new_tokens=9, temperature=1.3)
            assert sample.ids == samples[place].ids


def test_greedy_takes_the_likeliest(model: PreTrainedModel) -> None:
    history = History([4, 8, 6])
    (sample,) = _sampler(model).sample([history], _draws(1), max_new_tokens=5)
    ids = [4, 8, 6]
    for token in sample.ids:
        with torch.no_grad():
            assert int(model(torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids.append(token)
    assert history.ids == ids
    assert sample.ids[-1] in STOP or len(sample.ids) == 5


def test_draws_follow_the_distribution(model: PreTrainedModel) -> None:
    histories = [History([4, 8, 6]) for _ in range(4000)]
    samples = _sampler(model).sample(histories, _draws(4000), max_new_tokens=1, temperature=2.0)
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
    sampler = _sampler(model)
    sampler.sample(_histories(), _draws(5), max_new_tokens=1)
    assert run == [len(PREFIX), 1 + 4 + 2 + 7]  # the fifth is the second again
    sampler.sample(_histories()[:1], _draws(1), max_new_tokens=1)
    assert run[2:] == [1]
    sampler.forget()
    sampler.sample(_histories()[:1], _draws(1), max_new_tokens=1)
    assert run[3:] == [len(PREFIX), 1]


def test_changed_weights_count_after_forget() -> None:
    own = _tiny()
    sampler = _sampler(own)
    sampler.sample(_histories(), _draws(5), max_new_tokens=3)
    with torch.no_grad():
        for weight in own.parameters():
            weight.mul_(1.1)
    sampler.forget()
    again = sampler.sample(_histories(), _draws(5), max_new_tokens=3)
    assert again == _sampler(own).sample(_histories(), _draws(5), max_new_tokens=3)


def test_diverged_weights_are_no_result_and_leave_no_trace() -> None:
    own = _tiny()
    kept = {name: value.clone() for name, value in own.state_dict().items()}
    sampler = _sampler(own)
    with torch.no_grad():
        own.model.layers[0].self_attn.k_proj.weight.fill_(float("nan"))
    longer = [History(history.ids + [3] * 20) for history in _histories()]
    with pytest.raises(NoResult, match="not finite"):
        sampler.sample(longer, _draws(5), max_new_tokens=3)
    own.load_state_dict(kept)
    sampler.forget()
    assert sampler.sample(_histories(), _draws(5), max_new_tokens=3)


def test_nothing_to_do(model: PreTrainedModel) -> None:
    assert _sampler(model).sample([], [], max_new_tokens=3) == []


def test_windowed_attention_is_refused() -> None:
    windowed = _tiny()
    windowed.config.layer_types = ["sliding_attention", "full_attention"]
    with pytest.raises(UsageError, match="window"):
        install(windowed)
