"""What an episode cost; suggestions that were shown, and which were clicked.

Ledgers from before versions were kept may have some of it already.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    there = sa.inspect(op.get_bind())
    if "cost" not in {column["name"] for column in there.get_columns("episode")}:
        op.add_column("episode", sa.Column("cost", sa.Float))
    if not there.has_table("exposure"):
        op.create_table(
            "exposure",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("run_id", sa.Integer, sa.ForeignKey("run.id"), nullable=False, index=True),
            *(sa.Column(name, sa.Integer, nullable=False) for name in ("set_number", "place", "user", "session")),
            sa.Column("turn", sa.Integer, nullable=False),
            sa.Column("query", sa.Text, nullable=False),
            sa.Column("suggestion", sa.Text, nullable=False),
            sa.Column("tool", sa.String, nullable=False),
            sa.Column("arguments", sa.Text, nullable=False),
        )
    if not there.has_table("click"):
        op.create_table(
            "click",
            sa.Column("exposure_id", sa.Integer, sa.ForeignKey("exposure.id", ondelete="CASCADE"), primary_key=True),
        )


def downgrade() -> None:
    op.drop_table("click")
    op.drop_table("exposure")
    op.drop_column("episode", "cost")
