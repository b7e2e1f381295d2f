#!/usr/bin/env python3
"""Writes the manual pages into docs/man: of the programs from their own help, of the file from docs/configuration.md.

    scripts/man.py [--check] BUILD_FOLDER [SLUICEBENCH]

BUILD_FOLDER holds sluice and sluicectl. Without SLUICEBENCH its page stays as it is. --check writes nothing, and ends with status 1 when a
page is not what it would write.
"""
import json
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))


def escaped(text):
    """Text as roff wants it: no escape, no request, and hyphens that are minus signs when copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\n".join("\\&" + line if line.startswith((".", "\\(aq")) else line for line in text.split("\n"))


def bold(text):
    return "\\fB" + escaped(text) + "\\fR"


def italic(text):
    return "\\fI" + escaped(text) + "\\fR"


def inline(markdown):
    """A line of Markdown: code and emphasis as bold, links as their text."""
    markdown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", markdown)
    result = ""
    for part in re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", markdown):
        if part.startswith("`"):
            result += bold(part[1:-1])
        elif part.startswith("**"):
            result += bold(part[2:-2])
        else:
            result += escaped(part)
    return result


def paragraphs(text):
    """Blocks of text; one whose lines are indented stays as it is."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.split("\n")
        if all(line.startswith("    ") for line in lines):
            blocks.append(".nf\n.RS 4\n" + "\n".join(escaped(line[4:]) for line in lines) + "\n.RE\n.fi")
        else:
            blocks.append(inline(" ".join(line.strip() for line in lines)))
    return "\n.PP\n".join(blocks)


def option_names(argument):
    names = [("-" if name["kind"] == "short" else "-" if name["kind"] == "longWithSingleDash" else "--") + name["name"] for name in argument.get("names", [])]
    return sorted(names, key=len)


def listed(command):
    """A .TP for each argument that is shown."""
    text = ""
    for argument in command.get("arguments", []):
        if not argument.get("shouldDisplay", True):
            continue
        value = argument.get("valueName", "")
        if argument["kind"] == "positional":
            head = italic(value)
        else:
            head = ", ".join(bold(name) for name in option_names(argument))
            if argument["kind"] == "option":
                head += " " + italic(value)
        body = " ".join(filter(None, [argument.get("abstract", ""), argument.get("discussion", "")]))
        choices = argument.get("allValues") or []
        if choices and not all(choice in body for choice in choices):
            body += f" ({', '.join(choices)})"
        text += f".TP\n{head}\n{inline(body) or chr(92) + '&'}\n"
    return text


def synopsis(command, name):
    parts = [bold(name)]
    for argument in command.get("arguments", []):
        if not argument.get("shouldDisplay", True) or argument.get("preferredName", {}).get("name") in ("help", "version"):
            continue
        value = italic(argument.get("valueName", ""))
        if argument["kind"] == "positional":
            part = value + ("..." if argument.get("isRepeating") else "")
        else:
            names = option_names(argument)
            part = bold(names[-1]) + (" " + value if argument["kind"] == "option" else "")
        parts.append(f"[{part}]" if argument.get("isOptional") else part)
    return " ".join(parts)


def heading(name, section, version, title):
    return (
        f'.\\" Written by `make docs` (scripts/man.py).\n.TH {name.upper()} {section} "" "Sluice {version}" "Sluice"\n'
        f".SH NAME\n{escaped(name)} \\- {escaped(title)}\n"
    )


def plain(abstract):
    abstract = abstract.rstrip(".")
    return abstract[:1].lower() + abstract[1:]


def program(name, tool, version, files="", see=""):
    command = tool["command"]
    text = heading(name, 1, version, plain(command["abstract"])) + ".SH SYNOPSIS\n"
    children = [c for c in command.get("subcommands", []) if c.get("shouldDisplay", True) and c["commandName"] != "help"]
    if command.get("usage"):
        text += ".nf\n" + "\n".join(bold(line.strip()) for line in re.sub(r"\\\n\s*", "", command["usage"]).strip().split("\n")) + "\n.fi\n"
    elif children:
        text += f"{bold(name)} {italic('command')} [{italic('options')}]\n"
    else:
        text += synopsis(command, name) + "\n"
    text += f".SH DESCRIPTION\n{inline(command['abstract'])}\n"
    if command.get("discussion"):
        text += ".PP\n" + paragraphs(command["discussion"]) + "\n"
    options = listed(command)
    if options:
        text += ".SH OPTIONS\n" + options
    if children:
        text += ".SH COMMANDS\n"
        for child in children:
            text += f".SS {escaped(name + ' ' + child['commandName'])}\n{synopsis(child, name + ' ' + child['commandName'])}\n.PP\n{inline(child['abstract'])}\n"
            if child.get("discussion"):
                text += ".PP\n" + paragraphs(child["discussion"]) + "\n"
            text += listed({"arguments": [a for a in child.get("arguments", []) if a.get("preferredName", {}).get("name") not in ("help", "version")]})
            for grandchild in child.get("subcommands", []):
                if grandchild["commandName"] == "help":
                    continue
                full = f"{name} {child['commandName']} {grandchild['commandName']}"
                text += f".PP\n{synopsis(grandchild, full)}\n.PP\n{inline(grandchild['abstract'])}\n"
                if grandchild.get("discussion"):
                    text += ".PP\n" + paragraphs(grandchild["discussion"]) + "\n"
                text += listed({"arguments": [a for a in grandchild.get("arguments", []) if a.get("preferredName", {}).get("name") not in ("help", "version")]})
    return text + files + f".SH SEE ALSO\n{see}\n"


