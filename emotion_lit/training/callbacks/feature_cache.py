"""The feature cache: runs the frozen part of a network once per text, and trains on its outputs."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch

from emotion_lit.data.batching import Batch
from emotion_lit.data.rows import SPLITS
from emotion_lit.data.vectors import StoredVectors
from emotion_lit.errors import UserError
from emotion_lit.model.fast_paths import can_run_apart
from emotion_lit.model.features import FrozenPart, features_key, fill_vectors
from emotion_lit.model.probe import Probe
from emotion_lit.training.callbacks.context import data_of, is_reported, model_of
from emotion_lit.training.callbacks.throughput import Throughput
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.fsdp import no_gradient
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import caches, distributed
from emotion_lit.utils.checksums import append_checksum
from emotion_lit.utils.console import progress_bar, say
from emotion_lit.utils.files import reason_of, sweep, temporary_name
from emotion_lit.utils.memory import available_memory

# Token states may take this share of the free disk, and of the free memory, in which the system caches the file.
SHARE_OF_FREE = 0.5


class FrozenFeatures(pl.Callback):
    """Replaces tokens by the outputs of a frozen encoder, or adds the outputs of frozen lower layers to them.

    The outputs of an encoder (features) are small and stay in the cache for later runs. Those of lower layers (token
    states) are deleted after the run.

    Args:
        throughput: The callback that counts the time for this.
    """

    def __init__(self, throughput: Throughput) -> None:
        self.throughput = throughput
        self._temporary: list[Path] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reads or computes the outputs of every split."""
        model, data = model_of(self, pl_module), data_of(self, trainer)
        part = frozen_part(model, str(trainer.precision))
        if part is not None and part.layers is not None and not _runs_apart(model):
            return
        if part is None or not (part.layers is None or _pays(part, trainer, model, data)):
            return
        for split in SPLITS if is_reported(trainer) else ("train", "validation"):
            outputs = self._outputs(part, trainer, model, data, split)
            kind = "features" if part.layers is None else "states"
            data.prepared(split).use_outputs(**{kind: outputs})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Updates the modification time of token states, so that other machines do not delete them as left over."""
        for file in self._temporary:
            with contextlib.suppress(OSError):
                os.utime(file)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Deletes the token states."""
        self._delete(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Deletes the token states; those of a killed run are deleted by the next run."""
        self._delete(trainer)

    def _delete(self, trainer: pl.Trainer) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        for split in SPLITS if self._temporary else ():
            data.prepared(split).use_outputs()  # Windows cannot delete a memory-mapped file
        for file in self._temporary:
            with contextlib.suppress(OSError):
                file.unlink()
        self._temporary = []

    def _outputs(
        self, part: FrozenPart, trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule, split: str
    ) -> StoredVectors | None:
        tokens = data.prepared(split).tokens
        offsets = tokens.offsets if part.layers is not None else np.arange(len(tokens.lengths) + 1)
        key = features_key(model.network_sha256, tokens.key, str(trainer.precision), part.layers)
        folder = data.settings.cache_folder / "features"
        if part.layers is None:
            kept = StoredVectors.read(folder / f"{key}.npy", offsets, part.dtype)
            if all(distributed.all_gather(kept is not None)):
                return kept
        file = self._file(trainer, folder, key, temporary=part.layers is not None)
        if file is None or not self._compute(part, trainer, model, data, split, offsets, file):
            return None
        # Only this run reads token states, so they have no checksum.
        outputs = StoredVectors.read(file, offsets, part.dtype, sealed=part.layers is None)
        with distributed.fail_together():
            if outputs is None:
                raise UserError(f"process {trainer.global_rank} cannot read {file}, which the first process wrote")
        return outputs

    def _file(self, trainer: pl.Trainer, folder: Path, key: str, temporary: bool) -> Path | None:
        """The file of the outputs, one per machine; None if a machine has no writable folder."""
        file: Path | None = None
        if trainer.local_rank == 0 and (writable := caches.writable_dir(folder)):
            file = writable / f"{key}.npy"
            file = temporary_name(file) if temporary else file  # not shared with other runs
        files = distributed.all_gather(file)[:: trainer.num_devices]  # of the first process of each machine
        if None in files:
            return None
        if temporary and file:
            self._temporary.append(file)
        return files[trainer.global_rank // trainer.num_devices]

    def _compute(
        self,
        part: FrozenPart,
        trainer: pl.Trainer,
        model: EmotionClassifier,
        data: EmotionDataModule,
        split: str,
        offsets: npt.NDArray[np.int64],
        file: Path,
    ) -> bool:
        """Computes the outputs; returns whether they could be written."""
        network = model.built
        rows, start = len(data.prepared(split)), time.perf_counter()
        loader = data.evaluation_dataloader(split, whole=True, share=(trainer.local_rank, trainer.num_devices))
        network.eval()
        try:
            with (
                distributed.node_file(
                    file,
                    trainer.local_rank,
                    create=lambda made: StoredVectors.create(made, offsets, part.width, part.dtype),
                    finish=lambda full: None if part.layers is not None else append_checksum(full),
                ) as unfinished,
                trainer.precision_plugin.forward_context(),
                no_gradient(trainer.strategy),
            ):
                batches = _with_progress(trainer, loader, f"encode {split}", rows)
                fill_vectors(part, batches, offsets, unfinished)
        except OSError as error:
            caches.warn_unusable(file.parent, f"cannot be written: {reason_of(error)}", "every epoch encodes the texts")
            return False
        finally:
            network.train()
        self.throughput.add_encoding(time.perf_counter() - start, split == "train")
        say(f"{split}: {rows:,} texts encoded once; all epochs use these features")
        return True


def frozen_part(model: EmotionClassifier, precision: str) -> FrozenPart | None:
    """The frozen part of a model that can be run once per text, if there is one.

    Args:
        model: The model.
        precision: The Trainer's precision.
    """
    network = model.built
    if not model.settings.cache_features:
        return None
    weights = next(network.parameters()).dtype  # not single precision with a Trainer's precision such as 64-true
    if model.settings.tuning == "head" and model.settings.pooling == "mean":

        def features(batch: Batch) -> torch.Tensor:
            return network.features(batch["input_ids"], batch.get("attention_mask")).unsqueeze(1)

        return FrozenPart(partial(model.memory_limit.run, features), network.feature_size, weights, None)
    if network.frozen_layers and model.settings.pooling == "cls":

        def states(batch: Batch) -> torch.Tensor:
            return network.states(batch["input_ids"], batch.get("attention_mask"))

        dtype = torch.bfloat16 if precision == "bf16-mixed" else weights
        return FrozenPart(partial(model.memory_limit.run, states), network.hidden_size, dtype, network.frozen_layers)
    return None  # the `mean` head also uses lower layers


def _runs_apart(model: EmotionClassifier) -> bool:
    return model.settings.fast_paths and can_run_apart(model.built, Probe(model.tokenizer))


def _pays(part: FrozenPart, trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule) -> bool:
    """Whether running the lower layers once saves time, and its outputs have room; prints the decision."""
    pays, reason = False, ""
    if trainer.is_global_zero:
        sweep(data.settings.cache_folder / "features")  # files of killed runs take room
        space = part.bytes(sum(len(data.prepared(split).tokens.ids) for split in SPLITS))
        free = {"disk": shutil.disk_usage(_existing(data.settings.cache_folder)).free, "memory": available_memory()}
        scarce = min(free, key=lambda kind: free[kind])
        if trainer.max_epochs == 1:
            reason = "with the others: a single epoch runs them once anyway"
        elif space > SHARE_OF_FREE * free[scarce]:
            reason = f"in every epoch: their outputs take {_gb(space)}, and {_gb(free[scarce])} of {scarce} are free"
        else:
            pays = True
            reason = f"once per text; their outputs take {_gb(space)} of disk until the run ends"
        say(f"the lower {part.layers} of {len(model.built.layers)} layers run {reason}")
    return bool(trainer.strategy.broadcast(pays))  # free space changes over time, and processes must agree


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _with_progress(trainer: pl.Trainer, loader: Any, title: str, total: int) -> Iterator[Batch]:
    with progress_bar(title, total, enabled=trainer.is_global_zero) as bar:
        for batch in loader:
            yield trainer.strategy.batch_to_device(batch)
            bar.update(min(len(batch["row"]) * trainer.num_devices, total - bar.n))
