"""A training step beside TRL 1.16's, on the same graded episodes: tokens a CPU-second, one thread, fp32, SmolLM2.

Episodes of scripted agents on generated tasks, at their own lengths, in the same batches. Theirs are the trainers'
own losses (`KTOTrainer._compute_loss`, `GRPOTrainer._compute_loss`, `SFTTrainer.compute_loss` with the fused head
that their `__init__` puts in), without gradient checkpointing, which only costs time here; ours are `Engine` and its
losses. Loss and backward pass are timed; AdamW, the same for both, is left out. The bound is what bare passes of the
model over each episode cost, without padding and with the head on every token: of a loss, the sum of the passes that
it needs. Ours goes beyond it where episodes share their beginnings and where tokens are not trained on.

Dev-only: `pip install "trl==1.16.*"`, in an environment of its own if need be. 64 episodes take three quarters of an
hour; exits with 1 when a ratio is missed.

    python benchmarks/train.py --episodes 8
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference
from trl.trainer.sft_trainer import SFTTrainer
from trl.trainer.utils import add_fused_lm_head
from trl_oracle import kto_trainer, trainer

from mocktrial.agents.local.render import Renderer
from mocktrial.agents.local.weights import load
from mocktrial.agents.play import run_agent
from mocktrial.agents.scripted import Expert, Guesser, Interrogator, Violator
from mocktrial.envs.store import Ledger
from mocktrial.envs.trajectory import Trajectory
from mocktrial.synth.production.generate import generate
from mocktrial.training.config import TrainConfig, parse_config
from mocktrial.training.data import Example
from mocktrial.training.engine import Engine
from mocktrial.training.losses.base import BatchLoss
from mocktrial.training.losses.choose import bound_loss
from mocktrial.training.objectives.kto import shifted_partners
from mocktrial.training.records import records_of
from mocktrial.training.run import examples_of

AGENTS = (Expert(), Guesser(), Interrogator(), Violator())  # a group: each of them once
WANTED = {"KTO, live reference": 2.0, "KTO, reference known": 1.5, "SFT": 1.0, "GRPO": 2.0}

Batches = Sequence[Sequence[Example]]


@dataclass(frozen=True)
class Line:
    name: str
    theirs: float  # CPU-seconds of all batches
    ours: float
    bound: float


def played(count: int) -> list[Trajectory]:
    """Graded episodes: groups of four on as many tasks as it takes."""
    dataset = generate(3, -(-count // len(AGENTS)), ["clinic", "network"])
    images = {task.world: dataset.image(task) for task in dataset.tasks}
    found: dict[str, list[Trajectory]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for agent in AGENTS:
            place = Path(folder) / agent.name
            asyncio.run(run_agent(agent, dataset.tasks, images, place, config={}))
            with Ledger.read(place / "ledger.sqlite") as ledger:
                for one in ledger.trajectories():
                    found.setdefault(one.task_hash, []).append(one)
    return [one for group in found.values() for one in group][:count]


def timed(work: Callable[..., Any], *given: Any) -> float:
    """CPU-seconds of a call, and of the backward pass where it gives a loss."""
    begun = time.process_time()
    found = work(*given)
    if isinstance(found, torch.Tensor):
        found.backward()
    return time.process_time() - begun


def ours(model: Any, batches: Batches, objective: str, prepared: bool) -> float:
    """CPU-seconds of our steps; `prepared`: what the reference says is computed beforehand, not timed."""
    given = {"objective": objective, "name": "x", "data": "none", "precision": "fp32", "rl": {"eliminate": False}}
    config: TrainConfig = parse_config(given, "benchmark")
    engine = Engine(model, config)
    spent = 0.0
    for batch in batches:
        loss = bound_loss(config, batch)
        rows = list(range(len(loss.examples)))
        known = timed(loss.prepare, [rows], 0, engine.score)
        spent += (0.0 if prepared else known) + timed(one_step, engine, loss, rows)
        model.zero_grad()
    return spent


def one_step(engine: Engine, loss: BatchLoss, rows: Sequence[int]) -> None:
    engine.accumulate(loss.examples, loss.begin(0, rows, engine.score), loss.want)


def kto_batch(batch: Sequence[Example]) -> dict[str, Any]:
    rows = [
        {
            "prompt_ids": list(row.prompt),
            "completion_ids": list(row.ids[row.prompt_length :]),
            "KL_completion_ids": list(batch[partner or 0].ids[batch[partner or 0].prompt_length :]),
            "label": bool(row.desirable),
        }
        for row, partner in zip(batch, shifted_partners(len(batch)), strict=True)
    ]
    return dict(DataCollatorForUnpairedPreference(pad_token_id=0)(rows))


def headed(model: Any, *outputs: str) -> Any:
    """A copy with TRL's fused head, which gives `outputs`."""
    made = copy.deepcopy(model)
    made.set_attn_implementation("sdpa")
    add_fused_lm_head(made, outputs=("log_probs", *outputs))
    return made


def theirs_kto(plain: Any, batches: Batches, precomputed: bool) -> float:
    model = headed(plain, "entropy", "mean_logits")
    reference = None if precomputed else headed(plain)
    built = kto_trainer(model, reference, precompute_ref_logps=precomputed)
    spent = 0.0
    for batch in batches:
        inputs = kto_batch(batch)
        if precomputed:
            inputs |= {"ref_logps": torch.zeros(len(batch)), "ref_KL_logps": torch.zeros(len(batch))}
        spent += timed(built._compute_loss, model, inputs, False)
        model.zero_grad()
    return spent


