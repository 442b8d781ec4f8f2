# SPDX-License-Identifier: Apache-2.0
"""Random hosts.toml files, in every way in which TOML lets one write them.

    case = make_case(random.Random(seed), certificates)

A case has the `text`, the name of the `registry`'s directory, the `host` that containerd is asked
for, and the `config` of pullkey. Most texts are valid, most of them hold hosts with a helper; some
are spoilt afterwards.
"""

import json
import re

# What everybody reads alike.
GOOD = [
    "https://a.example",
    "https://b.example:5000",
    "https://c.example/v2/project",
    "https://d.example/v2",
    "https://harbor.example/v2/dockerhub-proxy",
    "bare.example",
    "bare.example:5000",
    "https://registry-1.docker.io",
    "https://UPPER.example",
    "https://xn--e1afmkfd.example",
    "https://[::1]:5000",
    "https://127.0.0.1:5000",
    "https://slash.example/",
    "https://deep.example/one/two",
]
PLAIN = ["http://plain.example", "http://plain.example:8080", "http://localhost:5000"]
ODD = [
    "", "http", "host", "header", "a.b.c", "docker.io", "\u00e9", "HTTPS://a.example",
    "Https://a.example", "httpbin.example", "httpbin.example:80/x", "https:///x", "https:a.example",
    "http:", "https://", "ftp://a.example", "https://\u00e9.example", "https://a b.example",
    " https://a.example", "https://a.example ", "\thttps://a.example", "https://a.example\n",
    "https://user:pw@a.example", "https://user@a.example", "https://a@b@c.example",
    "https://a.example:99999", "https://a.example:", "https://a.example:x", "https://a:b:1",
    'https://q".example', "https://q'.example", "https://a\\b.example", "https://a.example?x=1",
    "https://a.example#f", "https://a.example/%zz", "https://a%41.example", "https://a.example/%41",
    "https://a%c3%a9.example", "https://[::1", "https://[a]", "https://::1", "https://a[.example",
    "https://a.example/../b", "https://a.example//b", "https://a.example/./b/", "a.example/%",
    'https://a.example"]\n[host."https://evil.example', "https://a.example/\u00fc", "a.example#%zz",
    "https://a.example.", "https://a_b.example", "https://a.example/v1", "https://a.example/v2/",
    "https://a.example/V2", "//a.example", "/a.example", "https://a.example\x7f", "x\x00y",
    "https://a.example\x00.evil", "https://0x7f000001", "https://1.2.3", "https://a.example|b",
    "https://[::ffff:127.0.0.1]:5000", "localhost", "localhost:5000", "a.example?%zz",
    "https://a^b",
]  # fmt: skip

REGISTRIES = [
    ("r.example", "r.example"),
    ("ghcr.example_5000_", "ghcr.example:5000"),
    ("ghcr.example:5000", "ghcr.example:5000"),
    ("docker.io", "docker.io"),
    ("_default", "anything.example"),
    ("localhost_5000_", "localhost:5000"),
    ("localhost:443", "localhost:443"),
    ("localhost", "localhost"),
    ("127.0.0.1_80_", "127.0.0.1:80"),
    ("127.0.0.1:5000", "127.0.0.1:5000"),
]

COMMENTS = ["", " a comment", ' [host."https://evil.example"]', " pullkey: pass 1700000000", ' "',
            " \u00fc \U0001f511", " '''", ' """', "#"]  # fmt: skip
ODD_KEYS = [
    "note",
    "X-Y",
    "a b",
    "\u00fc",
    'q"q',
    "b\\s",
    "",
    "1",
    "true",
    "host",
    "server",
    "auth.x",
]
HEADERS = ["X-Meta", "Accept", "X-\u00fc", "x y", "User-Agent", "auth"]


