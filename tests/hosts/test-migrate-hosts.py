# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts migrate` on the hosts.toml of template trees: what each becomes, and what stays."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from migrated import A, HEADER, HUB, URL, levels, moves
from node import BASIC, CERTS, MARKER
from tap import case, check, equal, run
from template import SECRETS, STORE, Template, basic


@case("a Basic header in hosts.toml becomes a credHelper")
def header():
    text = f"""server = "{URL}"
[host."{URL}"]
  capabilities = ["pull", "resolve", "push"]
  ca = "/etc/containerd/certs.d/registry.corp.example/ca.crt" # the CA
[host."{URL}".header]
  authorization = "Basic {BASIC}"
"""
    after = text.replace(f'authorization = "Basic {BASIC}"', 'credHelper = "pullkey"')
    report = moves({A: text}, {A: after.replace(".header]", ".auth]")}, {URL: ("puller", MARKER)})
    equal(levels(report, "change")[0], (A, 6, f"credential of puller for {URL}"), "the row")
    check("+[host.\"" + URL + "\".auth]" in report["files"][0]["diff"], "the difference")
    check("-  authorization = \"********\"" in report["files"][0]["diff"], "the mask")


@case("what has no credential is left as it is: a helper, mirrors, certificates, a project of Harbor")
def left():
    pull = '  capabilities = ["pull", "resolve"]\n'
    caches = [f'[host."https://cache-{name}.example"]\n{pull}' for name in ("local", "region", "cdn")]
    harbor = '[host."https://harbor.corp.example/v2/dockerhub-proxy"'
    with Template(
        {
            CERTS + "/gcr.io/hosts.toml": 'server = "https://gcr.io"\n[host."https://gcr.io"]\n'
            f'{pull}[host."https://gcr.io".auth]\n  credHelper = "gcr"\n',
            HUB: 'server = "https://registry-1.docker.io"\n' + "".join(caches),
            CERTS + "/quay.io/hosts.toml":
                f'{harbor}]\n  override_path = true\n{harbor}.auth]\n  credHelper = "pullkey"\n',
            A: f'[host."{URL}"]\n  ca = ["ca.crt"]\n  client = [["c.cert", "c.key"]]\n'
            "  skip_verify = true\n",
            CERTS + "/docker.example/ca.crt": "",
            CERTS + "/docker.example/client.cert": "",
        }
    ) as tree:
        before = tree.files()
        report = tree.report("--write")
        equal((report["items"], report["files"], report["written"]), ([], [], False))
        equal(tree.files(), before)


@case("a list, wrapped base64, any case of Basic, and no line end at the end")
def spellings():
    for value in (
        f'["Basic {BASIC}"]',
        f'"basic  {BASIC[:8]}\\n{BASIC[8:]}\\n"',
        f'"""BASIC {BASIC[:8]}\n{BASIC[8:]}"""',
    ):
        moves(
            {A: f'[host."{URL}"]\n[host."{URL}".header]\nAuthorization = {value}'},
            {A: f'[host."{URL}"]\n[host."{URL}".auth]\ncredHelper = "pullkey"'},
            {URL: ("puller", MARKER)},
        )


@case("several hosts, and two paths of one host, with credentials of their own")
def paths():
    urls = ("https://h.example/v2/one", "https://h.example/v2/two", "https://h.example",
            "https://[2001:db8::1]:5000")
    text = after = ""
    for url, secret in zip(urls, SECRETS):
        pair = basic("robot$pull", secret)
        text += f'[host."{url}"]\n  override_path = true\n'
        after += f'[host."{url}"]\n  override_path = true\n'
        text += f'[host."{url}".header]\n  Authorization = "Basic {pair}"\n  X-A = "b"\n'
        after += f'[host."{url}".header]\n  X-A = "b"\n[host."{url}".auth]\ncredHelper = "pullkey"\n'
    wanted = {url.replace("/v2/", "/"): ("robot$pull", secret) for url, secret in zip(urls, SECRETS)}
    report = moves({CERTS + "/h.example/hosts.toml": text}, {CERTS + "/h.example/hosts.toml": after},
                   wanted)
    check("robot$pull" in json.dumps(report), "user names are shown")


@case("the header of a server, and one of all that pods name")
def servers():
    text = f'server = "{URL}"\n[header]\nAuthorization = "Basic {BASIC}"\n'
    moves({A: text}, {A: f'server = "{URL}"\n[auth]\ncredHelper = "pullkey"\n'},
          {URL: ("puller", MARKER)})
    with Template({CERTS + "/_default/hosts.toml": f'[header]\nauthorization = "Basic {BASIC}"\n'}) as tree:
        report = tree.report("--write", status=1)
        equal(levels(report, "problem"), [(CERTS + "/_default/hosts.toml", 2,
                                           "the Authorization header of any registry stays")], "row")
        check(not report["files"] and not os.path.exists(tree.path(STORE)), "nothing is stored")


@case("over http:// and with skip_verify the credential goes on being sent, and a note says so")
def insecure():
    text = f'[host."http://r.example"]\nheader.authorization = "Basic {BASIC}"\n'
    report = moves(
        {CERTS + "/r.example/hosts.toml": text},
        {CERTS + "/r.example/hosts.toml":
         '[host."http://r.example"]\nauth.credHelper = "pullkey"\nauth.allowInsecure = true\n'},
        {"http://r.example": ("puller", MARKER)},
    )
    check(levels(report, "note")[0][2].startswith("anybody on the way"), "the note")


