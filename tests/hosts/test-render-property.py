# SPDX-License-Identifier: Apache-2.0
"""Random hosts.toml files are rendered, and containerd's own parser sees what it saw before, with
Authorization on exactly the hosts that have a helper.

usage: test-render-property.py RENDER-VERDICT

HOSTS_CASES is how many files (else as many as there is time for, a few thousand), HOSTS_SEED where
they begin. A failure names the seed of its file; HOSTS_CASES=1 HOSTS_SEED=N shows that one.
"""

import json
import os
import posixpath
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from base64 import b64encode
from collections import Counter
from urllib.parse import urlsplit

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import peers
from hosts import PEERS
from hosts_toml import GOOD, PLAIN, make_case
from registry import find_program
from tap import case, check, comment, equal, run

PROGRAM = os.path.abspath(sys.argv.pop(1))
SEED = int(os.environ.get("HOSTS_SEED") or 20261125)
CASES = int(os.environ.get("HOSTS_CASES") or 0)
SECONDS, BATCH = 25, 1000
VALUES = 20000
ONE = CASES == 1
HEADER = re.compile(r"(?:^|\.)[\[\s\"']*header\b", re.M | re.I)
HELPER = re.compile(r"[a-z0-9][a-z0-9_-]*\Z")
# Names of tables, and keys, with an escape in them: containerd 1.7 does not resolve it, so that no
# host of such a file gets a header.
ESCAPED = re.compile(r"^[^=#\n]*\\", re.M)

# Why a file is not rendered.
REFUSALS = {
    "no TOML": r"this is not TOML|this is not UTF-8|NUL in a key",
    "containerd does not read it": r"as it is, containerd ignores|it ignores the whole file",
    "two spellings of a key": r"in another case",
    "a path of several lines": r"a path has a line end in it",
    "no capability is left": r"no other capabilities than",
    "no place for the header": r"a header cannot be put into it",
}

# Why a host has no header.
PROBLEMS = {
    "credHelper": r"credHelper must be the NAME",
    "assumeLifetime": r"assumeLifetime must be",
    "allowInsecure": r"allowInsecure must be",
    "server": r"server must be in lower case",
    "no server": r"of _default needs a server",
    "its URL": r"its URL is not one",
    "insecure": r"over http:// or with skip_verify",
    "a header of its own": r"has an Authorization header as well",
    "an escape": r"has a backslash in its name",
}

# Hosts below [host], or with dotted keys: containerd 1.7 sees them, 2.x does not.
LOOSE = re.compile(r"""^[ \t]*(\[[ \t]*["']?host["']?[ \t]*\]|["']?host["']?[ \t]*\.)""", re.M)


# A capability of 2.2, as it mostly stands in a file.
REFERRERS = re.compile(r"""(["'])referrers\1(\s*,)?""", re.I)


class Finding(Exception):
    """What must not be."""


def require(condition, what):
    if not condition:
        raise Finding(what)


def kind_of(message, kinds):
    for kind, pattern in kinds.items():
        if re.search(pattern, message):
            return kind
    raise Finding(f"of no known kind: {message}")


def make_certificates(directory):
    """Certificates in DIRECTORY/pool: what files may name, from where `certs` leads there."""
    pool = f"{directory}/pool"
    os.mkdir(pool)
    openssl = find_program("openssl")
    for name in ("ca1", "ca2", "a", "b"):
        new = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        new += [
            "-subj",
            f"/CN={name}",
            "-out",
            f"{pool}/{name}.crt",
            "-keyout",
            f"{pool}/{name}.key",
        ]
        subprocess.run([openssl, "req", *new], capture_output=True, check=True)
    with open(f"{pool}/both.pem", "w", encoding="ascii") as both:
        for name in ("a.crt", "a.key"):
            with open(f"{pool}/{name}", encoding="ascii") as part:
                both.write(part.read())
    near = [
        "certs/ca1.crt",
        "./certs//ca2.crt",
        "certs/../certs/ca1.crt",
        "nowhere/../certs/ca2.crt",
    ]
    return {
        "ca": [*near, f"{pool}/ca1.crt", f"{pool}/../pool/ca2.crt", "../../ca2.crt"],
        "pairs": [("certs/a.crt", "certs/a.key"), (f"{pool}/b.crt", "./certs/b.key")],
        "both": ["certs/both.pem", f"{pool}/both.pem", "certs/../certs/both.pem"],
    }


