"""``python -m emotion_lit``."""

from emotion_lit.cli import main

if __name__ == "__main__":
    main()
