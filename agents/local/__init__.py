"""The local policy: a language model run in this process, with the tokens it read and drew on record.

`weights` loads and saves checkpoints, `render` turns messages into token ids and back, `attention` and
`sampler` decode many conversations at once, `logprobs` scores given tokens, and `policy` puts them behind
`envs.chat.ChatModel`. Only `weights` and `render` can be imported without torch: call `weights.load` (which
raises `MissingExtra` with the command that helps) before importing the others.
"""