def make_value(chance):
    """A header: mostly what helpers say, and anything else that TOML has words for."""
    if chance.random() < 0.7:
        user = "".join(chance.choice("ab$:\u00fc \\\"'<>\n") for _ in range(chance.randint(0, 9)))
        secret = chance.randbytes(
            chance.choice([0, 1, 20, 300, 4000] if chance.random() < 0.1 else [9])
        )
        return "Basic " + b64encode(user.encode() + b":" + secret).decode()
    parts = [
        '"',
        "'",
        "\n",
        "\r",
        '"""',
        "'''",
        "\\",
        "\\u0041",
        "]",
        "[host.x]",
        "#",
        "\t",
        "\x01",
    ]
    parts += [
        "\x7f",
        "\u00e9",
        "\U0001f511",
        "\u2028",
        "a",
        "Basic ",
        '"\n[host."https://evil"]\n',
        "=",
    ]
    return "".join(chance.choice(parts) for _ in range(chance.randint(1, 8)))


def ask_ours(lines, where):
    """The answers of render-verdict to questions, which are lines."""
    done = subprocess.run(
        [PROGRAM], input="\n".join(lines) + "\n", capture_output=True, encoding="utf-8", check=False
    )
    check(done.returncode == 0, f"render-verdict: {done.returncode} {done.stderr}, {where}")
    answers = done.stdout.splitlines()
    equal(len(answers), len(lines), "answers")
    return [json.loads(answer) for answer in answers]


class Question:
    """A random file, where it stands and where its rendering does."""

    def __init__(self, seed, place):
        chance = random.Random(seed)
        self.seed, self.file = seed, make_case(chance, place.certificates)
        self.value = make_value(chance)
        self.expiry = chance.choice([0, 1700000000])
        self.old, self.new = (f"{place.path}/{name}/{seed}" for name in ("old", "new"))
        # What containerd reads is compared with: for one before 2.2 the file without "referrers".
        self.before = self.text_before_2_2() if chance.random() < 0.5 else None
        self.is_before_2_2 = self.before is not None
        self.before = self.before or self.file.text
        self.write(self.old, self.before)
        os.symlink(f"{place.path}/pool", f"{self.old}/{self.file.registry}/certs")

    def text_before_2_2(self):
        """None where that is not easily said, or nothing is left to be compared."""
        text = REFERRERS.sub("", self.file.text)
        try:
            trees = [tomllib.loads(some.removeprefix("\ufeff")) for some in (self.file.text, text)]
        except tomllib.TOMLDecodeError:
            return None
        before, after = map(capabilities, trees)
        less = [[name for name in names if name.lower() != "referrers"] for names in before]
        return text if less == after and less != before and all(after) else None

    def write(self, root, text):
        directory = f"{root}/{self.file.registry}"
        os.makedirs(directory)
        with open(f"{directory}/hosts.toml", "w", encoding="utf-8", newline="") as out:
            out.write(text)

    def line(self):
        return json.dumps(
            {
                "registry": self.file.registry,
                "directory": f"{self.old}/{self.file.registry}",
                "text": self.file.text,
                "value": self.value,
                "config": self.file.config,
                "expiry": self.expiry,
                "is_before_2_2": self.is_before_2_2,
            }
        )


