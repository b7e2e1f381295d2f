"""The pages for people: links lead somewhere, and what a text calls a page is one. Examples of files: DocumentsTests."""
import os
import re
import subprocess

import pytest

pytestmark = pytest.mark.sluice_only("looks at files of this tree")

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def files():
    """What belongs to the tree, whether it is committed yet or not."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no repository: which files belong to the tree is not known")
    return [path for path in listed.stdout.splitlines() if os.path.isfile(f"{ROOT}/{path}")]


def read(path):
    with open(f"{ROOT}/{path}", encoding="utf-8", errors="replace") as f:
        return f.read()


def prose(text):
    """Without blocks of code and without code in a line, where brackets mean something else."""
    return re.sub(r"`[^`\n]*`", "code", re.sub(r"(?ms)^```.*?^```", "", text))


def anchors(text):
    """The names under which GitHub lets a heading be reached."""
    headings = re.findall(r"(?m)^#+ +(.*?)\s*$", re.sub(r"(?ms)^```.*?^```", "", text))
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", h).lower()).replace(" ", "-") for h in headings}


def test_links_lead_somewhere():
    links = 0
    for page in (path for path in files() if path.endswith(".md")):
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(read(page))):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            assert os.path.exists(f"{ROOT}/{path}"), f"{page}: ({target}) leads nowhere"
            if anchor:
                assert anchor in anchors(read(path)), f"{page}: ({target}): no such heading in {path}"
            links += 1
    assert links > 50


def test_the_index_names_every_page():
    index = read("docs/README.md")
    figures = read("docs/benchmarks/README.md")
    for page in (path for path in files() if re.fullmatch(r"docs/.*\.md", path) and path != "docs/README.md"):
        if page.startswith("docs/benchmarks/") and page != "docs/benchmarks/README.md":
            assert f"]({page.removeprefix('docs/benchmarks/')})" in figures, page
        else:
            assert f"]({page.removeprefix('docs/')})" in index, page


def test_pages_that_texts_name_are_there():
    """In sources, scripts, help texts and error texts."""
    named = 0
    for path in files():
        for page in re.findall(r"(?<![\w/.-])docs/(?:[\w-]+/)*[\w-]+\.(?:md|txt|png|svg)\b", read(path)):
            assert os.path.exists(f"{ROOT}/{page}"), f"{path} names {page}"
            named += 1
    assert named > 20


def test_every_page_has_one_title():
    for page in (path for path in files() if path.startswith("docs/") and path.endswith(".md")):
        text = re.sub(r"(?ms)^```.*?^```", "", read(page))
        assert text.startswith("# ") and len(re.findall(r"(?m)^# ", text)) == 1, page


def test_pages_name_drivers_and_tests_that_are_there():
    """What a page says was tried: programs of Tests/drivers, names for `make test-drivers`, tests of this folder."""
    runner = read("Tests/drivers/run.py")
    tests = "".join(read(path) for path in files() if re.fullmatch(r"Tests/blackbox/test_\w+\.py", path))
    named = 0
    for page in (path for path in files() if re.fullmatch(r"docs/using/.*\.md", path)):
        text = read(page)
        for path in re.findall(r"`(Tests/[\w/]+\.\w+)`", text):
            assert os.path.exists(f"{ROOT}/{path}"), f"{page} names {path}"
            named += 1
        for names in re.findall(r"ONLY=(?:\"([^\"]+)\"|([\w-]+))", re.sub(r"\s+", " ", text)):
            for name in (names[0] or names[1]).split():
                assert f'    "{name}": ' in runner, f"{page}: no driver {name}"
                named += 1
        for name in re.findall(r"`(test_\w+)`", text):
            assert f"def {name}(" in tests, f"{page} names {name}"
            named += 1
    assert named > 15


def test_the_lines_of_the_page_for_go_are_those_that_run():
    program = re.sub(r"(?m)^\s+", "", read("Tests/drivers/gorm.go"))
    lines = re.findall(r"(?ms)^```go\n(.*?)^```", read("docs/using/go.md"))[1].splitlines()
    for line in lines[1:]:
        assert f"\n{line.strip()}\n" in program, line
