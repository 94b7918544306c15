"""Pure loss functions: per-token log-probabilities in, one scalar out. No model, no loop, no state.

Every normaliser is global: it is computed over the whole optimizer batch and passed in, so that the
losses of any split into micro-batches add up to the loss of the batch, and so do their gradients.
A weight of 0 is a row removed, of 2 a row twice; a token with mask 0 has no gradient.
Start at `sft`, `kto`, `paired`, `real`, or for RL at `presets` and `policy`.
"""
