# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of the configuration and the program accept the same files.

Arguments: the schema, the directory of the corpus, that of the manuals and the config-verdict program. In the corpus,
good/ is accepted by both and bad/ refused by both. references/ holds what a schema cannot see: names
that lead nowhere, and texts that are not JSON in the strict sense. A file that is to be refused begins
with a comment that is the program's message, without the name of the file. Besides, every value of every good file is
replaced by others, and the two have to agree on each result.
"""

import copy
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

try:
    import jsonschema
except ImportError:
    jsonschema = None

SCHEMA, CORPUS, MANUALS, VERDICT = (os.path.abspath(path) for path in sys.argv[1:5])
del sys.argv[1:5]

# Refusals for reasons that a schema cannot express.
BEYOND = re.compile(
    r"unknown backend|not in the default chain|lies beside the store|not a pattern|HOME is not set"
    r"|there is no such recipe"
)
VALUES = [None, True, 0, 2, 1.5, "", "x", "/x", "~/x", "a=b", "A B", "none", "pullkey", "kubelet"]
VALUES += [[], ["x"], [1], [""], {}, {"x": 1}, {"type": "env"}, {"type": "x", "any": [1]}]


def descriptors():
    lines = subprocess.run([VERDICT, "--options"], capture_output=True, text=True, check=True,
                           timeout=60).stdout
    return {tuple(line.split()) for line in lines.splitlines()}


# Backends that this build does not have, whose options nobody can check.
ABSENT = {"keyring", "kubernetes", "token"} - {words[0] for words in descriptors()}


def files(kind):
    directory = os.path.join(CORPUS, kind)
    names = sorted(name for name in os.listdir(directory) if name.endswith(".json"))
    tap.check(len(names) >= 3, f"{directory} is almost empty")
    for name in names:
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            text = file.read()
        if not any(f'"type": "{backend}"' in text for backend in ABSENT):
            yield f"{kind}/{name}", text


def document(text):
    """The value of a file of the corpus, where comments have lines of their own."""
    lines = text.split("\n")
    return json.loads("\n".join("" if re.match(r"\s*//", line) else line for line in lines))


def verdicts(texts):
    """The program's answers: None where it accepts, else its message."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    environment = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}
    process = subprocess.run([VERDICT], input=lines, capture_output=True, text=True, check=False,
                             timeout=120, env=environment)
    tap.equal((process.returncode, process.stderr), (0, ""), "config-verdict")
    answers = process.stdout.splitlines()
    tap.equal(len(answers), len(texts), "answers")
    return [None if answer == "ok" else answer.removeprefix("refused ") for answer in answers]


def validator():
    if not hasattr(jsonschema, "Draft202012Validator"):
        raise tap.Skip("python3-jsonschema 4 or later is not installed")
    with open(SCHEMA, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def expected_message(text):
    first = text.split("\n", 1)[0]
    tap.check(first.startswith("// "), "the first line does not say what is expected")
    return first.removeprefix("// ")


def check_refused(kind):
    cases = list(files(kind))
    for (name, text), message in zip(cases, verdicts([text for _, text in cases])):
        tap.check(message, f"{name} is accepted")
        tap.equal(message.removeprefix("PULLKEY_CONFIG_JSON:"), expected_message(text), name)


@tap.case("the program accepts good files")
def good_program():
    cases = list(files("good"))
    for (name, _), message in zip(cases, verdicts([text for _, text in cases])):
        tap.equal(message, None, name)


@tap.case("the program accepts the examples of the manuals")
def manual_example():
    for name in ("pullkey.conf.5.scd", "pullkey-backends.7.scd"):
        with open(os.path.join(MANUALS, name), encoding="utf-8") as file:
            examples = re.findall(r"^```\n(.*?)^```$", file.read(), re.DOTALL | re.MULTILINE)
        tap.check(examples, f"{name}: there is no example")
        tap.equal(verdicts(examples), [None] * len(examples), name)


@tap.case("the program refuses bad files, with these messages")
def bad_program():
    check_refused("bad")
    check_refused("references")


@tap.case("the schema accepts good files and refuses bad ones")
def schema_corpus():
    schema = validator()
    for name, text in files("good"):
        tap.equal([error.message for error in schema.iter_errors(document(text))], [], name)
    for name, text in files("bad"):
        tap.check(not schema.is_valid(document(text)), f"{name} is valid")


def paths(value, path=()):
    yield path
    children = value.items() if isinstance(value, dict) else \
        enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from paths(child, path + (key,))


def find(value, path):
    for key in path:
        value = value[key]
    return value


def mutants(original):
    """The document with one value replaced or removed, or with one key more."""
    for path in paths(original):
        if path:
            for value in VALUES:
                mutant = copy.deepcopy(original)
                find(mutant, path[:-1])[path[-1]] = value
                yield mutant
            mutant = copy.deepcopy(original)
            del find(mutant, path[:-1])[path[-1]]
            yield mutant
        if isinstance(find(original, path), dict):
            for key in ("x-own", "other", "type", "Version"):
                mutant = copy.deepcopy(original)
                find(mutant, path)[key] = 1
                yield mutant


@tap.case("the two agree on every change of a good file")
def mutations():
    schema = validator()
    cases = [m for _, text in files("good") for m in mutants(document(text))]
    agreed = {True: 0, False: 0}
    for case, message in zip(cases, verdicts([json.dumps(case) for case in cases])):
        valid = schema.is_valid(case)
        if message and BEYOND.search(message):
            continue
        tap.equal(valid, message is None, f"{json.dumps(case)}: the program says {message}")
        agreed[valid] += 1
    tap.comment(f"{agreed[True]} accepted and {agreed[False]} refused by both")
    tap.check(min(agreed.values()) > 100, "too few cases on one side")


@tap.case("the schema has the options of the descriptors, all and no others")
def options():
    with open(SCHEMA, encoding="utf-8") as file:
        definitions = json.load(file)["$defs"]
    schema = set()
    for name, definition in definitions.items():
        if not name.startswith("backend-") or name.removeprefix("backend-") in ABSENT:
            continue
        for option, value in definition["properties"].items():
            if option in ("type", "on_error", "optional"):
                continue
            if "$ref" in value:
                value = definitions[value["$ref"].removeprefix("#/$defs/")]
            schema.add((name.removeprefix("backend-"), option, value["type"]))
    tap.equal(sorted(schema), sorted(descriptors()))


if __name__ == "__main__":
    sys.exit(tap.run())
