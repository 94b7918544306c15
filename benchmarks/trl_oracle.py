"""Our losses and TRL 1.16's on equal tensors, in float64: loss and gradient, largest difference.

Both see one bigram model, a table of log-probabilities: TRL through its own `GRPOTrainer._compute_loss` and
`KTOTrainer._compute_loss` on trainers without a loop (their `__init__` wants a dataset and a checkpoint), we
through `training.objectives`. Dev-only: `pip install "trl==1.16.*"` (it wants `datasets`, `accelerate`), in an
environment of its own if need be. Exits with 1 when a difference exceeds 1e-6.

    python benchmarks/trl_oracle.py
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference, KTOTrainer

from mocktrial.training.objectives.kto import kto_loss, kto_reference_point, shifted_partners, weighted_logp
from mocktrial.training.objectives.policy import Standing, policy_loss, policy_normaliser
from mocktrial.training.objectives.presets import PRESETS, PolicyLoss

VOCABULARY, B, T = 11, 6, 9
BOUND = 1e-6


class Bigram(torch.nn.Module):
    """log pi(next | token) from a table; answers as a model with TRL's fused head does."""

    is_gradient_checkpointing = False

    def __init__(self, seed: int) -> None:
        super().__init__()
        make = torch.Generator().manual_seed(seed)
        table = torch.randn(VOCABULARY, VOCABULARY, dtype=torch.float64, generator=make)
        self.table = torch.nn.Parameter(table)

    def forward(self, input_ids: Tensor, labels: Tensor, **_: object) -> SimpleNamespace:
        kept = labels[:, 1:] != -100
        logps = self.table.log_softmax(dim=1)[input_ids[:, :-1], labels[:, 1:].clamp(min=0)] * kept
        return SimpleNamespace(log_probs=logps, entropy=torch.zeros_like(logps), mean_logits=torch.zeros_like(logps))


def trainer(kind: type, **given: Any) -> Any:
    """A TRL trainer with what its `_compute_loss` reads, on one process."""
    built = kind.__new__(kind)
    same = lambda value, **_: value  # noqa: E731
    alone = {"num_processes": 1, "device": "cpu", "is_main_process": True, "sync_gradients": True}
    built.accelerator = SimpleNamespace(
        autocast=nullcontext, **dict.fromkeys(("reduce", "gather", "gather_for_metrics"), same), **alone
    )
    built._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    built.aux_loss_enabled = False
    for name, value in given.items():
        object.__setattr__(built, name, value)
    return built


def compared(model: Bigram, theirs: Callable[[], Tensor], ours: Callable[[], Tensor]) -> tuple[float, float, float]:
    """TRL's loss, the difference of the losses, and the largest of the gradients."""
    losses = [theirs(), ours()]
    slopes = [torch.autograd.grad(loss, model.table)[0] for loss in losses]
    apart = (losses[0] - losses[1]).detach().abs()
    return float(losses[0].detach()), float(apart), float((slopes[0] - slopes[1]).abs().max())


def grpo(loss_type: str, config: PolicyLoss) -> tuple[float, float, float]:
    make = torch.Generator().manual_seed(1)
    model, before = Bigram(2), Bigram(2)
    with torch.no_grad():
        before.table += 0.3 * torch.randn(VOCABULARY, VOCABULARY, dtype=torch.float64, generator=make)
    ids = torch.randint(VOCABULARY, (B, 4 + T), generator=make)
    completion, tool = torch.ones(B, T), (torch.rand(B, T, generator=make) < 0.7).double()
    for row in range(B):
        completion[row, T - row :] = 0.0
    mask = completion * tool
    advantages = torch.randn(B, dtype=torch.float64, generator=make)

    def logps(of: Bigram) -> Tensor:
        return of(ids, ids).log_probs[:, -T:]

    old, reference = logps(before).detach(), logps(Bigram(3)).detach()
    built = trainer(
        GRPOTrainer,
        model=model,
        args=SimpleNamespace(report_to=[], use_bias_correction_kl=False, delta=None, steps_per_generation=1),
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level=config.level,
        beta=config.kl_weight,
        loss_type=loss_type,
        epsilon_low=config.clip_low,
        epsilon_high=config.clip_high,
        use_vllm=False,
        max_completion_length=config.constant,
        current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled=False,
    )
    inputs = {
        "prompt_ids": ids[:, :4],
        "prompt_mask": torch.ones(B, 4, dtype=torch.long),
        "completion_ids": ids[:, 4:],
        "completion_mask": completion,
        "tool_mask": tool,
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
        "num_items_in_batch": mask.sum(),
    }
    rows = Standing(advantages, torch.ones(B).double(), torch.zeros(B).double())
    whole = policy_normaliser(config, mask.sum(dim=1), rows.weight)
    return compared(
        model,
        lambda: built._compute_loss(model, inputs),
        lambda: policy_loss(config, logps(model), old, mask, rows, whole, reference=reference),
    )


