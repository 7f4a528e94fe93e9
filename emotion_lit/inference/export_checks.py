"""Checks that an export gives the labels and probabilities of its checkpoint in every program that it is for."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.tokenization import tokenize
from emotion_lit.errors import UserError
from emotion_lit.inference.agreement import SAME_NUMBERS, Agreement, compare, reference_probabilities
from emotion_lit.inference.export_consumers import TOGETHER, Consumer, consumers, onnx_runtime
from emotion_lit.inference.export_contract import Contract
from emotion_lit.inference.export_files import INT8_FILE, Format
from emotion_lit.inference.export_loader import Export
from emotion_lit.inference.predictor import Predictor
from emotion_lit.inference.sample_texts import sample_texts
from emotion_lit.model.decision import Decision
from emotion_lit.model.factory import TrainedNetwork
from emotion_lit.model.input_limits import is_readable
from emotion_lit.model.pretrained import reason
from emotion_lit.utils.console import say

# Rows that 8-bit weights are compared on: 32 together, and fewer one by one, which takes longer.
INT8_ROWS, INT8_ROWS_ALONE = 2000, 500
# Edge cases: empty texts, blanks, punctuation, emojis, other scripts.
SHORT = (
    *("", " ", "\n", ".", "a", "?!", "a\0b", "so\tsad", "line\nbreak", "\u200b", "\ufeffmark", "e\u0301te\u0301"),
    *("😀", "😭😭😭", "👩‍👩‍👧‍👦", "🏳️‍🌈 pride", "I ❤️ it", "😂" * 40, ":-) <3", "@you #sad http://t.co/x", "A" * 400),
    *(
        "今日はとても嬉しい",
        "我很生气",
        "나는 슬프다",
        "мне страшно",
        "أنا سعيد",
        "אני עצוב",
        "मैं खुश हूँ",
        "ฉันกลัว",
        "Σε αγαπώ",
    ),
    *("[CLS] [SEP] [PAD] [MASK]", "<s></s><pad>", "&amp; <br> \\n", "naïve café", "ﬁne", "no " * 3),
)
LENGTHS = (2, 5, 13, 30, 31, 32, 33, 60, 100, 126, 127, 128, 129, 200, 254, 400, 509, 510, 511, 512, 513, 600)
CHECKED_TEXTS = 64


def checked_texts() -> list[str]:
    """Texts of all lengths up to 600 words, in several scripts."""
    words = " ".join(sample_texts(60)).split()
    long = [" ".join(words[place : place + length]) for place, length in enumerate(LENGTHS)]
    return [*SHORT, *long, *sample_texts(CHECKED_TEXTS - len(SHORT) - len(long))]


def check_export(model: TrainedNetwork, folder: Path, format: Format, stated: Contract) -> str:
    """Uses an export with every program that it is for, and compares the probabilities.

    Args:
        model: The exported model.
        folder: The export.
        format: Its format.
        stated: Its contract.

    Returns:
        The result, for the model card.

    Raises:
        UserError: It does not load again, or gives other labels or probabilities.
    """
    config = model.network.encoder.config
    texts = [text for text in checked_texts() if is_readable(model.tokenizer(text)["input_ids"], config)]
    expected = probabilities_alone(model, texts, stated.max_length)
    backbone = model.settings.backbone
    try:
        ways = list(consumers(folder, format, stated, backbone))
        export = Export.read(folder).load(backbone if format == "adapter" else None)
    except Exception as error:  # the libraries have many kinds
        name = type(model.network.encoder).__name__
        raise UserError(
            f"{name} cannot be exported as {format}, which does not load again: {reason(error.__cause__ or error)}"
        ) from error
    off = 0.0
    for name, consumer in ways:
        for size in (1, TOGETHER):
            off = max(off, _compared(model, texts, expected, consumer, size, name))
    predictor = Predictor(export.engine, export.tokenizer, export.decision, export.max_length)
    readable = [place for place, text in enumerate(texts) if text.strip()]
    loaded = predictor.probabilities([texts[place] for place in readable])
    off = max(off, _checked(model, [texts[place] for place in readable], expected[readable], loaded, "load"))
    names = " and ".join(name for name, _ in ways)
    return (
        f"checked on {len(texts)} texts of 0 to 600 words, one by one and {TOGETHER} together, with {names}: labels "
        f"are the checkpoint's, and probabilities differ by at most {off:.1e}"
    )


def probabilities_alone(model: TrainedNetwork, texts: Sequence[str], max_length: int) -> Tensor:
    """The probabilities of each text in a batch of one, without padding.

    Args:
        model: The model.
        texts: The texts.
        max_length: Their maximum length, in tokens.

    Returns:
        ``[texts, classes]``.
    """
    tokens = tokenize(texts, model.tokenizer, max_length)
    padding = Padding.of(model.tokenizer)
    return reference_probabilities(model, [pad(tokens, [row], padding) for row in range(len(texts))])


def int8_agreement(model: TrainedNetwork, folder: Path, stated: Contract) -> Agreement:
    """The agreement of the file with 8-bit weights, in batches or one text at a time, whichever is lower.

    Args:
        model: The exported model.
        folder: The export.
        stated: Its contract.
    """
    texts = sample_texts(INT8_ROWS)
    tokens = tokenize(texts, model.tokenizer, stated.max_length)
    padding = Padding.of(model.tokenizer)
    order = tokens.lengths.argsort(kind="stable")
    rows_of = [order[start : start + TOGETHER].tolist() for start in range(0, len(texts), TOGETHER)]
    batches = [pad(tokens, rows, padding) for rows in rows_of]
    expected = torch.empty(len(texts), len(model.decision.labels))
    expected[order] = reference_probabilities(model, batches)
    consumer = onnx_runtime(folder, INT8_FILE, stated)
    found = []
    for size, rows in ((TOGETHER, INT8_ROWS), (1, INT8_ROWS_ALONE)):
        found.append(compare(expected[:rows], consumer(texts[:rows], size), model.decision))
    return min(found, key=lambda one: (one.is_enough, one.at_least))


def _compared(
    model: TrainedNetwork, texts: Sequence[str], expected: Tensor, consumer: Consumer, size: int, name: str
) -> float:
    try:
        found = consumer(texts, size)
    except Exception as error:
        raise UserError(
            f"{name} cannot use what was written, {size} at a time: {reason(error)}; nothing was kept. Please report "
            "it, with the backbone's name"
        ) from error
    return _checked(model, texts, expected, found, f"{name}, {size} at a time")


def _checked(model: TrainedNetwork, texts: Sequence[str], expected: Tensor, found: Tensor, name: str) -> float:
    """The largest difference of probabilities.

    Raises:
        UserError: It is too much.
    """
    off = (expected - found).abs().nan_to_num(nan=torch.inf).amax(dim=1)
    worst = int(off.argmax())
    if not float(off[worst]) <= SAME_NUMBERS:
        raise UserError(
            f"the export differs from the checkpoint: with {name}, probabilities of the text "
            f"{texts[worst][:40]!r} are off by up to {float(off[worst]):.2g}; nothing was kept. Please report it, with "
            "the backbone's name"
        )
    agreement = compare(expected, found, model.decision)
    if agreement.differing and not _ties(model.decision, expected, found):
        raise UserError(
            f"the export differs from the checkpoint: with {name}, {agreement.differing} of "
            f"{len(texts)} texts get other labels; nothing was kept. Please report it, with the backbone's name"
        )
    return float(off[worst])


def _ties(decision: Decision, expected: Tensor, found: Tensor) -> bool:
    """Whether all rows with other labels are ties, in the precision of the comparison."""
    rows = (decision.predicted(expected) != decision.predicted(found)).any(dim=1)
    if decision.multi_label:
        margins = (expected - torch.tensor(decision.thresholds)).abs().amin(dim=1)
    else:
        best = expected.topk(2, dim=1).values
        margins = best[:, 0] - best[:, 1]
    return bool((margins[rows] <= 2 * SAME_NUMBERS).all())


def print_int8_left_out(agreement: Agreement) -> None:
    """Prints why there is no file with 8-bit weights.

    Args:
        agreement: Its agreement with PyTorch.
    """
    say(f"{INT8_FILE} is not written: {agreement}; {Agreement.required()}")
