# SPDX-License-Identifier: Apache-2.0
"""Groups D and E: erase and list."""

import json

from tap import Difference, case
from target import NOT_FOUND, NO_SERVER, check, locked_list_fault, refusal_fault

HUB = "https://index.docker.io/v1/"


@case("D1 erase of a stored key: silent, exit 0")
def erase_hit(target):
    target.store("d1.test")
    target.erase("d1.test")
    target.miss("d1.test")
    target.lists({})


@case("D2 erase of an absent key: silent, exit 0")
def erase_miss(target):
    target.erase("d2.test")
    target.store("other.test")
    target.erase("d2.test")
    target.hit("other.test")


@case("D3 erase twice")
def erase_twice(target):
    target.store("d3.test")
    target.erase("d3.test")
    target.erase("d3.test")


@case("D4 erase trims line ends and blanks")
def erase_line_ends(target):
    for request in ("d4.test\n", "d4.test\r\n", "  d4.test \n"):
        target.store("d4.test")
        target.erase(request)
        target.miss("d4.test")


@case("D5 erase of nothing: no server URL")
def erase_nothing(target):
    target.store("d5.test")
    for request in ("", "\n", "\r\n", "  "):
        target.fails("erase", request, NO_SERVER)
    target.hit("d5.test")


@case("D6 after erase get misses, others stay, and store works again")
def erase_one_of_many(target):
    for number in range(5):
        target.store(f"d6-{number}.test", secret=f"secret number {number}")
    target.erase("d6-2.test")
    target.miss("d6-2.test")
    for number in (0, 1, 3, 4):
        target.hit(f"d6-{number}.test", secret=f"secret number {number}")
    target.store("d6-2.test", secret="stored once more")
    target.hit("d6-2.test", secret="stored once more")


@case("D7 docker logout: host, host, http://host, https://host, all exit 0")
def docker_logout(target):
    target.store("d7.test")
    for request in ("d7.test", "d7.test", "http://d7.test", "https://d7.test"):
        target.erase(request)
    target.miss("d7.test")
    target.store(HUB)
    target.miss(HUB + "refresh-token")
    target.erase(HUB)
    target.miss(HUB)


@case("D7 erase of http://host or of a path leaves the host's entry")
def erase_does_not_shorten(target):
    target.store("d7.test")
    target.erase("http://d7.test")
    target.erase("d7.test/team/app")
    target.erase("d7.test:5000")
    target.hit("d7.test")
    target.store("d7.test/team")
    target.erase("d7.test")
    target.hit("d7.test/team/app")


@case("D8 a locked store: every verb fails with one clear line, nothing is lost")
def locked_store(target):
    target.store("d8.test")
    target.profile.lock(target)
    for verb, data in (
        ("erase", b"d8.test"),
        ("get", b"d8.test"),
        ("store", target.payload("d8.test", "wrong", "another one")),
    ):
        result = target.run(verb, data)
        if refusal_fault(result):
            raise Difference(f"{verb}, locked", "exit 1 and one clear line", result)
    result = target.run("list")
    fault = locked_list_fault(result, {"d8.test": "user"})
    if fault:
        raise Difference("list, locked", fault, result)
    target.profile.unlock(target)
    target.hit("d8.test")


@case("D9 a refused key is refused by erase and leaves what is there")
def erase_refused(target):
    target.store("d9.test")
    for request in ("d9.test\nx", "d9.\ntest", "u@d9.test", "d9%2etest", "d9.test:99999", "/"):
        target.refused("erase", request)
    target.hit("d9.test")


@case("E1 an empty store lists {}")
def list_empty(target):
    for moment in ("before anything was stored", "after the last entry was erased"):
        result = target.run("list", b"unused")
        if (result.code, result.out, result.err) != (0, b"{}\n", b""):
            raise Difference(f"list {moment}", "exit 0, stdout '{}\\n'", result)
        target.store("e1.test")
        target.erase("e1.test")


@case("E2 every listed key works in get and in erase")
def listed_keys_work(target):
    keys = (
        HUB,
        HUB + "access-token",
        "e2.test",
        "e2.test:5000",
        "https://two.e2.test/v2/",
        "http://e2.test",
        "e2.test/team/app",
        "[::1]:5000",
        "nerdctl-experimental://team.test/host/e2.test/v2",
        "xn--bcher-kva.test",
    )
    for number, key in enumerate(keys):
        target.store(key, f"user{number}", f"secret number {number}")
    entries = target.listing()
    expected = {key: f"user{number}" for number, key in enumerate(keys)}
    if entries != expected:
        raise Difference("list", sorted(expected), sorted(entries))
    for number, key in enumerate(keys):
        target.hit(key, f"user{number}", f"secret number {number}")
    for key in entries:
        target.erase(key)
        target.miss(key)
    target.lists({})


@case("E2 keys are listed as they were stored")
def keys_verbatim(target):
    for key in ("HOST.E2.test", "https://slash.e2.test/", "port.e2.test:443"):
        target.store(key)
        target.lists({key: "user"})
        target.erase(key)


@case("E3 <token> as a user is listed; one JSON object and LF")
def list_token(target):
    target.store("e3.test", "<token>", "a refresh token")
    target.store('quote.e3.test', 'quo"te\\', "another secret")
    target.lists({"e3.test": "<token>", "quote.e3.test": 'quo"te\\'})
    result = target.run("list")
    text = result.out.decode()
    check(text.endswith("}\n") and json.loads(text), f"not one object and LF: {text!r}")


@case("E4 no secret in the list")
def list_has_no_secrets(target):
    for number in range(4):
        target.store(f"e4-{number}.test", secret=f"very secret {number}")
    result = target.run("list")
    check(result.code == 0 and b"very secret" not in result.out, f"list shows a secret: {result}")
    check(b"dmVyeSBzZWNyZX" not in result.out, f"list shows an encoded secret: {result}")


@case("E5 foreign items in the store are not listed and survive a store")
def foreign_items(target):
    target.store("e5.test")
    survived = target.profile.add_foreign(target)
    target.lists({"e5.test": "user"})
    target.hit("e5.test")
    target.store("another.e5.test")
    check(survived(), "a foreign item was lost by store")
    target.erase("another.e5.test")
    check(survived(), "a foreign item was lost by erase")


@case("E6 one bad entry does not fail the list, nor other entries")
def bad_entry(target):
    target.store("e6.test")
    bad = target.profile.add_bad(target)
    entries = target.listing()
    if entries.get("e6.test") != "user" or set(entries) - {"e6.test", bad}:
        raise Difference("list", "the good entry", entries)
    target.hit("e6.test")
    result = target.run("get", bad)
    if result.code != 1 or (result.out != NOT_FOUND and refusal_fault(result)):
        raise Difference("get of the bad entry", "exit 1 and one line", result)


@case("E7 many entries are listed, each once")
def many_entries(target):
    count = 20 if target.session.quick else 60
    expected = {f"e7-{number}.test:{5000 + number}": f"user{number}" for number in range(count)}
    for server, username in expected.items():
        target.store(server, username)
    target.lists(expected)
