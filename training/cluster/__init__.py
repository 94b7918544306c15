"""Training on many devices and machines: sharded learners, rollout workers, and the weights between them.

`learner` shares a step out over processes (FSDP2, under torchrun or Ray), `weight_files` carries weights to those who
play, `farm` keeps Ray workers busy and plays again what a dead one owed, `players` are the workers, `ray_run` puts
them together. No loss and no loop of its own: `training.engine`, `trainer` and `online` are reused.
"""
