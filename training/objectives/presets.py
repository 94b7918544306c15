"""Which parts an RL loss is made of, as one frozen config, and the compositions that papers have named.

No tensors here, so that a config file can be read without torch. The parts are in `advantages`, `levels`,
`gates` and `aggregation`, `policy` puts them together. Numbers marked "our reading" are not given by the
paper or were not found (METHODS section 5). A combination that means nothing raises `ValidationError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from mocktrial.training.keys import Table

PresetName: TypeAlias = Literal[
    "grpo", "dr_grpo", "dapo", "gspo", "rloo", "reinforce", "search_r1", "dhpo", "espo", "adagrpo", "real"
]  # fmt: skip


RewardName: TypeAlias = Literal["rubric", "success"]


class PolicyLoss(Table):
    """An RL loss: advantage x ratio level x gate x aggregation, and what may be added to it; or REAL."""

    reward: RewardName = "rubric"
    """What an episode earns: its rubric's reward, or 1 where it succeeds and 0 where not."""
    loss: Literal["composed", "real"] = "composed"
    """With "real", rewards are labels and the four parts that follow are not used."""
    advantage: Literal["reinforce", "rloo", "grpo", "dr_grpo"] = "grpo"
    """What an episode's reward is compared with."""
    level: Literal["token", "sequence", "entropy"] = "token"
    """Over what a log-ratio is averaged."""
    gate: Literal["none", "clip", "mixed", "adaptive"] = "clip"
    """Which ratios still count."""
    aggregation: Literal["token", "sequence", "constant"] = "sequence"
    """What the mean is over; "constant": rows, each its sum by `constant`."""
    clip_low: float = Field(0.2, gt=0, lt=1)
    """The ratio counts from 1 - clip_low ..."""
    clip_high: float = Field(0.28, gt=0)
    """... to 1 + clip_high."""
    sequence_low: float = Field(3e-4, gt=0, lt=1)
    """With gate "mixed", the width of the sequence's ratio, below 1."""
    sequence_high: float = Field(4e-4, gt=0)
    """With gate "mixed", the same, above 1."""
    mix: float | Literal["entropy"] = 0.5
    """With gate "mixed", the token ratio's share, or by the token's "entropy"."""
    entropy_groups: int = Field(4, ge=1)
    """Level "entropy": groups a row."""
    growth: float = Field(1.0, ge=0)
    """With gate "adaptive", widths times 1 + growth * entropy (nats)."""
    constant: int = Field(1024, ge=1)
    """Aggregation "constant": tokens that a row's sum is divided by."""
    kl_weight: float = Field(0.0, ge=0)
    """Of k3 against the reference; 0 = none."""
    eliminate: bool = True
    """Groups of equal rewards leave numerator, denominator and KL."""
    eps: float = Field(1e-6, gt=0)
    """Rewards that differ by no more are equal; also added to the deviation."""
    admission: bool = False
    """AdaGRPO: the RL term only for groups that are hard and not all equal."""
    hard_below: float = 0.5
    """AdaGRPO: a group of a lower mean reward is hard."""
    nll_weight: float = Field(0.0, ge=0)
    """AdaGRPO: of the likelihood of rows with reward >= right_from."""
    right_from: float = 1.0
    """Such a reward is right: imitated by AdaGRPO, a positive of REAL."""
    temperature: float = Field(0.5, gt=0)
    """REAL: t."""
    ask_penalty: float = Field(0.0, ge=0)
    """Off the reward where a needed fact was hidden and nobody was asked."""
    finish_penalty: float = Field(0.0, ge=0)
    """Off the reward where the agent never finished."""
    needless_penalty: float = Field(0.0, ge=0)
    """Off the reward for each question that was needless."""
    shaping: float = Field(0.0, ge=0)
    """Equal rewards above 0 in a group: off by so much for its longest rollout."""

    @model_validator(mode="after")
    def _meaningful(self) -> PolicyLoss:
        if self.gate == "mixed" and self.level != "token":
            raise ValueError('gate "mixed" has both levels in it: leave level = "token"')
        if self.mix != "entropy" and not 0.0 <= self.mix <= 1.0:
            raise ValueError("mix is a share in [0, 1]")
        if self.loss == "real" and (self.kl_weight or self.nll_weight or self.admission):
            raise ValueError('loss "real" has no KL, likelihood or admission: leave them out')
        return self

    @property
    def needs_entropy(self) -> bool:
        """Whether the loss asks for the entropy of each token's distribution."""
        return self.level == "entropy" or self.gate == "adaptive" or (self.gate == "mixed" and self.mix == "entropy")


PRESETS: Mapping[PresetName, PolicyLoss] = MappingProxyType(
    {
        # arXiv 2402.03300 eq. 3, with the widths of SynthAgent (METHODS section 1)
        "grpo": PolicyLoss(),
        # arXiv 2503.20783: neither the deviation nor the length divides
        "dr_grpo": PolicyLoss(advantage="dr_grpo", aggregation="constant", clip_high=0.2),
        # arXiv 2503.14476 eq. 8 and 11: clip-higher, token mean, dynamic sampling
        "dapo": PolicyLoss(aggregation="token"),
        # arXiv 2507.18071 eq. 5 to 7; widths of its section 5.1
        "gspo": PolicyLoss(level="sequence", clip_low=3e-4, clip_high=4e-4),
        # arXiv 2402.14740 section 2.3: on-policy, so the ratio is there for what was sampled earlier
        "rloo": PolicyLoss(advantage="rloo", gate="none", aggregation="token"),
        # Williams 1992 with the mean as baseline; rows of a group without variance still teach
        "reinforce": PolicyLoss(advantage="reinforce", gate="none", aggregation="token", eliminate=False),
        # arXiv 2602.19526: REINFORCE, and 0.1 off for never searching (for us: asking) and never answering
        "search_r1": PolicyLoss(
            advantage="reinforce",
            gate="none",
            aggregation="token",
            eliminate=False,
            ask_penalty=0.1,
            finish_penalty=0.1,
        ),
        # arXiv 2601.05607 [N]: each ratio in its own region; the widths are those of DAPO and GSPO (our reading)
        "dhpo": PolicyLoss(gate="mixed"),
        # arXiv 2512.00499, schematic [N]: group count, growth and widths are our reading
        "espo": PolicyLoss(level="entropy", gate="adaptive"),
        # arXiv 2606.08480, schematic [N]: what is hard, what is imitated and the weight 1 are our reading
        "adagrpo": PolicyLoss(eliminate=False, admission=True, nll_weight=1.0),
        # arXiv 2602.05630: groups of one label have no gradient and still count
        "real": PolicyLoss(loss="real", eliminate=False),
    }
)
