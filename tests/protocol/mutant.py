#!/usr/bin/python3 -IS
# SPDX-License-Identifier: Apache-2.0
"""A helper program for the suite's own test: it behaves well, or has the one fault in $MUTANT.

It keeps its entries as docker-credential-pullkey keeps its plain file, so that the suite runs on
it with the same profile. It is no example of a helper: it is slow, and only careful enough to
pass. The faults are those that real helpers have or had, and those that a careless one would.
"""

import base64
import fcntl
import json
import os
import re
import resource
import sys
import time

FAULT = os.environ.get("MUTANT", "")
NOT_FOUND = "credentials not found in native keychain"
NAME = os.path.basename(sys.argv[0])
USAGE = f"Usage: {NAME} <store|get|erase|list|version>"
INPUT_MAX, KEY_MAX, SECRET_MAX, USERNAME_MAX = 1 << 20, 2048, 1 << 16, 4096
HUB_HOSTS = {"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}


class Failure(Exception):
    """One line for stdout."""


def fault(name):
    return name == FAULT


def parse(text):
    """(kind, host, port, path) of a key; equal tuples are one registry."""
    if len(text) > KEY_MAX and not fault("any-key-length"):
        raise Failure("the server name is too long")
    forbidden = "".join(chr(b) for b in range(0x21)) + "\x7f%\\@"
    forbidden = forbidden.replace("%", "") if fault("percent-allowed") else forbidden
    forbidden = forbidden.replace("@", "") if fault("userinfo-allowed") else forbidden
    if any(c in forbidden or (ord(c) > 0x7F and not fault("idn-allowed")) for c in text):
        raise Failure("the server name holds a character that is not allowed")
    if text.startswith("nerdctl-experimental://") or re.fullmatch(
        r"https://index\.docker\.io/v1/(access|refresh)-token", text
    ):
        if not fault("token-keys-shared"):
            return ("exact", text, "", "")
    kind, rest = "https", text
    if text.startswith("http://"):
        kind, rest = ("https" if fault("http-is-https") else "http"), text[7:]
    elif text.startswith("https://"):
        rest = text[8:]
    authority, _, path = rest.partition("/")
    if fault("userinfo-allowed"):
        authority = authority.rpartition("@")[2]
    if fault("percent-allowed"):
        authority = authority.split("%")[0]
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::(.*))?", authority)
    host, port = match.groups() if match else ("", None)
    host = host if fault("case-sensitive-host") else host.lower()
    host = host.rstrip(".") if fault("trailing-dot-allowed") else host
    if not host or host.endswith("."):
        raise Failure("the server name has no valid host")
    default = "443" if kind == "https" else "80"
    port = default if port is None else port
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65535:
        if not (fault("port-by-atoi") and port[:1].isdigit()):
            raise Failure("the server name has no valid port")
        port = str(int(re.match("[0-9]+", port)[0]) % 65536)
    port = default if fault("port-ignored") else port
    path = path.rstrip("/")
    first, _, after = path.partition("/")
    if first in ("v1", "v2"):
        path = after
    if fault("slash-matters") and text.endswith("/"):
        path += "/"
    if host in HUB_HOSTS and port == "443" and kind == "https" and not fault("no-hub-alias"):
        host = "docker.io"
    return (kind, host, port, path)


def find(entries, text, shorten):
    """The stored key that answers for this text, or None."""
    wanted = parse(text)
    if text in entries:
        return text
    if fault("exact-only"):
        return None
    while True:
        for key in entries:
            stored = parse(key)
            if stored == wanted:
                return key
            if fault("suffix-match") and wanted[1].endswith(stored[1]):
                return key
            if fault("prefix-match") and text.startswith(key):
                return key
            if fault("parent-domain") and wanted[1].endswith("." + stored[1]):
                return key
            if fault("path-prefix") and wanted[:3] == stored[:3]:
                if wanted[3].startswith(stored[3]):
                    return key
        if wanted[0] == "exact" or not wanted[3] or not (shorten or fault("erase-shortens")):
            return None
        if fault("no-shortening"):
            return None
        wanted = (*wanted[:3], wanted[3].rpartition("/")[0])