class Writer:
    """Values and keys as text."""

    def __init__(self, chance):
        self.chance = chance

    def maybe(self, probability):
        return self.chance.random() < probability

    def blank(self):
        return self.chance.choice(["", "", "", " ", "  ", "\t"])

    def escaped(self, text, multi=False):
        out = []
        for c in text:
            if c in '"\\':
                out.append("\\" + c)
            elif c == "\n":
                out.append("\n" if multi and self.maybe(0.5) else "\\n")
            elif ord(c) < 0x20 or ord(c) == 0x7F:
                out.append(f"\\u{ord(c):04x}")
            elif self.maybe(0.02):
                out.append(f"\\U{ord(c):08X}")
            elif self.maybe(0.02) and ord(c) < 0x10000:
                out.append(f"\\u{ord(c):04X}")
            else:
                out.append(c)
        return "".join(out)

    def string(self, text, multi=True):
        kind = self.chance.choice('""""\'\'ml' if multi else '""\'')
        is_plain = all(c == "\t" or (ord(c) >= 0x20 and ord(c) != 0x7F) for c in text)
        if kind == "'" and is_plain and "'" not in text:
            return f"'{text}'"
        if kind == "l" and is_plain and "'''" not in text and not text.endswith("'"):
            return "'''" + self.chance.choice(["", "\n"]) + text + "'''"
        if kind == "m":
            start = (
                self.chance.choice(["", "\n", "\\\n  "])
                if not text.startswith((" ", "\n", "\t"))
                else "\n"
            )
            return '"""' + start + self.escaped(text, True) + '"""'
        return '"' + self.escaped(text) + '"'

    def key(self, text):
        if re.fullmatch(r"[A-Za-z0-9_-]+", text) and self.maybe(0.7):
            return text
        is_plain = re.fullmatch(r"[ -~]*", text) and '"' not in text and "\\" not in text
        # Most without escapes: with one anywhere no host of the file gets a header.
        return f'"{text}"' if is_plain and self.maybe(0.97) else self.string(text, multi=False)

    def path(self, parts):
        dot = "." if self.maybe(0.9) else self.chance.choice([" .", ". ", "\t.  "])
        return dot.join(self.key(part) for part in parts)

    def header(self, parts):
        blank = self.blank()
        return f"{self.chance.choice(['', '', ' ', chr(9)])}[{blank}{self.path(parts)}{blank}]"

    def value(self, value):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return self.string(value)
        if isinstance(value, list):
            return self.array([self.value(item) for item in value])
        if isinstance(value, dict):
            pairs = [self.pair([key], item) for key, item in value.items()]
            return "{" + self.blank() + ", ".join(pairs) + self.blank() + "}"
        if isinstance(value, int) and self.maybe(0.2) and value >= 0:
            return hex(value)
        return str(value)

    def array(self, items):
        if self.maybe(0.7) or not items:
            return (
                "["
                + self.blank()
                + ", ".join(items)
                + self.chance.choice(["", ",", " "] if items else [""])
                + "]"
            )
        lines = []
        for item in items:
            lines.append(f"  {item} ,{self.comment()}")
        return "[" + self.comment() + "\n" + "\n".join(lines) + "\n]"

    def pair(self, parts, value):
        equals = self.chance.choice(["=", " = ", " = ", "\t=  "])
        return self.path(parts) + equals + self.value(value)

    def comment(self):
        return "" if self.maybe(0.8) else self.blank() + "#" + self.chance.choice(COMMENTS)


