"""The commands that are no stage of a Trainer, one file each."""
