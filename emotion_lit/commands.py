"""What `python -m emotion_lit` can do, for a help page that needs no PyTorch."""

COMMANDS = {
    "fit": "Train a model, and report its score before and after.",
    "validate": "Score a checkpoint on the validation split.",
    "test": "Score a checkpoint on the test split.",
    "predict": "Label texts with a checkpoint.",
    "export": "Write a checkpoint for transformers, peft or ONNX Runtime.",
    "report": "Make the report of a run again, or compare several runs.",
}
# What asks for the help page of the program.
HELP: tuple[list[str], ...] = ([], ["-h"], ["--help"])


def overview() -> str:
    """The help page of the program."""
    commands = "\n".join(f"  {name:<10}{description}" for name, description in COMMANDS.items())
    return f"""usage: python -m emotion_lit COMMAND [--config FILE] [--KEY VALUE ...]

Fine-tune BERT, with or without LoRA, to recognise emotions in text, and label text in bulk.

commands:
{commands}

  COMMAND --help            all settings of a command, with their meaning and defaults
  COMMAND --print_config    the configuration that would be used, as YAML

examples:
  python -m emotion_lit fit --config configs/quickstart.yaml
  python -m emotion_lit predict --ckpt_path best.ckpt --data.predict_path texts.txt --prediction.path labels.csv
"""
