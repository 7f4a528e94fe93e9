"""`predict` on a cluster: the settings of LightningCLI, without its Trainer."""

from pathlib import Path
from typing import Any

from emotion_lit.cluster.job import Job
from emotion_lit.errors import UserError
from emotion_lit.training.callbacks.prediction_writer import PredictionWriter
from emotion_lit.training.settings.lightning_cli import EmotionCLI
from emotion_lit.training.settings.unused_settings import typed_keys

# Settings of the Trainer that a cluster uses too.
USED = ("trainer.precision", "trainer.accelerator", "trainer.enable_progress_bar", "trainer.default_root_dir")


class EmotionProgram(EmotionCLI):
    """Runs a command; `predict` with `prediction.cluster` has its work done by Ray."""

    @property
    def _is_on_cluster(self) -> bool:
        return self.subcommand == "predict" and self.config.predict.prediction.cluster is not None

    def after_instantiate_classes(self) -> None:
        """Loads nothing for a cluster, whose processes load the model."""
        if not self._is_on_cluster:
            super().after_instantiate_classes()

    def _run_subcommand(self, subcommand: str) -> None:
        if not self._is_on_cluster:
            super()._run_subcommand(subcommand)
            return
        from emotion_lit.cluster.ray_data import label

        label(self._job())

    def _job(self) -> Job:
        """What is labeled, from the objects that the settings have made."""
        unused = [key for key in typed_keys(self.typed) if key.startswith("trainer.") and key not in USED]
        if unused:
            raise UserError(f"{unused[0]} has no effect with prediction.cluster; leave it out")
        config = self.config.predict
        writer = next(one for one in _callbacks(self) if isinstance(one, PredictionWriter))
        return Job(
            checkpoint=str(Path(config.ckpt_path).absolute()),
            is_export=self.source is not None and self.source.exported is not None,
            data=self.datamodule.settings,
            model=self.model.settings,
            path=writer.path,
            cluster=str(writer.cluster),
            engine=writer.engine,
            quantize=writer.quantize,
            top_k=writer.top_k,
            threshold=writer.threshold,
            probabilities=writer.probabilities,
            overwrite=writer.overwrite,
            precision=str(self.trainer.precision),
            accelerator=str(config.trainer.accelerator),
            actors=writer.actors,
            dashboard=writer.dashboard,
            try_bf16=config.trainer.precision is None,
        )


def _callbacks(cli: EmotionCLI) -> list[Any]:
    return list(cli.trainer.callbacks)  # type: ignore[attr-defined]