def capabilities(tree):
    """The lists of a file, of the server and of hosts."""
    hosts = tree.get("host")
    hosts = [h for h in hosts.values() if isinstance(h, dict)] if isinstance(hosts, dict) else []
    lists = [without_case(table, "capabilities") for table in (tree, *hosts)]
    return [names for names in lists if isinstance(names, list) and all(isinstance(n, str) for n in names)]


def address(name, override_path):
    """(host, path) as containerd reads a name, or None."""
    url = name if name.startswith("http") else "https://" + name
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    path = posixpath.normpath(parts.path) if parts.path else ""
    if not override_path and not path.endswith("/v2"):
        path += "/v2"
    return parts.netloc.rsplit("@", 1)[-1], path


def lower(key):
    """As Go does it, which has one letter for a capital I with a dot."""
    return key.replace("\u0130", "i").lower()


def without_case(table, key):
    for name, value in table.items():
        if lower(name) == key:
            return value
    return None


def wanted(question, name, table, is_server, is_local):
    """Should a host whose URL everybody understands have the header? Read anew, from the manual."""
    auth = table.get("auth") if isinstance(table.get("auth"), dict) else {}
    helper = auth.get("credHelper", None if is_server else table.get("credHelper"))
    mapped = question.file.mapped
    if helper is not None and not (isinstance(helper, str) and HELPER.match(helper)):
        return False
    lifetime = auth.get("assumeLifetime", 60)
    if isinstance(lifetime, str):
        found = re.fullmatch(r"(\d+)([smh])", lifetime)
        lifetime = int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else 0
    if isinstance(lifetime, bool) or not 0 < lifetime <= 7 * 24 * 3600:
        return False
    if helper is None and name is not None:
        helper = is_mapped(name, mapped) or None
    if helper is None or name is None:
        return False
    allow = auth.get("allowInsecure", False)
    if not isinstance(allow, bool):
        return False
    insecure = is_local or name.startswith("http://") or without_case(table, "skip_verify")
    if insecure and not allow:
        return False
    headers = without_case(table, "header") or {}
    return without_case(headers, "authorization") is None


def is_mapped(name, mapped):
    def of(text):
        bare = text.removeprefix("https://").lower()
        host, _, path = bare.partition("/")
        return host, re.sub(r"^v2(/|$)", "", path).strip("/")

    if name.startswith("http://"):
        return False
    host, path = of(name)
    return (host, path) in map(of, mapped) or (host, "") in map(of, mapped)


def own_server(question):
    """The image's own registry as it is asked, None in _default; is it one on this machine?"""
    registry, host = question.file.registry, question.file.host
    if registry == "_default":
        return None, False
    is_local = host.split(":")[0] in ("localhost", "127.0.0.1")
    return ("registry-1.docker.io" if host == "docker.io" else host), is_local


def expectations(question, tree, verdict):
    """{(host, path): may have the header, must have it}."""
    found = {}
    rows = [(name, table, False) for name, table in tree.get("host", {}).items()]
    server = without_case(tree, "server") or None
    rows.append((server, tree, True))
    ours = {(host["name"], host["is_server"]): host["managed"] for host in verdict["hosts"]}
    for name, table, is_server in rows:
        key = address(name, without_case(table, "override_path")) if name else None
        if key is not None and key[0] == "":
            key = name = None
        is_local = False
        if key is None and is_server:
            name, is_local = own_server(question)
            key = (own_server(question)[0] or question.file.host, "/v2")
        if key is None:
            continue
        if name in GOOD + PLAIN or (server is None and is_server):
            must = wanted(question, name, table, is_server, is_local)
            # Where containerd 1.7 does not see the server it takes the registry that is asked for.
            must = must and not (is_server and server and "server" not in tree)
            must = must and not ESCAPED.search(question.file.text)
            said = ours.get((name, is_server), False)
            is_seen = is_server or (name, False) in ours
            require(said == must or not is_seen, f"{name!r}: managed is {said}, expected {must}")
            may = must
        else:
            may = must = None
        old = found.get(key, (False, True))
        if may is None:
            found[key] = (True, False)
        else:
            found[key] = (old[0] or may, old[1] and must)
    return found


