"""The configuration and the tokenizer as texts, which a checkpoint with `tuning: full` stores."""

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from emotion_lit.model import pretrained
from emotion_lit.model.backbone import Files, quiet_transformers, set_padding
from emotion_lit.utils import caches


def bundle_files(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Files:
    """The configuration and the tokenizer as texts by file name.

    Args:
        network: The network.
        tokenizer: Its tokenizer.
    """
    with caches.temporary_folder() as folder:
        network.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return {file.name: file.read_text(encoding="utf-8") for file in sorted(Path(folder).iterdir())}


def load_bundled(files: Files) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The network, with random weights, and the tokenizer from bundled files.

    Args:
        files: The return value of `bundle_files`.

    Raises:
        UserError: They cannot be loaded.
    """
    with (
        caches.temporary_folder() as folder,
        quiet_transformers(),
        pretrained.errors_of("the configuration or the tokenizer in the checkpoint"),
    ):
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        config = pretrained.read_config(folder)
        # Some releases of transformers save no padding side.
        tokenizer = set_padding(pretrained.read_tokenizer(folder), config)
        return pretrained.make_network(config), tokenizer