class Store:
    """The auths map, under a lock while it is changed."""

    def __init__(self):
        home = os.environ.get("XDG_CONFIG_HOME", "/nonexistent")
        self.path = os.path.join(home, "pullkey", "auth.json")

    def load(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                self.tree = json.load(file)
            self.tree["auths"]
        except FileNotFoundError:
            self.tree = {"auths": {}}
        except (ValueError, KeyError, TypeError):
            if fault("locked-hangs"):
                time.sleep(60)
            if fault("locked-is-empty"):
                self.tree = {"auths": {}}
                return self.tree["auths"]
            raise Failure("the store is not readable; mend or remove it") from None
        if fault("drops-foreign"):
            self.tree = {"auths": {k: v for k, v in self.tree["auths"].items() if v}}
        return self.tree["auths"]

    def save(self):
        text = json.dumps(self.tree).encode()
        if fault("writes-in-place"):
            with open(self.path, "wb", buffering=0) as file:
                for start in range(0, len(text), 16):
                    file.write(text[start : start + 16])
                    time.sleep(0.0001)
            return
        temporary = f"{self.path}.{os.getpid()}"
        with open(temporary, "wb", buffering=0) as file:
            if fault("streams-not-guarded"):
                os.write(2, b"saving\n")
            file.write(text)
        os.rename(temporary, self.path)

    def lock(self):
        os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
        self.held = open(self.path + ".lock", "w", encoding="utf-8")
        if fault("lock-file-stays"):
            while True:
                try:
                    os.close(os.open(self.path + ".busy", os.O_CREAT | os.O_EXCL))
                    time.sleep(0.01)
                    return
                except FileExistsError:
                    time.sleep(0.01)
        if not fault("no-lock"):
            fcntl.flock(self.held, fcntl.LOCK_EX)

    def unlock(self):
        if fault("lock-file-stays"):
            os.unlink(self.path + ".busy")
        self.held.close()


def encode(username, secret):
    if ":" in username and not fault("colon-splits"):
        return {"username": username, "password": secret}
    return {"auth": base64.b64encode(f"{username}:{secret}".encode()).decode()}


def decode(entry):
    if "password" in entry:
        return entry["username"], entry["password"]
    try:
        username, _, secret = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except (KeyError, ValueError):
        raise Failure("the stored entry is damaged; store it again") from None
    return username, secret


def read_input():
    """Everything, up to the limit."""
    data = b""
    while chunk := os.read(0, 65536):
        data += chunk
        if fault("reads-once"):
            break
        if len(data) > INPUT_MAX:
            raise Failure("the input is too long")
    return data


def read_server():
    data = read_input()
    if fault("joined-lines"):
        data = b"".join(line.rstrip(b"\r") for line in data.split(b"\n"))
    if fault("nul-ends"):
        data = data.split(b"\0")[0]
    text = data.decode("latin-1")
    if not fault("no-trim"):
        text = re.sub(r"\r?\n\Z", "", text).strip(" \t")
        text = re.sub(r"\r?\n\Z", "", text)
    if not text:
        raise Failure("no credentials server URL")
    return text


def unique(pairs):
    folded = [key.lower() for key, _ in pairs]
    if len(set(folded)) != len(folded) and not fault("duplicates-allowed"):
        raise Failure("the entry names a key twice")
    if any("\0" in key for key in folded):
        raise Failure("the entry holds a NUL")
    return dict(pairs)


def read_entry():
    data = read_input()
    if fault("joined-lines"):
        data = b"".join(data.split(b"\n"))
    try:
        text = data.decode("utf-8", "replace" if fault("bad-utf8-replaced") else "strict")
        decoder = json.JSONDecoder(object_pairs_hook=unique)
        entry, end = decoder.raw_decode(text.strip(" \t\r\n"))
        if text.strip(" \t\r\n")[end:] and not fault("trailing-allowed"):
            raise ValueError
    except (ValueError, RecursionError) as error:
        if fault("secret-in-error"):
            raise Failure(f"no JSON object: {data.decode('utf-8', 'replace')!r}") from None
        if fault("secret-on-stderr"):
            os.write(2, data)
        if fault("secret-in-log"):
            with open(os.environ.get("PULLKEY_LOG", "/dev/null"), "ab") as log:
                log.write(data)
        if fault("traceback"):
            raise error
        raise Failure("the input is not one JSON object in UTF-8") from None
    if not isinstance(entry, dict):
        raise Failure("the input is not a JSON object")
    folded = {key if fault("keys-case-sensitive") else key.lower(): v for key, v in entry.items()}
    wanted = ("serverurl", "username", "secret")
    if fault("keys-case-sensitive"):
        wanted = ("ServerURL", "Username", "Secret")
    values = [folded.get(key) or "" if folded.get(key) is None else folded[key] for key in wanted]
    if fault("strict-keys") and set(folded) - set(wanted):
        raise Failure("the entry has an unknown key")
    if not all(isinstance(value, str) for value in values):
        raise Failure("a value of the entry is not a string")
    server, username, secret = values
    if fault("username-first") and not username:
        raise Failure("no credentials username")
    if not server:
        raise Failure("no credentials server URL")
    if not username and not fault("no-username-check"):
        raise Failure("no credentials username")
    if "\0" in server + username + secret:
        if not fault("nul-cuts"):
            raise Failure("a value of the entry holds a NUL")
        server, username, secret = (value.split("\0")[0] for value in values)
    try:
        size = len(secret.encode())
    except UnicodeEncodeError:
        raise Failure("a value of the entry is not Unicode") from None
    if size > SECRET_MAX and fault("secret-cut"):
        secret = secret[:SECRET_MAX]
    elif size > SECRET_MAX and not fault("any-secret-length"):
        raise Failure("the secret is too long")
    if size > 4096 and fault("small-secrets"):
        raise Failure("the secret is too long")
    if not secret and not fault("empty-secret-kept"):
        raise Failure("no credentials secret")
    if ":" in username and fault("colon-refused"):
        raise Failure("a user name with a colon cannot be stored")
    if len(username) > USERNAME_MAX and not fault("any-username-length"):
        raise Failure("the user name is too long")
    if len(username) > 1024 and fault("small-usernames"):
        raise Failure("the user name is too long")
    return server.strip(" \t"), username, secret


def changed(change):
    store = Store()
    store.lock()
    try:
        change(store.load())
        store.save()
    finally:
        if not fault("lock-file-stays") or sys.exc_info()[0] is None:
            store.unlock()


def do_store():
    server, username, secret = read_entry()
    parse(server)

    def change(entries):
        if fault("first-user-stays") and server in entries:
            if decode(entries[server])[0] != username:
                return
        for key in [k for k in entries if parse(k) == parse(server)]:
            if not fault("aliases-stay"):
                del entries[key]
        entries[server] = encode(username, secret.strip() if fault("secret-trimmed") else secret)

    if fault("secret-in-argv"):
        os.spawnv(os.P_WAIT, "/bin/sh", ["sh", "-c", "sleep 0.2", secret])
    if fault("secret-in-environ"):
        os.spawnve(os.P_WAIT, "/bin/sleep", ["sleep", "0.2"], {"SECRET": secret})
    if fault("secret-in-file"):
        with open(os.path.join(os.environ["HOME"], "note"), "w", encoding="utf-8") as file:
            file.write(secret)
    changed(change)
    if fault("store-talks"):
        say("stored")


def do_erase():
    server = read_server()
    parse(server)

    def change(entries):
        if find(entries, server, False) is None and fault("erase-fails-on-miss"):
            raise Failure(NOT_FOUND)
        while (key := find(entries, server, False)) is not None:
            if fault("erase-does-nothing"):
                break
            del entries[key]

    try:
        changed(change)
    except Failure as failure:
        if not (fault("erase-hides-failure") and "store" in str(failure)):
            raise


def do_get():
    server = read_server()
    entries = Store().load()
    key = find(entries, server, True)
    if key is None and fault("miss-is-empty-object"):
        return say("{}")
    if key is None:
        raise Failure(NOT_FOUND)
    if not entries[key]:
        raise Failure(NOT_FOUND)
    username, secret = decode(entries[key])
    answer = {"ServerURL": key if fault("echoes-stored-key") else server}
    answer |= {"Username": username, "Secret": secret}
    if fault("lower-case-keys"):
        answer = {name.lower(): value for name, value in answer.items()}
    text = json.dumps(answer, separators=None if fault("loose-json") else (",", ":"))
    if fault("no-line-end"):
        return emit(text)
    if fault("byte-order-mark"):
        text = "\ufeff" + text
    if fault("text-after-answer"):
        text += "\ndone"
    if fault("talks-on-stderr"):
        os.write(2, b"looking\n")
    if fault("floods-stderr"):
        os.write(2, b"debug\n" * 1000)
    return say(text)


def do_list():
    if fault("list-reads-input"):
        while os.read(0, 1):
            pass
    if fault("list-prompts"):
        with open("/dev/tty", "w", encoding="ascii") as terminal:
            terminal.write("Passphrase: ")
    listed = {}
    store = Store()
    try:
        store.load()
    except Failure:
        if not fault("locked-lists-empty"):
            raise
        store.tree = {"auths": {}}
    for key, entry in store.tree["auths"].items():
        if not entry:
            if fault("lists-foreign"):
                listed[key] = ""
            continue
        try:
            username, secret = decode(entry)
        except Failure:
            if fault("bad-entry-fails-list"):
                raise
            continue
        key = "Registry credentials for " + key if fault("list-labels") else key
        key = parse(key)[1] if fault("list-canonical") else key
        listed[key] = f"{username}:{secret}" if fault("list-secrets") else username
    say("null" if not listed and fault("list-null") else json.dumps(listed, separators=(",", ":")))


def emit(text):
    data = text.encode()
    while data:
        data = data[os.write(1, data) :]


def say(line):
    emit(line + "\n")


def run(arguments):
    if fault("extra-arguments-ignored"):
        arguments = arguments[:1]
    if len(arguments) != 1:
        raise Failure(USAGE)
    verb = arguments[0].lower() if fault("verbs-in-any-case") else arguments[0]
    if verb in ("--help", "-h"):
        return say(USAGE)
    if verb in ("version", "--version", "-v") and not (fault("no-version-flag") and "-" in verb):
        return say("0.6.4" if fault("bare-version") else f"{NAME} (mutant) 1.0")
    actions = {"get": do_get, "store": do_store, "erase": do_erase, "list": do_list}
    if verb not in actions:
        shown = verb if fault("raw-verb") else verb[:40] if verb.isprintable() else "(unprintable)"
        raise Failure(f"{NAME}: unknown action: {shown}")
    return actions[verb]()


def main():
    for descriptor in (0, 1, 2):  # what is closed must not become a file of the store
        try:
            os.fstat(descriptor)
        except OSError:
            if not fault("streams-not-guarded"):
                os.open("/dev/null", os.O_RDONLY)
    if not fault("core-allowed"):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        run(sys.argv[1:])
    except Failure as failure:
        text = str(failure)
        if text == NOT_FOUND:
            text = "Credentials not found" if fault("other-miss-text") else text
            text = "error: " + text if fault("miss-prefixed") else text
            if fault("miss-on-stderr"):
                os.write(2, (text + "\n").encode())
                return 1
            if fault("miss-exits-0"):
                say(text)
                return 0
        elif fault("refuses-as-miss"):
            text = NOT_FOUND
        elif fault("errors-in-two-lines"):
            text += "\nsee the manual"
        if fault("errors-on-stderr"):
            os.write(2, (text + "\n").encode())
            return 1
        say(text)
        return 2 if fault("exits-2") else 1
    except OSError:
        return 0 if fault("write-errors-ignored") else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
