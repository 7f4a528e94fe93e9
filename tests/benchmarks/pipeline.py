"""The peer: transformers' pipeline, from a file of texts to a file of labels."""

import argparse
import csv
import json
import sys
from pathlib import Path

import torch
from transformers import pipeline

from emotion_lit.utils.memory import peak_memory_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="A folder with a transformers model and its tokenizer.")
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    classify = pipeline("text-classification", options.model, dtype=torch.float32)
    texts = options.texts.read_text(encoding="utf-8").splitlines()
    with options.labels.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "score"])
        found = classify(texts, batch_size=options.batch_size, truncation=True, max_length=128)
        writer.writerows([text, one["label"], one["score"]] for text, one in zip(texts, found, strict=True))
    sys.stdout.write(json.dumps({"peak_memory_mb": peak_memory_mb()}) + "\n")


if __name__ == "__main__":
    main()