def compare_trees(question, old, new, verdict):
    """The text itself: paths are absolute, there is Authorization, and nothing else."""
    directory = f"{question.old}/{question.file.registry}"

    def same_paths(a, b):
        if isinstance(a, list):
            return isinstance(b, list) and len(a) == len(b) and all(map(same_paths, a, b))
        if not isinstance(a, str):
            return a == b
        return b == (a if a.startswith("/") else posixpath.normpath(posixpath.join(directory, a)))

    def same_host(a, b, where):
        for key in set(a) | set(b):
            if lower(key) in ("ca", "client") and key in a and key in b:
                require(same_paths(a[key], b[key]), f"{where}.{key}: {a[key]!r} became {b[key]!r}")
            elif lower(key) == "header" and key in b:
                more = {k: v for k, v in b[key].items() if k not in a.get(key, {})}
                less = {k: v for k, v in b[key].items() if k in a.get(key, {})}
                require(less == a.get(key, {}), f"{where}.{key} changed")
                require(
                    more in ({}, {"Authorization": question.value}), f"{where}.{key} has {more!r}"
                )
            elif key != "host" or where != "root":
                require(a.get(key) == b.get(key), f"{where}.{key} changed")

    same_host(old, new, "root")
    hosts, others = old.get("host", {}), dict(new.get("host", {}))
    for name, table in hosts.items():
        require(name in others, f"the host {name!r} is gone")
        same_host(table, others.pop(name), repr(name))
    servers = {host["name"] for host in verdict["hosts"] if host["is_server"] and host["managed"]}
    require(not hosts or not others, f"new hosts: {list(others)}")
    require(set(others) <= servers, f"new hosts: {list(others)}")


def compare_hosts(question, before, after, expected):
    """What containerd tries, before and after; pairs of hosts."""
    extra = len(after) - len(before)
    require(
        extra == 0 or (extra == 1 and len(before) == 1), f"{len(before)} hosts became {len(after)}"
    )
    if extra:
        require(after[0] == after[1], f"the server's own table: {after[0]} is not {after[1]}")
    added = 0
    for old, new in zip(before, after[extra:]):
        rest = dict(new["header"])
        more = []
        if "Authorization" not in old["header"]:
            more = rest.pop("Authorization", [])
        require({**new, "header": rest} == old, f"{old} became {new}")
        require(more in ([], [question.value]), f"{old['host']} got {more!r}")
        may, must = expected.get((old["host"], old["path"]), (False, False))
        require(may or not more, f"{old['host']}{old['path']} got the header")
        require(more or not must, f"{old['host']}{old['path']} did not get the header")
        added += bool(more)
    return added


