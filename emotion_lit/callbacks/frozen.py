"""Runs a frozen encoder once per text, so that epochs train on what it said."""

from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl

from emotion_lit.console import progress_bar, say
from emotion_lit.data.batching import Batch
from emotion_lit.data.datamodule import EmotionDataModule
from emotion_lit.data.sources import SPLITS
from emotion_lit.model.classifier import EmotionClassifier
from emotion_lit.model.features import compute_features, features_key, read_features


class FrozenFeatures(pl.Callback):
    """Puts the outputs of a frozen encoder in the place of the tokens, from the cache where they are there."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reads or computes the features of every split."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(pl_module, EmotionClassifier)
        assert isinstance(data, EmotionDataModule)
        if not pl_module.cache_features or pl_module.tuning != "head" or pl_module.pooling != "mean":
            return
        for split in SPLITS:
            self._prepare(trainer, pl_module, data, split)

    def _prepare(self, trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule, split: str) -> None:
        dataset = data.prepared(split)
        key = features_key(model.network_sha256, dataset.tokens.key, str(trainer.precision))
        file = data.cache_dir / "features" / f"{key}.npy"
        features = read_features(file)
        if features is None and trainer.is_global_zero:
            assert model.network is not None
            model.network.eval()
            with trainer.precision_plugin.forward_context():
                batches = _with_progress(trainer, data.ordered_dataloader(split), f"encode {split}", len(dataset))
                features = compute_features(model.network, batches, len(dataset), file)
            model.network.train()
            say(f"{split}: {len(dataset):,} texts encoded once; the epochs train on that")
        trainer.strategy.barrier()
        dataset.features = features if features is not None else read_features(file)


def _with_progress(trainer: pl.Trainer, loader: Any, title: str, total: int) -> Iterator[Batch]:
    with progress_bar(title, total) as bar:
        for batch in loader:
            yield trainer.strategy.batch_to_device(batch)
            bar.update(len(batch["row"]))