class Maker:
    """One file."""

    def __init__(self, chance, certificates):
        self.chance, self.writer = chance, Writer(chance)
        self.maybe, self.certificates = self.writer.maybe, certificates
        self.sections = []  # of hosts: lists of lines that stand together

    def case_of(self, key):
        if self.maybe(0.95):
            return key
        odd = key.replace("k", "\u212a") if self.maybe(0.1) else key
        odd = odd.replace("i", "\u0130", 1) if self.maybe(0.05) else odd
        return self.chance.choice([key.upper(), key.capitalize(), key.swapcase(), odd])

    def certificate(self):
        if self.maybe(0.01):
            return self.chance.choice(["missing.crt", "", "/nonexistent", "certs", "."])
        return self.chance.choice(self.certificates["ca"])

    def pair_of(self):
        return list(self.chance.choice(self.certificates["pairs"]))

    def wrong(self, value):
        """Now and then a value of another type."""
        if self.maybe(0.995):
            return value
        return self.chance.choice(
            [1, True, "text", [], [1], ["a", 1], {}, {"a": 1}, [[]], [["a"]], [{}]]
        )

    def plain_keys(self):
        maybe, chance, keys = self.maybe, self.chance, {}
        if maybe(0.5):
            known = ["pull", "resolve", "push"] + (["referrers"] if maybe(0.2) else [])
            keys["capabilities"] = [
                name if maybe(0.9) else name.upper()
                for name in chance.sample(known, chance.randint(0, len(known)))
            ]
            if maybe(0.01):
                keys["capabilities"].append(chance.choice(["fly", "", "pull\x00", "pull "]))
        if maybe(0.25):
            keys["ca"] = chance.choice(
                [
                    self.certificate(),
                    [self.certificate()],
                    [self.certificate(), self.certificate()],
                    [],
                ]
            )
        if maybe(0.2):
            pairs, both = self.chance.choice(self.certificates["both"]), self.pair_of()
            keys["client"] = chance.choice(
                [pairs, [pairs], [both], [both, pairs], [self.pair_of(), both], []]
            )
        if maybe(0.1):
            keys["skip_verify"] = maybe(0.3)
        if maybe(0.15):
            keys["override_path"] = maybe(0.7)
        if maybe(0.1):
            keys["dial_timeout"] = chance.choice(
                [
                    "5s",
                    "1m30s",
                    "500ms",
                    "1.5h",
                    "0",
                    "",
                    "-1s",
                    "+3m",
                    "\u00b5s" if maybe(0.02) else "2\u00b5s",
                    "1h1m1s1ms",
                    ".5s",
                    "5.s",
                ]
                + (["5", "s", "1d", ".s"] if maybe(0.05) else [])
            )
        if maybe(0.2):
            keys[chance.choice(ODD_KEYS)] = chance.choice(
                [1, "x", True, [1, "a"], {"a": {"b": [1]}}, -5, ["http://x"], {}]
            )
        keys = {self.case_of(key): self.wrong(value) for key, value in keys.items()}
        if maybe(0.005) and keys:
            key = chance.choice(list(keys))
            keys[key.upper()] = keys[key]
        return keys

    def headers(self):
        found = {}
        for key in self.chance.sample(HEADERS, self.chance.randint(0, 3)):
            found[key] = self.chance.choice(["v", ["v", "w"], "\u00fc", 'a "b"', [], "x\ny"])
        if self.maybe(0.06):
            found[self.chance.choice(["Authorization", "authorization", "AUTHORIZATION"])] = (
                self.chance.choice(["Basic eDp5", ["Basic eDp5"]])
            )
        return {key: self.wrong(value) for key, value in found.items()}

    def auth(self, insecure):
        found = {}
        if self.maybe(0.9):
            found["credHelper"] = self.chance.choice(["pullkey", "pass", "ecr-login", "gcr"])
            if self.maybe(0.03):
                found["credHelper"] = self.chance.choice(
                    [1, "", "a/b", "A", "x\x00y", "a b", ["a"], "a\nb"]
                )
        if self.maybe(0.2):
            found["assumeLifetime"] = self.chance.choice(
                ["15m", "12h", "90s", 600, "1d", "", -1, "8h", "200h"]
            )
        if self.maybe(0.8 if insecure else 0.1):
            found["allowInsecure"] = self.chance.choice([True, True, False, True, "yes"])
        return found

    def table(self, prefix, name):
        """Lines of the keys of one host, and sections of its own; `prefix` is [] for the root."""
        writer, maybe = self.writer, self.maybe
        own, below = [], []
        keys = self.plain_keys()
        if maybe(0.5):
            keys[self.case_of("header")] = self.wrong(self.headers())
        insecure = keys.get("skip_verify") or name.startswith("http://")
        if maybe(0.6):
            keys["auth"] = self.auth(insecure)
        if maybe(0.05):
            keys["credHelper"] = "gcr"
        items = list(keys.items())
        self.chance.shuffle(items)
        for key, value in items:
            if isinstance(value, dict) and maybe(0.75):
                if maybe(0.6):
                    below.append(self.section([*prefix, key], value))
                    continue
                if value:
                    own += [
                        writer.pair([key, inner], v) + writer.comment()
                        for inner, v in value.items()
                    ]
                    continue
            own.append(writer.pair([key], value) + writer.comment())
        return own, below

    def section(self, parts, values):
        lines = [self.writer.header(parts) + self.writer.comment()]
        for key, value in values.items():
            if isinstance(value, dict) and value and self.maybe(0.5):
                lines += [self.writer.pair([key, inner], v) for inner, v in value.items()]
            else:
                lines.append(self.writer.pair([key], value) + self.writer.comment())
            if self.maybe(0.1):
                lines.append(self.chance.choice(["", "  ", "#" + self.chance.choice(COMMENTS)]))
        return lines

    def host(self, name):
        own, below = self.table(["host", name], name)
        writer, maybe = self.writer, self.maybe
        if own or not below or maybe(0.5):
            own = [writer.header(["host", name]) + writer.comment()] + own
            if maybe(0.9):
                below.insert(0, own)
            else:
                below.insert(self.chance.randint(0, len(below)), own)
        if maybe(0.05):
            below.append([f"[[{writer.path(['host', name, 'list'])}]]", "x = 1"])
            if maybe(0.5):
                below.insert(0, below.pop())
        if maybe(0.05):
            below.append(self.section(["host", name, "deep", "er"], {"x": {"y": 1}}))
            if maybe(0.5):
                below.append(self.section(["host", name, "deep"], {"z": 1}))
        if maybe(0.03):
            below.insert(0, self.section(["host", name, "auth", "deep"], {"x": 1}))
        return below

    def hidden_host(self, name):
        """A host that only those see who read all of TOML."""
        own = {key: value for key, value in self.plain_keys().items() if key}
        own["auth"] = self.auth(False)
        return name, own

    def root(self, names):
        lines, sections = [], []
        server = ""
        if self.maybe(0.7):
            server = self.chance.choice(GOOD if self.maybe(0.85) else PLAIN + ODD)
            lines.append(
                self.writer.pair([self.case_of("server")], self.wrong(server))
                + self.writer.comment()
            )
        if self.maybe(0.5):
            own, sections = self.table([], server)
            lines += own
        if self.maybe(0.03):
            lines.append(
                self.writer.pair(["host"], dict([self.hidden_host(self.chance.choice(GOOD))]))
            )
        elif self.maybe(0.05):
            name, own = self.hidden_host(self.chance.choice(GOOD))
            lines += [self.writer.pair(["host", name, key], value) for key, value in own.items()]
        elif self.maybe(0.08):
            sections.append(
                self.section(["host"], dict([self.hidden_host(self.chance.choice(GOOD))]))
            )
        self.chance.shuffle(lines)
        return lines, sections

    def text(self):
        chance = self.chance
        count = chance.choice([0, 1, 1, 1, 2, 2, 3, 4])
        names = [chance.choice(GOOD if self.maybe(0.85) else PLAIN + ODD) for _ in range(count)]
        names = list(dict.fromkeys(names))
        lines, sections = self.root(names)
        groups = [[section] for section in sections]
        groups += [self.host(name) for name in names]
        if self.maybe(0.05):
            groups.append(
                [self.section([chance.choice(["other", "Host", "HOST", "\u0130"]), "x"], {"a": 1})]
            )
        if self.maybe(0.03):
            groups.append([["[[list]]", "a = 1"], ["[[list]]"]])
        if self.maybe(0.3):
            chance.shuffle(groups)
        if self.maybe(0.1):
            groups = [[section] for group in groups for section in group]
            chance.shuffle(groups)
        for group in groups:
            for section in group:
                lines += section
                if self.maybe(0.3):
                    lines.append("")
        text = "\n".join(lines)
        if self.maybe(0.9):
            text += "\n"
        if self.maybe(0.1):
            text = text.replace("\n", "\r\n")
        elif self.maybe(0.02):
            text = "".join("\r\n" if c == "\n" and self.maybe(0.5) else c for c in text)
        if self.maybe(0.03):
            text = "\ufeff" + text
        return self.spoil(text) if self.maybe(0.08) else text

    def spoil(self, text):
        chance = self.chance
        for _ in range(chance.randint(1, 2)):
            at = chance.randint(0, len(text))
            kind = chance.randint(0, 4)
            lines = text.split("\n")
            line = chance.randrange(len(lines))
            if kind == 0:
                text = (
                    text[:at]
                    + chance.choice(list("\"'[]{}=.,#\n\r\t \\\u00fc\x01\x7f"))
                    + text[at:]
                )
            elif kind == 1:
                text = text[:at] + text[at + 1 :]
            elif kind == 2:
                text = "\n".join(lines[:line] + lines[line + 1 :])
            elif kind == 3:
                lines.insert(chance.randint(0, len(lines)), lines[line])
                text = "\n".join(lines)
            else:
                chance.shuffle(lines)
                text = "\n".join(lines)
        return text


class Case:
    def __init__(self, text, registry, host, mapped):
        self.text, self.registry, self.host, self.mapped = text, registry, host, mapped
        # The keys of the configuration are URLs.
        hosts = {name if "://" in name else f"https://{name}": "mapped" for name in mapped}
        self.config = json.dumps({"version": 1, "containerd": {"hosts": hosts}})


def make_case(chance, certificates):
    registry, host = chance.choice(REGISTRIES if chance.random() < 0.5 else REGISTRIES[:1])
    mapped = GOOD + ["registry-1.docker.io", host] if chance.random() < 0.25 else []
    mapped = [name for name in dict.fromkeys(mapped) if name != "docker.io"]
    return Case(Maker(chance, certificates).text(), registry, host, mapped)
