# SPDX-License-Identifier: Apache-2.0
"""What the documents for people say of the tree is so: places, tests, links."""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

ROOT, BUILD = sys.argv.pop(1), sys.argv.pop(1)
FOLDERS = ("helper", "backends", "docs", "packaging", "tests")
THREATS = 28
# Nothing of theirs is in the tree.
MADE = re.compile(r"(^|/)(build[^/]*|__pycache__|\.[^/]+)(/|$)")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as text:
        return text.read()


def section(text, name):
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    tap.check(found, f"there is no section {name}")
    return found[1]


def table(text):
    """The cells of each row below the head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    tap.check(len(lines) > 2, "there is no table")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def paths(cell):
    return re.findall(r"`([^`]+)`", cell)


def directories():
    """Those of the second level that have files."""
    found = set()
    for folder in FOLDERS:
        for name in os.listdir(os.path.join(ROOT, folder)):
            path = f"{folder}/{name}"
            if os.path.isdir(os.path.join(ROOT, path)) and not MADE.search(path):
                found.add(path)
    return found


@tap.case("the map of ARCHITECTURE.md has every directory once, and no other")
def places():
    rows = table(section(read("docs", "ARCHITECTURE.md"), "Map"))
    named = [path for row in rows for path in paths(row[0])]
    tap.equal(sorted(named), sorted(directories()), "directories")
    for where, _, begin in rows:
        tap.check(paths(begin), f"{where}: nothing to begin with")
        for path in paths(begin):
            tap.check(os.path.isfile(os.path.join(ROOT, path)), f"{path} is not there")
            tap.check(any(path.startswith(place + "/") for place in paths(where)), f"{path}: not in {where}")


def commands():
    """Of every test of the build: its name, and the files of the tree that it runs."""
    with open(os.path.join(BUILD, "meson-info", "intro-tests.json"), encoding="utf-8") as text:
        return {test["name"]: " ".join(test["cmd"]) for test in json.load(text)}


def is_run(path):
    """Whether it is a test of the build or a module of one. A build without a library has no test
    of what needs it: then no test of its directory is known, and none is asked for.
    """
    directory, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    place = os.path.join(ROOT, "tests", directory)
    known = commands()
    words = " ".join(known.values())
    if {stem.removeprefix("test-"), stem.replace("fuzz-", "replay-")} & set(known):
        return True
    if os.path.join(place, name) in words or f"{place}/" not in words and name.endswith(".py"):
        return True
    users = [other for other in os.listdir(place) if other.endswith(".py") and other != name]
    return any(
        re.search(rf"^(?:import|from) {re.escape(stem)}\b", read("tests", directory, other), re.M)
        and os.path.join(place, other) in words
        for other in users
    )


@tap.case(f"SECURITY.md has the {THREATS} threats in order, and the tests of each are there and run")
def threats():
    rows = table(section(read("SECURITY.md"), "Threats"))
    tap.equal([row[0] for row in rows], [str(i + 1) for i in range(THREATS)], "numbers")
    for number, threat, does, tested in rows:
        tap.check(threat and does, f"row {number} is empty")
        found = re.findall(r'`([^`]+)`((?: "[^"]+",?)*)', tested)
        tap.check(found, f"row {number} names no test")
        left = re.sub(r'`[^`]+`((?: "[^"]+",?)*)', "", tested)
        tap.check(not left.strip("; "), f"row {number}: {left}")
        for path, titles in found:
            tap.check(os.path.isfile(os.path.join(ROOT, "tests", path)), f"row {number}: no {path}")
            tap.check(is_run(path), f"row {number}: {path} is no test")
            for title in re.findall(r'"([^"]+)"', titles):
                tap.check(title in read("tests", path), f"row {number}: {path} has no {title}")


@tap.case("a test that is not there, or not run, is found")
def finds():
    tap.check(not is_run("unit/unit.h"), "a header is taken for a test")
    tap.check(is_run("protocol/cases_keys.py"), "what a test imports is not seen")
    tap.check(is_run("unit/test-json.c"), "a unit test is not seen")


def documents():
    done = subprocess.run(
        ["find", ROOT, "-name", "*.md", "-not", "-path", "*/build*", "-not", "-path", "*/.git/*"],
        capture_output=True, text=True, check=True,
    )
    return done.stdout.split()


def anchors(path):
    with open(path, encoding="utf-8") as text:
        heads = re.findall(r"^#+ (.+)$", text.read(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@tap.case("links within the documents lead somewhere")
def links():
    count = 0
    for document in documents():
        with open(document, encoding="utf-8") as text:
            found = re.findall(r"(?<!`)\]\(([^)\s]+)\)", text.read())
        for link in found:
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            path = os.path.join(os.path.dirname(document), path) if path else document
            tap.check(os.path.exists(path), f"{document}: {link}")
            if anchor:
                tap.check(anchor in anchors(path), f"{document}: no {link}")
            count += 1
    tap.check(count > 0, "there are no links at all")


sys.exit(tap.run())