def settings(version):
    """sluice.ini(5) from docs/configuration.md."""
    with open(f"{ROOT}/docs/configuration.md") as f:
        lines = f.read().split("\n")
    text = heading("sluice.ini", 5, version, "configuration of the connection pooler Sluice") + ".SH DESCRIPTION\n"
    columns, paragraph = [], []

    def flush():
        nonlocal text
        if paragraph:
            text += inline(" ".join(paragraph)) + "\n.PP\n"
            paragraph.clear()

    for line in lines[1:]:
        if line.startswith("Written by `make docs`") or line.startswith("sample file."):
            continue
        if line.startswith("## "):
            flush()
            text += f".SH {escaped(line[3:].upper())}\n"
            columns = []
        elif line.startswith("|---"):
            continue
        elif line.startswith("|"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not columns:
                columns = cells
                continue
            row = dict(zip(columns, cells))
            facts = [row["value"], f"default: {row['default']}"] + ([] if row.get("live", "yes") == "yes" else ["read at the start only"])
            text += f".TP\n{bold(cells[0].strip('`'))}\n{inline(row['meaning'])} ({inline('; '.join(facts))})\n"
        elif line.startswith("```"):
            continue
        elif line.strip():
            paragraph.append(line.strip())
        else:
            flush()
    flush()
    # The columns of the page are sentences here.
    live = r'The column "live" tells whether a reload (SIGHUP) changes the setting; the others are read at the start only.'
    assert escaped(live) in text, live
    text = text.replace(escaped(live), "A reload (SIGHUP) changes every setting that is not read at the start only.")
    text = text.replace("\n.PP\n.SH", "\n.SH").replace("\n.PP\n.TP", "\n.TP")
    text += (
        ".SH EXAMPLE\n.nf\n[databases]\nshop = host=127.0.0.1 port=5432 dbname=shop\n\n[sluice]\nlisten_addr = 127.0.0.1\nlisten_port = 6543\n"
        "auth_type = scram\\-sha\\-256\nauth_file = userlist.txt\npool_mode = transaction\n.fi\n"
    )
    return text + ".SH SEE ALSO\n\\fBsluice\\fR(1), \\fBsluicectl\\fR(1)\n"


def help_of(path):
    return json.loads(subprocess.run([path, "--experimental-dump-help"], capture_output=True, text=True, check=True).stdout)


def main():
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    folder = arguments[0]
    answer = subprocess.run([f"{folder}/sluice", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"Sluice (\S+)", answer).group(1)
    files = (
        ".SH FILES\n.TP\n\\fI/etc/sluice/sluice.ini\\fR\nThe configuration of the service; see \\fBsluice.ini\\fR(5).\n"
        ".TP\n\\fI/etc/sluice/userlist.txt\\fR\nUsers and their secrets, where \\fBauth_file\\fR names it.\n"
        ".SH SIGNALS\n.TP\n\\fBSIGHUP\\fR\nReads the files again and opens the log file again.\n"
        ".TP\n\\fBSIGTERM\\fR\nLets clients finish and leave.\n.TP\n\\fBSIGINT\\fR\nEnds when running transactions are done.\n"
        ".TP\n\\fBSIGQUIT\\fR\nEnds at once.\n"
    )
    pages = {
        "sluice.1": program("sluice", help_of(f"{folder}/sluice"), version, files, "\\fBsluice.ini\\fR(5), \\fBsluicectl\\fR(1), \\fBsluicebench\\fR(1)"),
        "sluicectl.1": program("sluicectl", help_of(f"{folder}/sluicectl"), version, "", "\\fBsluice\\fR(1), \\fBsluice.ini\\fR(5)"),
        "sluice.ini.5": settings(version),
    }
    if len(arguments) > 1:
        pages["sluicebench.1"] = program("sluicebench", help_of(arguments[1]), version, "", "\\fBsluice\\fR(1)")
    stale = []
    os.makedirs(f"{ROOT}/docs/man", exist_ok=True)
    for name, text in pages.items():
        path = f"{ROOT}/docs/man/{name}"
        old = open(path).read() if os.path.exists(path) else None
        if old == text:
            continue
        if "--check" in sys.argv:
            stale.append(name)
        else:
            with open(path, "w") as f:
                f.write(text)
    if stale:
        sys.exit(f"docs/man: {', '.join(stale)} not up to date: run `make docs`")


main()
