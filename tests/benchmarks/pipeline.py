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
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--by-length", action="store_true", help="Sort the texts by length, for less padding.")
    parser.add_argument("--without-cudnn", action="store_true", help="Attention without cuDNN's plans.")
    options = parser.parse_args()
    torch.backends.cuda.enable_cudnn_sdp(not options.without_cudnn)
    classify = pipeline("text-classification", options.model, dtype=getattr(torch, options.dtype))
    texts = options.texts.read_text(encoding="utf-8").splitlines()
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row])) if options.by_length else range(len(texts))
    with options.labels.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "score"])
        in_order = [texts[row] for row in order]
        scored = classify(in_order, batch_size=options.batch_size, truncation=True, max_length=128)
        found = dict(zip(order, scored, strict=True))
        writer.writerows([text, found[row]["label"], found[row]["score"]] for row, text in enumerate(texts))
    sys.stdout.write(json.dumps({"peak_memory_mb": peak_memory_mb()}) + "\n")


if __name__ == "__main__":
    main()