@case("what is no Basic credential stays, and is said")
def others():
    for value, hint in (
        (f"Bearer {MARKER}", "only Basic"),
        ("Basic $(echo -n user:pass | base64)", "$(...)"),
        ("Basic ????", "no base64"),
        ("Basic dXNlcg==", "no colon"),
        ("Basic OnNlY3JldA==", "empty"),
        ("Basic dXNlcjo=", "empty"),
        ("Basic", "only Basic"),
    ):
        text = f'[host."{URL}"]\n[host."{URL}".header]\nAuthorization = "{value}"\n'
        with Template({A: text}) as tree:
            report = tree.report("--write", status=1)
            equal(tree.read(A), text, value)
            equal(len(levels(report, "problem")), 1, value)
            check(hint in report["items"][0]["hint"], f"{value}: {report['items'][0]['hint']}")


@case("a file that containerd cannot read is said, and nothing of it shown")
def broken():
    for text in (f'[host."{URL}".header]\nAuthorization = "Basic {BASIC[:9]}\n{BASIC[9:]}"\n',
                 f'[host."{URL}"]\ncapabilities = ["x"]\nheader.Authorization = "Basic {BASIC}"\n'):
        with Template({A: text}) as tree:
            report = tree.report(status=1)
            equal(len(report["items"]), 1, "rows")
            equal(tree.read(A), text, "the file")


@case("a file that cannot be read is said, with the reason, and is not nothing to do")
def unreadable():
    other = CERTS + "/other.example/hosts.toml"
    for what, reason in ((f'[host."{URL}".header]\nAuthorization = "Basic {BASIC}"\n' + "# x\n" * 262144,
                          "more than 1048576 bytes"),
                         (("link", "hosts.toml"), "leads nowhere"), (None, "not a regular file"),
                         ("fifo", "not a regular file"),
                         (f'[host."{URL}".header]\n# \0\nAuthorization = "{MARKER}"\n', "UTF-8")):
        with Template({A: what} if what != "fifo" else {}) as tree:
            if what == "fifo":
                os.makedirs(os.path.dirname(tree.path(A)))
                os.mkfifo(tree.path(A))
            tree.put(other, HEADER.replace("registry.corp", "other"))
            report = tree.report("--write", status=1)
            (problem,) = [item for item in report["items"] if item["level"] == "problem"]
            equal(problem["file"], A, "the file")
            check("cannot be read" in problem["what"] and reason in problem["hint"], problem)
            check("credHelper" in tree.read(other), "the others move")
    with Template() as tree:
        tree.put(CERTS + "/loop.example", ("link", "loop.example"))
        (problem,) = tree.report(status=1)["items"]
        equal(problem["file"], CERTS + "/loop.example/hosts.toml", "a directory")


@case("one host with two credentials: the first moves, the other is said with both places")
def two_credentials():
    files = {
        f"{CERTS}/{name}/hosts.toml":
            f'[host."{URL}"]\n[host."{URL}".header]\nAuthorization = "Basic {basic(name, secret)}"\n'
        for name, secret in (("a.example", MARKER), ("b.example", MARKER + "-two"))
    }
    with Template(files) as tree:
        report = tree.report("--write", status=1)
        problem = [item for item in report["items"] if item["level"] == "problem"][0]
        equal(problem["file"], f"{CERTS}/b.example/hosts.toml", "the second")
        check(f"{CERTS}/a.example/hosts.toml:3" in problem["hint"], problem["hint"])
        check("credHelper" in tree.read(f"{CERTS}/a.example/hosts.toml"), "the first")
        equal(tree.get(URL), ("a.example", MARKER), "the store")


@case("what the store has already is compared, never overwritten")
def stored():
    text = f'[host."{URL}"]\n[host."{URL}".header]\nAuthorization = "Basic %s"\n'
    with Template({A: text % BASIC}) as tree:
        tree.migrate("--write")
        tree.put(A, text % BASIC)
        report = tree.report("--write")
        check("stored already" in json.dumps(report), "the same again")
        tree.put(A, text % basic("puller", MARKER + "-two"))
        report = tree.report("--write", status=1)
        check("another credential" in json.dumps(report), "another one")
        equal(tree.get(URL), ("puller", MARKER), "the first stays")


@case("secrets in comments and in other keys are masked, and those that would stay are said")
def remains():
    text = f"""# the password is: {MARKER}-other
[host."{URL}"]
[host."{URL}".header]
# old token = {MARKER}-old
X-Api-Key = "{MARKER}-key"
Authorization = "Basic {BASIC}" # {BASIC}
"""
    with Template({A: text}) as tree:
        report = tree.report("--write", status=1)
        equal(levels(report, "problem")[0][:2], (A, 1), "where")


@case("a directory whose name is not UTF-8 does not break the JSON")
def name():
    text = f'[host."{URL}".header]\nAuthorization = "Basic {BASIC}"\n'
    with Template({CERTS + "/\udcff.example/hosts.toml": text}) as tree:
        place = CERTS + "/\ufffd.example/hosts.toml"
        report = tree.report()
        equal([file["file"] for file in report["files"]], [place])
        equal([row[:2] for row in levels(report, "change")], [(place, 2)])


sys.exit(run())