def padded(rows: Sequence[Sequence[float]], left: bool = False, dtype: torch.dtype = torch.long) -> torch.Tensor:
    width = max(map(len, rows))
    gaps = [[0] * (width - len(row)) for row in rows]
    return torch.tensor(
        [[*gap, *row] if left else [*row, *gap] for row, gap in zip(rows, gaps, strict=True)], dtype=dtype
    )


def theirs_grpo(plain: Any, batches: Batches) -> float:
    model = headed(plain, "entropy")
    built = trainer(
        GRPOTrainer,
        model=model,
        args=SimpleNamespace(report_to=[], use_bias_correction_kl=False, delta=None, steps_per_generation=1),
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="token",
        beta=0.0,
        loss_type="grpo",
        epsilon_low=0.2,
        epsilon_high=0.28,
        use_vllm=False,
        max_completion_length=1024,
        current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled=False,
    )
    spent = 0.0
    for batch in batches:
        tails = [row.ids[row.prompt_length :] for row in batch]
        inputs = {
            "prompt_ids": padded([row.prompt for row in batch], left=True),
            "prompt_mask": padded([[1] * row.prompt_length for row in batch], left=True),
            "completion_ids": padded(tails),
            "completion_mask": padded([[1] * len(tail) for tail in tails]),
            "tool_mask": padded([row.mask[row.prompt_length :] for row in batch]),
            "advantages": torch.tensor([row.reward or 0.0 for row in batch]) - 0.5,
            "old_per_token_logps": padded(
                [(row.behaviour or ())[row.prompt_length :] for row in batch], dtype=torch.float
            ),
            "num_items_in_batch": torch.tensor(1.0),
        }
        spent += timed(built._compute_loss, model, inputs)
        model.zero_grad()
    return spent


def theirs_sft(plain: Any, batches: Batches) -> float:
    model = headed(plain, "entropy", "is_top1")
    built = trainer(
        SFTTrainer,
        model=model,
        args=SimpleNamespace(loss_type="nll", average_tokens_across_devices=False),
        compute_loss_func=None,
        label_smoother=None,
        _total_train_tokens=0,
        _tp_size=1,
    )
    built.accelerator.parallelism_config = None
    spent = 0.0
    for batch in batches:
        ids = padded([row.ids for row in batch])
        mask = padded([row.mask for row in batch]).bool()
        inputs = {
            "input_ids": ids,
            "attention_mask": padded([[1] * len(row.ids) for row in batch]),
            "labels": ids.masked_fill(~mask, -100),
        }
        spent += timed(built.compute_loss, model, inputs)
        model.zero_grad()
    return spent


def bare(model: Any, batches: Batches) -> tuple[float, float]:
    """CPU-seconds of a forward pass, and of a forward and backward pass, over each episode by itself."""
    rows = [torch.tensor([row.ids]) for batch in batches for row in batch]

    def forward() -> None:
        with torch.no_grad():
            for ids in rows:
                model(ids, use_cache=False)

    def both() -> None:
        for ids in rows:
            model(ids, labels=ids, use_cache=False).loss.backward()
        model.zero_grad()

    return timed(forward), timed(both)


def measured(model: Any, rows: Sequence[Example], size: int, seed: int) -> Iterator[Line]:
    groups = [rows[start : start + size] for start in range(0, len(rows), size)]
    mixed = list(rows)
    random.Random(seed).shuffle(mixed)
    batches = [mixed[start : start + size] for start in range(0, len(mixed), size)]
    forward, both = bare(model, batches)
    mine = [ours(model, batches, "kto", prepared) for prepared in (False, True)]
    mine += [ours(model, batches, "sft", True), ours(model, groups, "rl", True)]
    theirs = (
        lambda: theirs_kto(model, batches, precomputed=False),
        lambda: theirs_kto(model, batches, precomputed=True),
        lambda: theirs_sft(model, batches),
        lambda: theirs_grpo(model, groups),
    )
    bounds = (both + 3 * forward, both + forward, both, both)
    for name, their, our, bound in zip(WANTED, theirs, mine, bounds, strict=True):
        yield Line(name, their(), our, bound)


def main() -> int:
    given = argparse.ArgumentParser()
    given.add_argument("--episodes", type=int, default=64)
    given.add_argument("--batch", type=int, default=8)
    options = given.parse_args()
    loaded = load(threads=1)
    trajectories = played(options.episodes)
    rows = [
        replace(row, desirable=bool(one.grade and one.grade.success), reward=one.grade.reward if one.grade else 0.0)
        for row, one in zip(
            examples_of(records_of(trajectories, "rl"), Renderer(loaded.tokenizer)), trajectories, strict=True
        )
    ]
    rows = [replace(row, behaviour=tuple(-1.0 if bit else 0.0 for bit in row.mask)) for row in rows]
    tokens, trained = sum(len(row.ids) for row in rows), sum(sum(row.mask) for row in rows)
    print(f"{len(rows)} episodes of {min(len(row.ids) for row in rows)} to {max(len(row.ids) for row in rows)} tokens, "
          f"{tokens} in all, {trained} written by the agent; batches of {options.batch}")  # fmt: skip
    print(f"{'tokens a CPU-second':24}{'TRL':>9}{'ours':>9}{'bound':>9}{'ours/TRL':>10}{'wanted':>9}")
    missed = 0
    for line in measured(loaded.model, rows, options.batch, seed=0):
        ratio = line.theirs / line.ours
        missed += ratio < WANTED[line.name]
        print(f"{line.name:24}{tokens / line.theirs:9.1f}{tokens / line.ours:9.1f}{tokens / line.bound:9.1f}"
              f"{ratio:10.2f}{WANTED[line.name]:9.1f}", flush=True)  # fmt: skip
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
