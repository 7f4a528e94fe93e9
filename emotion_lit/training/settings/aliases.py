"""Suggestions for unknown settings: names that other libraries use, and misspellings."""

import difflib
from collections.abc import Collection

# Names in transformers' Trainer, peft, Keras and scikit-learn. The first setting that the command has is suggested.
ALIASES: dict[str, tuple[str, ...]] = {
    "lr": ("model.learning_rate",),
    "encoder_lr": ("model.learning_rate",),
    "head_lr": ("model.head_learning_rate",),
    "wd": ("model.weight_decay",),
    "epochs": ("trainer.max_epochs",),
    "num_epochs": ("trainer.max_epochs",),
    "num_train_epochs": ("trainer.max_epochs",),
    "n_epochs": ("trainer.max_epochs",),
    "steps": ("trainer.max_steps",),
    "train_steps": ("trainer.max_steps",),
    "bs": ("data.batch_size",),
    "batch": ("data.batch_size",),
    "train_batch_size": ("data.batch_size",),
    "eval_batch_size": ("data.batch_size",),
    "per_device_train_batch_size": ("data.batch_size",),
    "per_device_eval_batch_size": ("data.batch_size",),
    "max_len": ("data.max_length",),
    "maxlen": ("data.max_length",),
    "max_seq_len": ("data.max_length",),
    "max_seq_length": ("data.max_length",),
    "seq_len": ("data.max_length",),
    "encoder": ("model.backbone", "backbone"),
    "base_model": ("model.backbone", "backbone"),
    "model": ("model.backbone", "ckpt_path"),
    "model_name": ("model.backbone", "ckpt_path"),
    "model_name_or_path": ("model.backbone", "ckpt_path"),
    "pretrained_model_name_or_path": ("model.backbone", "ckpt_path"),
    "checkpoint": ("ckpt_path",),
    "ckpt": ("ckpt_path",),
    "resume": ("ckpt_path",),
    "resume_from": ("ckpt_path",),
    "resume_from_checkpoint": ("ckpt_path",),
    "output": ("prediction.path", "evaluation.path", "trainer.default_root_dir"),
    "output_dir": ("prediction.path", "evaluation.path", "trainer.default_root_dir", "output"),
    "output_file": ("prediction.path", "evaluation.path", "output"),
    "out": ("prediction.path", "evaluation.path", "trainer.default_root_dir", "output"),
    "save_dir": ("prediction.path", "evaluation.path", "trainer.default_root_dir", "output"),
    "root": ("trainer.default_root_dir",),
    "log_dir": ("trainer.default_root_dir",),
    "logdir": ("trainer.default_root_dir",),
    "logging_dir": ("trainer.default_root_dir",),
    "input": ("data.predict_path", "data.dataset", "ckpt_path"),
    "input_file": ("data.predict_path", "data.dataset", "ckpt_path"),
    "file": ("data.predict_path", "data.dataset", "ckpt_path"),
    "path": ("data.predict_path", "data.dataset", "ckpt_path"),
    "texts": ("data.predict_path", "data.dataset"),
    "data": ("data.dataset",),
    "data_dir": ("data.dataset",),
    "data_path": ("data.dataset",),
    "dataset_name": ("data.dataset",),
    "train_file": ("data.dataset",),
    "validation_file": ("data.dataset",),
    "test_file": ("data.predict_path", "data.dataset"),
    "text": ("data.text_column",),
    "text_field": ("data.text_column",),
    "label": ("data.label_column",),
    "target": ("data.label_column",),
    "target_column": ("data.label_column",),
    "label_names": ("data.labels",),
    "class_names": ("data.labels",),
    "multilabel": ("data.multi_label",),
    "validation_split": ("data.val_size",),
    "validation_size": ("data.val_size",),
    "max_train_samples": ("data.train_size",),
    "workers": ("data.num_workers",),
    "dataloader_num_workers": ("data.num_workers",),
    "num_proc": ("data.num_workers",),
    "seed": ("seed_everything",),
    "random_state": ("seed_everything",),
    "random_seed": ("seed_everything",),
    "device": ("trainer.accelerator",),
    "gpu": ("trainer.devices",),
    "gpus": ("trainer.devices",),
    "n_gpu": ("trainer.devices",),
    "num_gpus": ("trainer.devices",),
    "fp16": ("trainer.precision",),
    "bf16": ("trainer.precision",),
    "amp": ("trainer.precision",),
    "dtype": ("trainer.precision",),
    "gradient_accumulation_steps": ("trainer.accumulate_grad_batches",),
    "grad_accum": ("trainer.accumulate_grad_batches",),
    "max_grad_norm": ("trainer.gradient_clip_val",),
    "clipnorm": ("trainer.gradient_clip_val",),
    "grad_clip": ("trainer.gradient_clip_val",),
    "logging_steps": ("trainer.log_every_n_steps",),
    "eval_steps": ("trainer.val_check_interval",),
    "warmup_ratio": ("model.warmup",),
    "warmup_steps": ("model.warmup",),
    "scheduler": ("model.schedule",),
    "lr_scheduler": ("model.schedule",),
    "lr_scheduler_type": ("model.schedule",),
    "label_smoothing_factor": ("model.label_smoothing",),
    "class_weight": ("model.class_weights",),
    "freeze": ("model.tuning",),
    "freeze_encoder": ("model.tuning",),
    "method": ("model.tuning",),
    "mode": ("model.tuning",),
    "r": ("model.lora.rank",),
    "lora_r": ("model.lora.rank",),
    "lora_rank": ("model.lora.rank",),
    "lora_alpha": ("model.lora.alpha",),
    "lora_dropout": ("model.lora.dropout",),
    "target_modules": ("model.lora.targets",),
    "early_stopping_patience": ("early_stopping.patience",),
    "metric": ("checkpoint.monitor",),
    "metric_for_best_model": ("checkpoint.monitor",),
    "save_total_limit": ("checkpoint.save_top_k",),
    "save_steps": ("last.every_minutes",),
    "run_name": ("name",),
    "experiment": ("name",),
    "experiment_name": ("name",),
    "force": ("prediction.overwrite", "overwrite"),
    "hub_model_id": ("push_to_hub",),
}
# The smallest similarity of names, from 0 to 1, for `difflib.get_close_matches`.
ALIKE = 0.75


def nearest(word: str, known: Collection[str]) -> str | None:
    """The setting that was probably meant by an unknown name.

    Args:
        word: The name that was typed, without leading dashes.
        known: The dotted keys of all settings.

    Returns:
        The key of the setting; None if none is similar.
    """
    key = word.replace("-", "_")
    block, _, last = key.rpartition(".")
    of_block = [one for one in known if block and one.startswith(f"{block}.")]
    for names in (of_block, known):
        if meant := next((one for one in ALIASES.get(last, ()) if one in names), None):
            return meant
        if same := [one for one in names if one.rsplit(".", 1)[-1] == last]:
            return min(same, key=lambda one: (one.count("."), len(one)))
    by_last = {one.rsplit(".", 1)[-1]: one for one in sorted(known, reverse=True)}
    for name, options in ((key, known), (last, by_last)):
        if near := difflib.get_close_matches(name, sorted(options), n=1, cutoff=ALIKE):
            return near[0] if options is known else by_last[near[0]]
    return None
