#!/usr/bin/env python3
"""Takes the pictures of docs/images from a real run: a throwaway PostgreSQL, the pooler, and clients that keep it busy for a minute.

    scripts/pictures.py                    with .build/release/sluice and sluicectl

page.png and page-phone.png are what Chromium shows of the page, top.svg is what a terminal shows of `sluicectl top`.
"""
import argparse
import html
import os
import re
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(os.path.join(ROOT, "Tests/blackbox"))

import wire  # noqa: E402
from browser import Browser  # noqa: E402
from pooler import Kind, Pooler  # noqa: E402
from postgres import Postgres, password_of  # noqa: E402
from processes import RunFolder, free_port, wait_until  # noqa: E402
from terminal import Screen  # noqa: E402

IMAGES = os.path.join(ROOT, "docs/images")
COLUMNS, ROWS = 100, 30
SECONDS = 62

# Colours 0 to 7 of a terminal with a dark ground, as letters and as a ground for letters.
PALETTE = ["#24292f", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", "#c9d1d9"]
GROUNDS = ["#24292f", "#8e1519", "#1a6b2c", "#7d5a00", "#1c4a85", "#5b3a8c", "#0f5f66", "#57606a"]
GROUND, TEXT = "#0d1117", "#c9d1d9"


class Load:
    """Clients with queries of some milliseconds, in three pools; one of them sits in a transaction for a while."""

    PLAN = [("shop", 14, 0.004, 0.02), ("blog", 6, 0.002, 0.05), ("reports", 4, 0.15, 0.1)]

    def __init__(self, pooler):
        self.ending = threading.Event()
        self.threads = []
        for database, clients, work, pause in self.PLAN:
            for n in range(clients):
                self.threads.append(threading.Thread(target=self.run, args=(pooler, database, n, work, pause)))

    def run(self, pooler, database, number, work, pause):
        client = pooler.connect(database=database, parameters={"application_name": f"{database}-web-{number + 1}"})
        round_ = 0
        while not self.ending.is_set():
            round_ += 1
            if database == "shop" and number == 0 and round_ % 40 == 0:
                client.query("begin")
                client.query("select pg_sleep(0.01)")
                self.ending.wait(1.5)
                client.query("commit")
            client.query(f"select pg_sleep({work})")
            if number == 1 and round_ % 50 == 0:
                client.query("insert into taken values (1)")
            self.ending.wait(pause * (0.3 + (round_ * 7 + number * 13) % 10 / 10))
        client.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()


def colour(code, extended=None):
    if extended is not None:
        number = int(extended)
        if number < 16:
            return PALETTE[number % 8]
        if number >= 232:
            level = 8 + (number - 232) * 10
            return f"#{level:02x}{level:02x}{level:02x}"
        number -= 16
        return "#" + "".join(f"{(0, 95, 135, 175, 215, 255)[v]:02x}" for v in (number // 36, number // 6 % 6, number % 6))
    return PALETTE[code % 10 if code % 10 < 8 else 7]


def runs(line):
    """(text, foreground, ground, bold) of one line of the screen with its escape sequences."""
    style = {"fore": TEXT, "back": None, "bold": False, "reverse": False, "dim": False}
    for part in re.split(r"(\x1b\[[\d;]*m)", line):
        sequence = re.fullmatch(r"\x1b\[([\d;]*)m", part)
        if not sequence:
            if part:
                fore, back = style["fore"], style["back"]
                if style["reverse"]:
                    fore, back = back or GROUND, fore
                yield part, "#8b949e" if style["dim"] and fore == TEXT else fore, back, style["bold"]
            continue
        codes = [int(c or 0) for c in sequence[1].split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                style.update(fore=TEXT, back=None, bold=False, reverse=False, dim=False)
            elif code in (1, 22):
                style["bold"], style["dim"] = code == 1, False
            elif code == 2:
                style["dim"] = True
            elif code in (7, 27):
                style["reverse"] = code == 7
            elif code in (38, 48) and codes[:1] == [5]:
                style["fore" if code == 38 else "back"] = colour(0, codes[1])
                codes = codes[2:]
            elif code in (39, 49):
                style["fore" if code == 39 else "back"] = TEXT if code == 39 else None
            elif 30 <= code <= 37 or 90 <= code <= 97:
                style["fore"] = colour(code)
            elif 40 <= code <= 47 or 100 <= code <= 107:
                style["back"] = GROUNDS[code % 10]


def svg(screen):
    """The screen as a picture: letters stay letters."""
    width, height, left, top = 8.4, 18, 14, 14
    lines = screen.rstrip("\n").split("\n")
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS * width + 2 * left:.0f} {len(lines) * height + 2 * top:.0f}" '
        'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14">',
        "<title>sluicectl top</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>',
    ]
    for row, line in enumerate(lines):
        column = 0
        for text, fore, back, bold in runs(line):
            x, y = left + column * width, top + row * height
            if back:
                out.append(f'<rect x="{x:.1f}" y="{y:.0f}" width="{len(text) * width:.1f}" height="{height}" fill="{back}"/>')
            if text.strip():
                weight = ' font-weight="bold"' if bold else ""
                out.append(
                    f'<text x="{x:.1f}" y="{y + 13:.0f}" fill="{fore}"{weight} xml:space="preserve" textLength="{len(text) * width:.1f}" '
                    f'lengthAdjust="spacingAndGlyphs">{html.escape(text, quote=False)}</text>')
            column += len(text)
    return "\n".join(out) + "\n</svg>\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(ROOT, ".build/release"), help="the folder with sluice and sluicectl")
    options = parser.parse_args()
    os.makedirs(IMAGES, exist_ok=True)
    folder, page = RunFolder(), free_port()
    postgres = Postgres(folder)
    try:
        postgres.start()
        pooler = Pooler(
            Kind(f"{options.bin}/sluice", "sluice", 2), folder, postgres, databases={"shop": {"pool_size": 4}, "blog": {"pool_size": 4}, "reports": {"pool_size": 2}},
            admin_users="app", metrics_listen=f"127.0.0.1:{page}", max_client_conn=5000)
        try:
            with Load(pooler), tempfile.TemporaryDirectory(prefix="sluice-top.") as place:
                secret = {"PGPASSWORD": password_of("app"), "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
                top = Screen(place, f"{options.bin}/sluicectl top -n 1 -h 127.0.0.1 -p {pooler.port} -U app", COLUMNS, ROWS, env=secret)
                with Browser() as browser:
                    browser.view(1280, 800)
                    browser.open(f"http://127.0.0.1:{page}/")
                    time.sleep(SECONDS)
                    browser.screenshot(f"{IMAGES}/page.png")
                    browser.view(390, 844, dark=True)
                    browser.evaluate("draw()")
                    browser.screenshot(f"{IMAGES}/page-phone.png")
                # somebody waits, and the screen says why
                wait_until(lambda: "held by client" in top.text(), lambda: f"a client that waits:\n{top.text()}")
                with open(f"{IMAGES}/top.svg", "w") as f:
                    f.write(svg(top.text(with_colours=True)))
                top.keys("q")
                top.close()
        finally:
            pooler.stop()
    finally:
        postgres.stop()
        folder.close()


if __name__ == "__main__":
    main()