class Place:
    def __init__(self, path):
        self.path, self.certificates = path, make_certificates(path)
        self.programs = {version: peers.program(PEERS[version]) for version in PEERS}
        self.counts, self.examples, self.findings = Counter(), {}, []
        self.seen = {}  # by containerd 2.3: the addresses of each question
        os.mkdir(f"{path}/old")
        shutil.copy(f"{path}/pool/ca2.crt", f"{path}/old")

    def count(self, what, seed):
        self.counts[what] += 1
        self.examples.setdefault(what, seed)

    def ask_containerd(self, version, pairs):
        lines = "".join(json.dumps(pair) + "\n" for pair in pairs)
        env = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": "/nonexistent"}
        words = [self.programs[version]]
        done = subprocess.run(
            words, input=lines, capture_output=True, encoding="utf-8", env=env, check=False
        )
        check(done.returncode == 0, f"hostsfile: {done.returncode} {done.stderr}")
        answers = [json.loads(answer) for answer in done.stdout.splitlines()]
        equal(len(answers), len(pairs), "answers")
        return answers

    def judge(self, question, verdict, version, before, after):
        broken = any("failed to decode" in line for line in before["log"])
        tag = f"containerd {version}: "
        if "refused" in verdict:
            kind = kind_of(verdict["refused"], REFUSALS)
            if not broken:
                self.count(f"{tag}reads what was refused: {kind}", question.seed)
            return
        if (
            version == "2.0"
            and broken
            and any("capability referrers" in line.lower() for line in before["log"])
        ):
            return
        if version == "1.7" and (broken or ESCAPED.search(question.file.text)):
            lost = any("failed to decode" in line for line in after["log"])
            require(broken or not lost, f"it read the file before: {after['log']}")
            self.count(f"{tag}does not read it, or reads escapes as they stand", question.seed)
            return
        require(not broken, f"it does not read the file, and it was rendered: {before['log']}")
        require(
            set(after["log"]) == set(before["log"]), f"it logs {after['log']}, not {before['log']}"
        )
        errors = [answer.get("error", "") for answer in (before, after)]
        if errors[0] or errors[1]:
            reasons = [re.sub(r"\S*/\S*|\"[^\"]*\"", "PATH", error) for error in errors]
            require(reasons[0] == reasons[1], f"errors {errors}")
            self.count(f"{tag}a pull fails before and after", question.seed)
            return
        expected = expectations(question, question.tree, verdict)
        addresses = [(host["host"], host["path"]) for host in before["hosts"]]
        others = self.seen.setdefault(question.seed, addresses) != addresses
        if others or (version == "1.7" and LOOSE.search(question.file.text)):
            # Hosts that are no table in brackets; 2.x does not see them, and so they are not managed.
            expected = {address: (True, False) for address in addresses}
            self.count(f"{tag}sees other hosts than 2.3", question.seed)
        names = HEADER.findall(question.file.text)
        if version == "1.7" and any(name != name.lower() for name in names):
            # It does not see what stands in a "Header", neither before nor after.
            expected = {address: (may, False) for address, (may, _) in expected.items()}
        added = compare_hosts(question, before["hosts"], after["hosts"], expected)
        if question.is_before_2_2:
            self.count(f"{tag}\"referrers\" is gone", question.seed)
        self.count(f"{tag}the same, {min(added, 3)} headers more", question.seed)
        if len(after["hosts"]) > len(before["hosts"]):
            self.count(f"{tag}the server has a table", question.seed)

    def judge_alone(self, question, verdict):
        for host in verdict.get("hosts", []):
            if host["problem"]:
                self.count("a host without: " + kind_of(host["problem"], PROBLEMS), question.seed)
        try:
            question.tree = tomllib.loads(question.before.removeprefix("\ufeff"))
        except tomllib.TOMLDecodeError:
            question.tree = None
        if "refused" in verdict:
            kind = kind_of(verdict["refused"], REFUSALS)
            self.count(f"not rendered: {kind}", question.seed)
            if kind == "no TOML" and question.tree is not None and "NUL" not in verdict["refused"]:
                self.count("Python reads what toml++ does not", question.seed)
            return
        require(question.tree is not None, "Python does not read it, and it was rendered")
        try:
            tree = tomllib.loads(verdict["text"].removeprefix("\ufeff"))
        except tomllib.TOMLDecodeError as problem:
            raise Finding(f"what was rendered is no TOML: {problem}") from problem
        compare_trees(question, question.tree, tree, verdict)

    def batch(self, seeds):
        questions = [Question(seed, self) for seed in seeds]
        verdicts = ask_ours([q.line() for q in questions], f"from {questions[0].seed}")
        for question, verdict in zip(questions, verdicts):
            if "text" in verdict:
                question.write(question.new, verdict["text"])
            if ONE:
                comment(question.file.text)
                comment(json.dumps(verdict, indent=1))
                comment(verdict.get("text", ""))
        skipped = set()
        for question, verdict in zip(questions, verdicts):
            try:
                self.judge_alone(question, verdict)
            except Finding as finding:
                skipped.add(question.seed)
                self.findings.append((question.seed, str(finding)))
        for version in self.programs:
            pairs = []
            for question in questions:
                pairs += [[root, question.file.host] for root in (question.old, question.new)]
            answers = self.ask_containerd(version, pairs)
            for number, (question, verdict) in enumerate(zip(questions, verdicts)):
                if ONE:
                    comment(json.dumps(answers[2 * number : 2 * number + 2], indent=1))
                if question.seed in skipped:
                    continue
                try:
                    self.judge(question, verdict, version, *answers[2 * number : 2 * number + 2])
                except Finding as finding:
                    self.findings.append((question.seed, f"containerd {version}: {finding}"))
        for name in ("old", "new"):
            for question in questions:
                shutil.rmtree(f"{self.path}/{name}/{question.seed}", ignore_errors=True)


