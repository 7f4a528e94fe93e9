"""A corpus whose splits are tokenized; rows are read, and splits are tokenized, when they are first needed."""

from functools import cached_property

from transformers import PreTrainedTokenizerBase

from emotion_lit.data.corpus import Corpus, load_corpus
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.tokenized_dataset import TokenizedDataset, tokenize_split
from emotion_lit.errors import UserError


class TokenizedCorpus:
    """The rows of a dataset, and the splits of it that have been tokenized.

    Args:
        settings: The settings of the rows and their tokens; those of batches are not used.
        evaluated: The only split to read, for a model that was trained on other data, see `load_corpus`.

    Attributes:
        datasets: The tokenized rows, by split.
    """

    def __init__(self, settings: DataSettings, evaluated: str | None = None) -> None:
        self.settings = settings
        self.evaluated = evaluated
        self.datasets: dict[str, TokenizedDataset] = {}

    @cached_property
    def corpus(self) -> Corpus:
        """The rows after filtering, deduplication and sampling."""
        return load_corpus(self.settings, self.evaluated)

    @property
    def label_names(self) -> list[str]:
        """The names of the classes, in the order of their ids. The rows are read for them, unless `classes` is set."""
        return self.settings.classes or list(self.corpus.label_set.names)

    def tokenize(self, split: str, tokenizer: PreTrainedTokenizerBase) -> None:
        """Tokenizes the rows of a split.

        Args:
            split: ``train``, ``validation`` or ``test``.
            tokenizer: The tokenizer of the backbone.

        Raises:
            UserError: The dataset has no such split, or no row of it is left.
        """
        self.datasets[split] = tokenize_split(self.corpus, split, tuple(self.label_names), tokenizer)

    def prepared(self, split: str) -> TokenizedDataset:
        """The tokenized rows of a split.

        Args:
            split: ``train``, ``validation`` or ``test``.

        Raises:
            UserError: They have not been tokenized.
        """
        if split not in self.datasets:
            raise UserError(
                f"the {split} rows are not prepared yet; call data.setup('fit') first, or give the data to a Trainer"
            )
        return self.datasets[split]
