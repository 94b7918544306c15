"""Runs, tasks, episodes and their trajectories."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_KEY = ("run_id", "task_hash", "agent", "trial", "seed", "config_hash")


def upgrade() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("config_hash", sa.String, nullable=False),
        sa.Column("config", sa.Text, nullable=False),
    )
    op.create_table(
        "task",
        sa.Column("hash", sa.String, primary_key=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("task_id", "domain", "family")),
        sa.Column("difficulty", sa.Integer, nullable=False),
        sa.Column("split", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "episode",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("run.id"), nullable=False),
        sa.Column("task_hash", sa.String, sa.ForeignKey("task.hash"), nullable=False),
        sa.Column("task_id", sa.String, nullable=False),
        sa.Column("agent", sa.String, nullable=False),
        sa.Column("trial", sa.Integer, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("config_hash", "outcome", "end")),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("reward", sa.Float),
        sa.Column("success", sa.Boolean),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("hidden", "under_ask", "over_ask", "guess")),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("recorded_at", sa.String, nullable=False),
        sa.UniqueConstraint(*_KEY, name="one_result_an_episode"),
    )
    op.create_table(
        "trajectory",
        sa.Column("episode_id", sa.Integer, sa.ForeignKey("episode.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )


def downgrade() -> None:
    for name in ("trajectory", "episode", "task", "run"):
        op.drop_table(name)
