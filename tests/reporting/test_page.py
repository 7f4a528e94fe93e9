import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from emotion_lit.inference.export_contract import Contract
from emotion_lit.inference.origins import Origin
from emotion_lit.reporting.model_card import CardFacts, model_card
from emotion_lit.reporting.page import Section, Table, write_page

rendered: Any = importlib.import_module("markdown").markdown  # which TensorBoard brings
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](http://tracker.example/x.png)",
    "[click]: javascript:alert(1)",
    "\\[click](javascript:alert(1))",
    "a | b\n\n<script>alert(1)</script>",
    "&lt;script&gt;",
    "`code`\n```\n<script>alert(1)</script>\n```",
    "</td></table><svg onload=alert(1)>",
]
RUNS = re.compile(r"<(script|img|svg|a\b|iframe)|<[^>]+\son\w+=", re.IGNORECASE)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_anywhere_is_text_on_every_page(tmp_path: Path, text: str) -> None:
    table = Table([["text", "true"], [text, "Joy"], ["fine", text]], texts=True)
    write_page([Section(f"a {text}", [f"of {text}", table])], {}, tmp_path, "page")
    page = rendered((tmp_path / "page.md").read_text(), extensions=["tables", "fenced_code"])
    assert not RUNS.search(page)
    assert page.count("<tr>") == 3
    assert not RUNS.search((tmp_path / "page.html").read_text())
    base, data = Origin(f"base {text}", on_hub=False), Origin(text, on_hub=False)
    stated = Contract([text, "Joy"], False, None, 128, base.name)
    card = model_card(CardFacts(text, "adapter", stated, "lora", base, data))
    assert not RUNS.search(rendered(card.split("---", 2)[2], extensions=["tables", "fenced_code"]))
