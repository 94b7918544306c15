"""Training a local policy on graded trajectories: SFT, weighted KTO and GRPO behind one loop.

Start at `run`. `objectives/` are pure functions on tensors; `demo` is the whole mission at a small size.
"""