def kto_trainer(model: Any, reference: Any, **given: Any) -> Any:
    """TRL's trainer with what its KTO loss reads; `given` stands in place of the defaults."""
    defaults = {
        "args": SimpleNamespace(gradient_checkpointing_kwargs=None),
        "calculate_KL": True,
        "precompute_ref_logps": False,
        "loss_type": "kto",
        "beta": 0.1,
        "desirable_weight": 1.0,
        "undesirable_weight": 1.0,
        "_total_train_tokens": 0,
        "_tp_size": 1,
    }
    return trainer(KTOTrainer, model=model, ref_model=reference, **{**defaults, **given})


def kto(weighted: bool, with_z: bool) -> tuple[float, float, float]:
    make = torch.Generator().manual_seed(5)
    model, before = Bigram(6), Bigram(6)
    with torch.no_grad():
        before.table += 0.5 * torch.randn(VOCABULARY, VOCABULARY, dtype=torch.float64, generator=make)
    draw = lambda length: torch.randint(VOCABULARY, (length,), generator=make).tolist()  # noqa: E731
    rows = [{"prompt_ids": draw(4), "completion_ids": draw(3 + row), "label": row % 3 == 0} for row in range(B)]
    for row, partner in zip(rows, shifted_partners(B), strict=True):
        row["KL_completion_ids"] = rows[partner or 0]["completion_ids"]
    batch = DataCollatorForUnpairedPreference(pad_token_id=0)(rows)
    label = batch["label"]
    weight = torch.rand(B, dtype=torch.float64, generator=make) + 0.5 if weighted else torch.ones(B).double()
    built = kto_trainer(
        model,
        before,
        calculate_KL=with_z,
        loss_type="kto" if with_z else "apo_zero_unpaired",
        desirable_weight=weight[label],
        undesirable_weight=weight[~label],
    )

    def summed(of: Bigram, kind: str = "") -> Tensor:
        ids = batch[f"{kind}input_ids"]
        return weighted_logp(of(ids, ids).log_probs, batch[f"{kind}completion_mask"][:, 1:])

    def ours() -> Tensor:
        z = torch.zeros((), dtype=torch.float64)
        if with_z:
            z = kto_reference_point(summed(model, "KL_"), summed(before, "KL_"), torch.ones(B))
        return kto_loss(summed(model), summed(before).detach(), label, weight, z, B)  # TRL divides by the rows

    return compared(model, lambda: built._compute_loss(model, batch, False), ours)


def main() -> int:
    wide = {"clip_low": 0.1, "clip_high": 0.15}
    cases = {
        "GRPO (0.2 / 0.28)": grpo("grpo", PRESETS["grpo"]),
        "GRPO with KL": grpo("grpo", PolicyLoss(kl_weight=0.04)),
        "BNPO": grpo("bnpo", PRESETS["dapo"]),
        "DAPO": grpo("dapo", PRESETS["dapo"]),
        "Dr.GRPO": grpo("dr_grpo", PRESETS["dr_grpo"]),
        "GSPO (sequence)": grpo("grpo", PRESETS["gspo"].model_copy(update=wide)),
        "GSPO, token mean": grpo("dapo", PRESETS["gspo"].model_copy(update={"aggregation": "token", **wide})),
        "KTO": kto(weighted=False, with_z=True),
        "KTO, sample weights": kto(weighted=True, with_z=True),
        "KTO without z (APO)": kto(weighted=False, with_z=False),
    }
    print(f"{'loss':22}{'TRL':>12}{'difference':>14}{'gradient':>14}")
    for name, (loss, apart, slope) in cases.items():
        print(f"{name:22}{loss:12.6f}{apart:14.1e}{slope:14.1e}")
    worst = max(max(apart, slope) for _, apart, slope in cases.values())
    print(f"largest {worst:.1e}, bound {BOUND:.0e}")
    return int(not worst <= BOUND)


if __name__ == "__main__":
    sys.exit(main())
