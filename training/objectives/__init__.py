"""Pure loss functions: per-token log-probabilities in, one scalar out. No model, no loop, no state.

Every normaliser is global: it is computed over the whole optimizer batch and passed in, so that the
losses of any split into micro-batches add up to the loss of the batch, and so do their gradients.
"""
