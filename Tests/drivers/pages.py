"""Blocks of code of the pages in docs/using, so that what a page tells people to write is what is tried."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def block(page, language, number=0):
    """The text of a page's block of code in that language."""
    with open(f"{ROOT}/docs/using/{page}") as f:
        return re.findall(rf"(?ms)^```{language}\n(.*?)^```", f.read())[number]
