"""A training run as a function: settings in, scores and files out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from emotion_lit.errors import UserError
from emotion_lit.training import launchers
from emotion_lit.training.callbacks.best_checkpoint import best_checkpoint
from emotion_lit.training.settings.lightning_cli import EmotionCLI
from emotion_lit.training.settings.mapping import nested_settings
from emotion_lit.utils import console, failures, library_logging, nonfatal, platforms, process_state, signals


@dataclass(frozen=True)
class RunResult:
    """The result of a training run.

    Attributes:
        run_folder: The folder of the run, ``logs/<name>/version_N``; None if nothing is written
            (``trainer.barebones`` or ``trainer.fast_dev_run``).
        best_checkpoint: The checkpoint with the best validation score, which `load` and `predict` take.
        report: The file ``report.json``.
        before: The scores on the test split before fine-tuning: ``accuracy``, ``macro_f1``, ``loss``, ``ece``,
            ``per_class`` and more, as in ``report.json``.
        after: The same scores of the best checkpoint.
        metric: The name of the metric that decides which checkpoint is the best one (``checkpoint.monitor``).
        value: Its best value on the validation split.

        With several processes, only the first one has ``before``, ``after`` and ``report``.
    """

    run_folder: Path | None
    best_checkpoint: Path | None
    report: Path | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    metric: str | None
    value: float | None

    @classmethod
    def of(cls, cli: EmotionCLI) -> "RunResult":
        """Collects the result of a run that has ended.

        Args:
            cli: The run.
        """
        trainer = cli.trainer
        keeper = best_checkpoint(trainer)
        writes = bool(trainer.loggers) and not trainer.fast_dev_run  # type: ignore[attr-defined]
        folder = Path(trainer.log_dir or "") if writes else None  # of the first process
        file = folder / "report.json" if folder and trainer.is_global_zero else None
        report = json.loads(file.read_text(encoding="utf-8")) if file and file.is_file() else {}
        score = keeper.best_model_score if keeper else None
        return cls(
            run_folder=folder,
            best_checkpoint=keeper.best_file if keeper else None,
            report=file if report else None,
            before=report.get("before"),
            after=report.get("after"),
            metric=keeper.monitor if keeper else None,
            value=None if score is None else float(score),
        )


def fit(
    settings: str | Path | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    callbacks: Sequence[pl.Callback] = (),
) -> RunResult:
    """Trains a model and reports its scores before and after, as `python -m emotion_lit fit` does.

    ``fit("quickstart", {"trainer.max_epochs": 1}).after["macro_f1"]`` trains a recipe for one epoch.

    The settings, their defaults, links and checks are those of the command line. The state of the process is restored:
    environment variables, warning filters, log levels, signal handlers, threads and random states. What cannot be
    restored is done only by the command line: on Linux it also tunes the allocator, which makes a step of a small
    encoder on a CPU up to 20% faster.

    Args:
        settings: A mapping as in a YAML configuration, the path of one, or the name of a recipe.
        overrides: Settings that override those; nested, or by dotted key.
        callbacks: Lightning callbacks besides those in ``trainer.callbacks``. They are not part of the run's
            ``config.yaml``.

    Returns:
        The scores and the files of the run.

    Raises:
        UserError: A setting, the data or the machine does not allow the run, in one line.
        KeyboardInterrupt: It was interrupted; `fit` with `{"ckpt_path": RUN_FOLDER}` resumes it.
    """
    if not isinstance(callbacks, Sequence) or any(not isinstance(one, pl.Callback) for one in callbacks):
        raise UserError(f"callbacks are a list of Lightning's callbacks, not {callbacks!r:.80}")
    with _as_function():
        start_run()
        library_logging.quiet_libraries()
        values = nested_settings(settings, overrides)
        identity = json.dumps(values, sort_keys=True, default=str)  # by which a requeued job finds its run
        return RunResult.of(EmotionCLI({"subcommand": "fit", "fit": values}, ["fit", identity], callbacks))


def score_test_split(ckpt_path: Path, overrides: Mapping[str, Any] | None = None) -> None:
    """Scores a checkpoint on the test split, as `python -m emotion_lit test` does.

    Args:
        ckpt_path: The checkpoint.
        overrides: Settings that override those of the checkpoint; nested, or by dotted key.

    Raises:
        UserError: The checkpoint cannot be read, or a setting does not fit it.
        KeyboardInterrupt: It was interrupted.
    """
    with _as_function():
        start_run()
        library_logging.quiet_libraries()
        values = nested_settings({"ckpt_path": str(ckpt_path)}, overrides)
        EmotionCLI({"subcommand": "test", "test": values}, ["test"])


def start_run() -> None:
    """Clears the messages of an earlier run, and disables the output of all processes but the first."""
    console.start_log()
    nonfatal.clear()
    failures.run_folder = None
    if launchers.is_orphan():  # it would run the command a second time
        raise SystemExit(0)
    if launchers.is_child():
        platforms.end_with_parent()
    if launchers.launched_rank() > 0:
        console.silence()


@contextmanager
def _as_function() -> Iterator[None]:
    """Restores the state of the process, and raises only errors that a caller can handle.

    Raises:
        UserError: An error that a user can fix.
        KeyboardInterrupt: The run was interrupted.
    """
    with process_state.restored(), signals.handled():
        try:
            yield
        except UserError:
            raise
        except signals.Stop as stop:
            if stop.signal == signals.INTERRUPT:
                raise KeyboardInterrupt from None
            raise
        except SystemExit as error:  # Lightning exits like this at Ctrl-C
            if isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise
        except Exception as error:
            if line := failures.explain(error):
                raise UserError(line) from error
            raise
        finally:
            console.enable_bars(True)