@case("what containerd sees is the same, and Authorization is on exactly the hosts with a helper")
def rendered():
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pullkey-") as directory:
        place, seed = Place(directory), SEED
        begin = time.monotonic()
        while seed < SEED + CASES if CASES else time.monotonic() < begin + SECONDS:
            count = min(BATCH, SEED + CASES - seed) if CASES else BATCH
            place.batch(range(seed, seed + count))
            seed += count
    comment(f"{seed - SEED} files from seed {SEED} in {time.monotonic() - begin:.0f} s")
    for what, count in sorted(place.counts.items()):
        comment(f"{count:7} {what}, as {place.examples[what]}")
    seen = {
        re.sub(r"0x\w+|'.*?'|\{.*|\[.*|\".*?\"|\d+", "", text)[:90]: (seed, text)
        for seed, text in reversed(place.findings)
    }
    text = "\n".join(
        f"HOSTS_CASES=1 HOSTS_SEED={seed}: {text}" for seed, text in list(seen.values())[:40]
    )
    check(not place.findings, f"{len(place.findings)} findings:\n{text}")
    if not ONE:
        most = place.counts["containerd 2.3: the same, 1 headers more"]
        check(most > (seed - SEED) / 8, f"only {most} files with a header prove anything")


SPECIAL = "\"'\\\n\r\t\b\f\x01\x1f\x7f\x80\u2028\ufeff\U0010ffff#=[]{}., \u00fc"


def random_text(chance):
    """Of any characters, most of them such that mean something to somebody."""
    text = ""
    for _ in range(chance.randint(1, 40)):
        kind = chance.random()
        if kind < 0.4:
            text += chance.choice(SPECIAL)
        elif kind < 0.8:
            text += chr(chance.randint(1, 0x7F))
        else:
            text += chr(chance.randint(*chance.choice(((0xA0, 0x2FF), (0xFFF0, 0x1000F)))))
    return text


@case(f"{VALUES} random values: TOML has each as it is, as the header of its host and nothing else")
def values():
    chance = random.Random(SEED)
    url = "https://registry.example.com"
    file = f'server = "{url}"\n[host."{url}"]\ncredHelper = "pass"\n[host."{url}".x]\ny = 1\n'
    wanted_tree = tomllib.loads(file)
    question = {"registry": "registry.example.com", "directory": "/x", "text": file}
    question |= {"config": '{"version":1}', "expiry": 0, "is_before_2_2": False}
    for begin in range(0, VALUES, BATCH):
        texts = [random_text(chance) for _ in range(BATCH)]
        lines = [json.dumps({**question, "value": text}) for text in texts]
        for text, answer in zip(texts, ask_ours(lines, f"value {begin}")):
            check("text" in answer, f"{text!r}: {answer}")
            wanted_tree["host"][url]["header"] = {"Authorization": text}
            equal(tomllib.loads(answer["text"]), wanted_tree, repr(text))


sys.exit(run())
