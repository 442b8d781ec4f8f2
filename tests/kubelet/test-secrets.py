# SPDX-License-Identifier: Apache-2.0
"""Row 19 of the threat model: a secret is near at every failure, and in nothing that comes out.

lib/plugin searches stderr of each run, and the log at the end; stdout of a failure must be empty.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import tap
from plugin import PASSWORD, Plugin, request, rule, token

HOST = "registry.example.com"
IMAGE = f"{HOST}/team/app"


def refused(plugin, text):
    done = plugin.run(text)
    plugin.check_failed(done)


@tap.case("the search itself finds the secret, in every coding")
def the_search():
    with Plugin(log=False) as plugin:
        for data in (PASSWORD, f"x{PASSWORD}y", PASSWORD.encode().hex()):
            try:
                plugin.search(data.encode(), "this")
            except AssertionError:
                continue
            raise AssertionError(f"it is not found in {data!r}")
        plugin.search(b"mArKeR", "a part")


def broken(good):
    for length in range(0, len(good) - 2, 9):
        yield good[:length]
    for position in range(0, len(good) - 1, 13):
        for spoiler in ("\0", '"', "\\", "}", "\x7f", "\xff"):
            yield good[:position] + spoiler + good[position + 1 :]
    yield good + good
    yield "{" * 40 + good


@tap.case("requests with a token, broken at every position")
def requests():
    own = token()
    annotations = {"example.com/note": PASSWORD}
    good = request(IMAGE, serviceAccountToken=own, serviceAccountAnnotations=annotations)
    with Plugin() as plugin:
        plugin.secrets.append(own)
        plugin.configure([rule(use=[plugin.store({HOST: ("alice", PASSWORD)})])])
        failures = 0
        for text in broken(good):
            done = plugin.run(text.encode("latin-1"))
            if done.returncode != 0:
                failures += 1
                plugin.check_failed(done)
        tap.check(failures > 100, failures)


@tap.case("tokens that are refused")
def tokens():
    with Plugin() as plugin:
        for own in (token(exp=1), token(sub=PASSWORD), PASSWORD, token(**{PASSWORD: 1}, aud=None)):
            plugin.fail(IMAGE, serviceAccountToken=own)
            refused(plugin, request(IMAGE, serviceAccountToken=[own]))
            refused(plugin, request(IMAGE, serviceAccountAnnotations={own: 1}))


@tap.case("images with a password in them")
def images():
    with Plugin() as plugin:
        for image in (
            f"https://alice:{PASSWORD}@{IMAGE}",
            f"alice:{PASSWORD}@{IMAGE}",
            f"{PASSWORD}@{IMAGE}",
            PASSWORD,
        ):
            plugin.fail(image)


@tap.case("sources that fail while they hold it")
def sources():
    with Plugin() as plugin:
        plugin.secrets += ["mArKeR-of-a-helper"]
        path = plugin.store({HOST: ("alice", PASSWORD)})["path"]
        good = plugin.home.read("auth.json")
        use = {"type": "file", "encryption": "none", "path": path}
        for text in (good[:-1], good + good, good.replace('"auth"', '"auth":7,"auth"'), PASSWORD):
            plugin.home.write("auth.json", text)
            plugin.configure([rule(use=[use])])
            plugin.fail(IMAGE)
        for script in (
            "echo mArKeR-of-a-helper; exit 1\n",
            "echo mArKeR-of-a-helper >&2; exit 1\n",
            'echo \'{"Username":"a","Secret":"mArKeR-of-a-helper"\'\n',
            'echo \'{"Username":"a","Secret":["mArKeR-of-a-helper"]}\'\n',
            'echo \'{"Username":"<token>","Secret":"mArKeR-of-a-helper"}\'\n',
            'printf \'{"Username":"a","Secret":"mArKeR-of-a-helper\\377"}\'\n',
        ):
            plugin.configure([rule(use=[plugin.helper(script)])])
            plugin.fail(IMAGE)


@tap.case("a configuration that holds it")
def configurations():
    for text in (
        json.dumps({"version": 1, PASSWORD: 1}) + "x",
        json.dumps({"version": 1, "rules": [{"match": f"a:{PASSWORD}@b", "use": []}]}),
        json.dumps({"version": 1, "rules": [rule(use=[{"type": "env", "x": PASSWORD}])]}),
    ):
        with Plugin(text=text) as plugin:
            plugin.fail(IMAGE)


sys.exit(tap.run())
