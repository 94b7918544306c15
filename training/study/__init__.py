"""Studies: which way of training does better, on worlds that nothing was trained on, as one resumable command.

`config` is the study as its TOML file says it, `plan` the jobs that it makes, in order, `work` does one of them,
`run` all of them that are not done, `result` reads what came of it, `show` prints it.
"""
