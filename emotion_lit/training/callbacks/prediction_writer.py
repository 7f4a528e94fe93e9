"""Streams predictions to a file, in the order of the input."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl

from emotion_lit import __version__
from emotion_lit.data.settings import OnBadRow
from emotion_lit.errors import UserError
from emotion_lit.inference.engines import TORCH
from emotion_lit.inference.output_columns import TableBuilder
from emotion_lit.inference.output_state import VERSION
from emotion_lit.inference.prediction_output import PredictionOutput
from emotion_lit.inference.shard import Shard
from emotion_lit.inference.write_errors import STDOUT
from emotion_lit.training.callbacks.context import data_of, model_of
from emotion_lit.utils import distributed, signals
from emotion_lit.utils.paths import expanded


class PredictionWriter(pl.Callback):
    """Writes a row for each text: `id`, `text`, `label`, `score`, `note`, and a probability `p_<label>` for each class.

    Args:
        path: A `.csv`, `.jsonl` or `.parquet` file, or - for JSON lines on stdout. The file grows in a hidden folder
            next to it; after an interruption, the same command resumes where it stopped. Several processes share the
            work.
        engine: The engine that computes: `torch`, `onnx` (ONNX Runtime), or `auto`, which tries both on some of the
            texts, also in half precision, and takes the fastest that agrees with `torch` in single precision.
        quantize: `int8` for 8-bit matrix products in ONNX Runtime, if at least 99% of the labels stay the same.
        top_k: The number of most probable classes to write; the second has the columns `label_2` and `score_2`.
        threshold: A probability below which the label is `uncertain`.
        probabilities: Whether to write the columns `p_<label>`.
        overwrite: Whether to replace an existing output, and to delete the rows of an interrupted run with other
            settings.
        on_error: What to do with a row that cannot be read: `stop`, or `skip` it into `<path>.rejects.jsonl`.
        escape_formulas: Whether to put a `'` in a `.csv` before texts that a spreadsheet would run as a formula: they
            begin with `=`, `+`, `-`, `@`, a tab or a line break. Readers of the file have to remove it.
        shard: Label one of several parts of the input, such as `3/16` for the third of sixteen, into a file of its own,
            `labels-00003-of-00016.csv` for `labels.csv`. `join` puts them together.
        cluster: Label with Ray, into a folder of Parquet parts: `ray` starts it on this machine, `auto` joins the
            cluster that this machine is part of, and an address such as `10.0.0.1:6379` another one.
        actors: The number of processes of the cluster that load the model. By default one for each GPU, or one for each
            machine, with all of its processors.
        dashboard: Whether Ray that is started on this machine has its dashboard.
    """

    def __init__(
        self,
        path: str = STDOUT,
        engine: Literal["torch", "onnx", "auto"] = "torch",
        quantize: Literal["none", "int8"] = "none",
        top_k: int = 1,
        threshold: float = 0.0,
        probabilities: bool = True,
        overwrite: bool = False,
        on_error: OnBadRow = "stop",
        escape_formulas: bool = False,
        shard: str | None = None,
        cluster: str | None = None,
        actors: int | None = None,
        dashboard: bool = False,
    ) -> None:
        if top_k < 1:
            raise UserError(f"prediction.top_k is {top_k}; it should be at least 1")
        if not 0 <= threshold <= 1:
            raise UserError(f"prediction.threshold is {threshold}; it should be from 0 to 1")
        if escape_formulas and Path(path).suffix != ".csv":
            raise UserError(f"prediction.escape_formulas is for .csv alone; prediction.path is {path}")
        if quantize == "int8" and engine == "torch":
            raise UserError("prediction.quantize int8 needs --prediction.engine onnx, or auto")
        if shard is not None and path == STDOUT:
            raise UserError("prediction.shard needs a file for its rows; give --prediction.path")
        if cluster is not None and shard is not None:
            raise UserError("prediction.shard cannot be combined with prediction.cluster; leave one of them out")
        if actors is not None and actors < 1:
            raise UserError(f"prediction.actors is {actors}; it should be at least 1")
        self.path = expanded(path)
        self.engine = engine
        self.quantize = quantize
        self.top_k = top_k
        self.threshold = threshold
        self.probabilities = probabilities
        self.overwrite = overwrite
        self.on_error = on_error
        self.escape_formulas = escape_formulas
        self.shard = Shard.parse(shard) if shard is not None else None
        self.cluster = cluster
        self.actors = actors
        self.dashboard = dashboard
        self._output: PredictionOutput | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Opens the output, so that a path that cannot be written is found before the work starts.

        Raises:
            UserError: It cannot be written, or its suffix is not known.
        """
        if stage != "predict":
            return
        model, data = model_of(self, pl_module), data_of(self, trainer)
        settings = data.settings
        with distributed.fail_together():
            kept = tuple(settings.keep_columns)
            builder = TableBuilder(model.decision, self.top_k, self.threshold, self.probabilities, kept)
            if self.shard:
                data.stream.keep_shard(self.shard.number, self.shard.count)
        output = PredictionOutput(self.path, data.stream, builder, settings.id_column, self.escape_formulas, self.shard)
        made_from = {
            VERSION: __version__,
            "the checkpoint": [
                model.weights_sha256,
                model.labels,
                model.settings.temperature,
                model.settings.threshold,
            ],
            "the input": data.stream.digest,
            "a setting of the data": [
                settings.max_length,
                settings.tokens_per_batch,
                settings.text_column,
                settings.id_column,
            ],
            "trainer.precision": str(trainer.precision),
            "prediction.engine": [self.engine, self.quantize],
            "a setting of the prediction": [
                builder.empty().column_names,
                self.threshold,
                self.on_error,
                self.escape_formulas,
            ],
        }
        output.open(made_from, self.overwrite, settings.predict_path or STDOUT)
        self._output = output

    def decide(self, choose: Callable[[str | None], str]) -> str:
        """The engine that computes, on all processes.

        Args:
            choose: Chooses it, on the first process, given the engine of the earlier run that this one resumes.
        """
        return self._output.choose_engine(choose) if self._output else choose(None)

    def fall_back_to_torch(self) -> None:
        """Makes a later run begin with PyTorch, after an engine has failed."""
        if self._output is not None:
            self._output.remember_engine(TORCH)

    def on_predict_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lets each process work by itself."""
        if self._output is not None:
            self._output.start()
        if distributed.world_size() > 1:
            signals.take_over()  # Lightning's own handler waits for the first process, which may have had no signal

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Adds the predictions for a batch."""
        if self._output is not None:
            self._output.add(batch, outputs)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Completes the output."""
        if self._output is not None:
            limited = bool(trainer.fast_dev_run) or trainer.limit_predict_batches != 1.0  # type: ignore[attr-defined]
            self._output.finish(limited)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Keeps what was written, and tells the other processes.

        Raises:
            FailedElsewhere: Another one has failed too, and reports its error.
        """
        if self._output is not None:
            self._output.stop(exception)
