# SPDX-License-Identifier: Apache-2.0
"""Sums the results of several `meson test` runs; the last line is "N passed, N failed".

    summary.py NAME=BUILD_DIRECTORY...

Each case of a TAP test counts. Meson's JUnit file holds the cases but not that a program crashed,
ran out of time or stopped early, and testlog.json the reverse; so both are read. A directory
without results counts as one failure, and with CI=true so does every skipped case. The exit status
is 0 if something passed and nothing failed.
"""

import json
import os
import sys
import xml.etree.ElementTree as ElementTree

GOOD = {"OK", "EXPECTEDFAIL"}


class Count:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def line(self):
        text = f"{self.passed} passed, {len(self.failed)} failed"
        return f"{text}, {len(self.skipped)} skipped" if self.skipped else text


def tap_suites(path):
    """The TAP tests of a JUnit file: name of the test -> list of (case, outcome)."""
    suites = {}
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        cases = []
        for case in suite.iter("testcase"):
            outcome = "passed"
            for child in case:
                if child.tag in ("failure", "error"):
                    outcome = "failed"
                elif child.tag == "skipped":
                    outcome = "skipped"
            cases.append((case.get("name"), outcome))
        suites[suite.get("name").partition(".")[2]] = cases  # "project.test"
    return suites


def add_results(count, name, directory):
    logs = os.path.join(directory, "meson-logs")
    with open(os.path.join(logs, "testlog.json"), encoding="utf-8") as file:
        tests = [json.loads(line) for line in file if line.strip()]
    suites = tap_suites(os.path.join(logs, "testlog.junit.xml"))
    for test in tests:
        title = test["name"]
        cases = suites.get(title, [])
        for case, outcome in cases:
            if outcome == "passed":
                count.passed += 1
            else:
                getattr(count, outcome).append(f"{name}: {title}: {case}")
        bad = [case for case, outcome in cases if outcome == "failed"]
        if test["result"] == "SKIP" and not cases:
            count.skipped.append(f"{name}: {title}")
        elif test["result"] not in GOOD | {"SKIP"} and not bad:
            count.failed.append(f"{name}: {title}: {test['result']}, status {test['returncode']}")
        elif test["result"] in GOOD and not cases:
            count.passed += 1
    return len(tests)


def summarise(arguments, strict):
    total = Count()
    for argument in arguments:
        name, _, directory = argument.partition("=")
        count = Count()
        try:
            tests = add_results(count, name, directory)
        except (OSError, ValueError, ElementTree.ParseError) as error:
            tests = 0
            print(f"{name}: no results ({error})")
        if tests == 0:
            count.failed.append(f"{name}: was not built, or ran no test")
        if strict:
            count.failed += [f"{skipped} (skipped)" for skipped in count.skipped]
            count.skipped = []
        print(f"{name} has {count.line()}")
        total.passed += count.passed
        total.failed += count.failed
        total.skipped += count.skipped
    for skipped in total.skipped:
        print(f"skipped: {skipped}")
    for failed in total.failed:
        print(f"failed: {failed}")
    print(total.line())
    return 0 if total.passed and not total.failed else 1


def main():
    return summarise(sys.argv[1:], os.environ.get("CI") == "true")


if __name__ == "__main__":
    sys.exit(main())
