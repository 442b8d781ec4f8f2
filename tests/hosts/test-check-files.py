# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts check`: traps of hosts directories and hosts.toml files."""

import base64
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import BASIC, CERTS, CONFIG, MARKER, PROGRAM, Node
from tap import case, check, equal, run
from traps import A, DEFAULT, E, HELPER, HUB, N, PLAIN, R, TARGET, W, header, reads, trap

GHCR = '[host."https://ghcr.io".auth]\ncredHelper = "pullkey"\n'
trap("no TOML in hosts.toml", "2.1.0", {**R, A: '[host."https://a.example"\n'},
     ("hosts-file-refused", A, 1, E))
trap("a capability of nowhere", "2.1.0", {**R, A: PLAIN + 'capabilities = ["pull", "fly"]\n'},
     ("hosts-file-refused", A, 2, E))
trap("a value of another type", "2.1.0", {**R, A: PLAIN + 'skip_verify = "yes"\n'},
     ("hosts-file-refused", A, 2, E))
trap("an empty file shadows _default", "2.1.0", {**R, A: "", DEFAULT: PLAIN},
     ("default-shadowed", CERTS + "/a.example", None, W), ("mirror-gets-pull-secrets", DEFAULT, 1, N))
trap("an empty directory shadows _default", "2.1.0",
     {**R, CERTS + "/a.example": None, DEFAULT: PLAIN},
     ("default-shadowed", CERTS + "/a.example", None, W), ("mirror-gets-pull-secrets", DEFAULT, 1, N))
trap("certificates shadow _default", "2.1.0",
     {**R, CERTS + "/a.example/ca.crt": "", DEFAULT: PLAIN},
     ("default-shadowed", CERTS + "/a.example", None, W), ("mirror-gets-pull-secrets", DEFAULT, 1, N))
trap("an empty directory", "2.1.0", {**R, CERTS + "/a.example": None},
     ("directory-empty", CERTS + "/a.example", None, N))
trap("certificates", "2.1.0", {**R, CERTS + "/a.example/ca.crt": ""})
trap("_default in an earlier directory", "2.0.11",
     {**reads(CERTS + ":/certs"), DEFAULT: 'server = "https://a.example"\n' + PLAIN,
      "/certs/b.example/hosts.toml": '[host."https://b.example"]\n'},
     ("mirror-gets-pull-secrets", DEFAULT, 2, N),
     ("default-hides-directory", "/certs/b.example", None, E))
trap("the secret of _default", "2.1.0", {**R, DEFAULT: f'[header]\nX-Token = "{MARKER}"\n' + PLAIN},
     ("default-header", DEFAULT, 2, E), ("header-forwarded", DEFAULT, 2, E),
     ("mirror-gets-pull-secrets", DEFAULT, 3, N))
trap("a helper at the root of _default", "2.1.0",
     {**reads(TARGET), DEFAULT: '[auth]\ncredHelper = "pullkey"\n' + HELPER},
     ("helper-problem", DEFAULT, 2, E))
trap("two spellings of a port", "2.1.0",
     {**R, CERTS + "/a.example_5000_/hosts.toml": '[host."http://a.example:5000"]\n',
      CERTS + "/a.example:5000/hosts.toml": '[host."http://a.example:5000"]\n'},
     ("directory-shadowed", CERTS + "/a.example_5000_", None, W))
trap("Docker Hub by another name", "2.1.0",
     {**R, CERTS + "/registry-1.docker.io/hosts.toml": '[host."https://registry-1.docker.io"]\n'},
     ("mirror-gets-pull-secrets", CERTS + "/registry-1.docker.io/hosts.toml", 1, N),
     ("hub-directory", CERTS + "/registry-1.docker.io", None, W))
trap("an inline host", "2.1.0", {**R, A: 'host = { "https://a.example" = {} }\n'},
     ("inline-host", A, 1, E))
trap("an inline host below [host]", "2.1.0", {**R, A: '[host]\n"https://a.example" = {}\n'},
     ("inline-host", A, 2, E))
trap("an inline host, 1.7", "1.7.33", {**R, A: 'host = { "https://a.example" = {} }\n'})
# Found to panic with 1.7.35; one host alone is not sorted.
for release, *finding in (("1.7.35", ("host-no-table", A, 1, E)), (None, ("host-no-table", A, 1, N)), ("2.0.0",)):
    trap(f"a host that is no table, {release}", release, {**R, A: 'host."https://b.example" = 1\n' + PLAIN},
         ("hosts-file-refused", A, 1, E), *finding)
trap("one host that is no table, 1.7", "1.7.35", {**R, A: 'host."https://b.example" = 1\n'},
     ("hosts-file-refused", A, 1, E))
trap("a dotted host", "2.1.0", {**R, A: 'host."https://a.example".skip_verify = true\n'},
     ("inline-host", A, 1, E))
trap("tables that stand apart", "2.1.0",
     {**R, A: PLAIN + '[host."https://b.example"]\n[host."https://a.example".header]\nX-A = "b"\n'},
     ("mirror-gets-pull-secrets", A, 2, N), ("host-tables-apart", A, 3, W))
for release, level in (("1.7.31", E), (None, N)):
    trap(f"only a server, {release}", release, {**R, A: 'server = "https://a.example"\n'},
         ("server-only", A, None, level))
for release in ("1.7.32", "2.0.0"):
    trap(f"only a server, {release}", release, {**R, A: 'server = "https://a.example"\n'})
for release, level in (("2.1.9", E), ("1.7.30", E), (None, N)):
    trap(f"referrers, {release}", release, {**R, A: PLAIN + 'capabilities = ["referrers"]\n'},
         ("referrers-before-2.2", A, 2, level))
# What pullkey makes of a file has neither of the two faults.
SERVED = 'server = "https://a.example"\n[auth]\ncredHelper = "pullkey"\n'
MAYBE = ("bearer-unknown", A, 3, N)
NOT_TARGET = ("config-path-not-target", CONFIG, 3, E)
ONLY = ("server-only", A, None, E)
trap("only a server, with a helper", "1.7.31", {**reads(TARGET), A: SERVED}, MAYBE)
trap("only a server, with a helper, unknown release", None, {**reads(TARGET), A: SERVED})
trap("only a server, with a helper that nobody asks", "1.7.31", {**R, A: SERVED}, ONLY, MAYBE, NOT_TARGET)
trap("only a server, with a helper, and another directory is read", "1.7.31",
     {**reads("/certs"), "/certs": None, A: SERVED}, ONLY, MAYBE, NOT_TARGET)
trap("only a server, with a helper, and no directory is read", "1.7.31", {CONFIG: "version = 2\n", A: SERVED},
     ONLY, MAYBE, ("config-path-not-target", CONFIG, None, E), ("config-path-unset", CONFIG, None, E))
trap("only a server, with a helper that is none", "1.7.31",
     {**reads(TARGET), A: SERVED.replace('"pullkey"', '"../x"')}, ONLY, ("helper-problem", A, 1, E))
trap("only a server, with a key that gets no table", "1.7.31",
     {**reads(TARGET), A: SERVED.replace("[auth]", "Skip_Verify = false\n[auth]")}, ONLY, ("bearer-unknown", A, 4, N))
REFERRERS = PLAIN + 'capabilities = ["pull", "referrers"]\n' + HELPER
trap("referrers, with a helper", "2.1.9", {**reads(TARGET), A: REFERRERS})
trap("referrers, with a helper, unknown release", None, {**reads(TARGET), A: REFERRERS},
     ("referrers-before-2.2", A, 2, N))
trap("referrers, with a helper that nobody asks", "2.1.9", {**R, A: REFERRERS},
     ("referrers-before-2.2", A, 2, E), NOT_TARGET)
trap("referrers, and another file has a helper", "2.1.9",
     {**reads(TARGET), A: PLAIN + 'capabilities = ["referrers"]\n', HUB: GHCR}, ("referrers-before-2.2", A, 2, E))
trap("referrers in a directory that pullkey does not read", "2.1.9",
     {**reads(TARGET), A.replace("containerd", "docker"): REFERRERS},
     ("referrers-before-2.2", A.replace("containerd", "docker"), 2, E))
trap("referrers, 2.2", "2.2.0", {**R, A: PLAIN + 'capabilities = ["referrers"]\n'})
H = '[host."http://a.example"]\n'
trap("dial_timeout with http, 2.0", "2.0.11", {**R, A: H + 'dial_timeout = "1s"\n'},
     ("dial-timeout-http", A, 2, W))
trap("dial_timeout with http, 2.1", "2.1.0", {**R, A: H + 'dial_timeout = "1s"\n'})
trap("dial_timeout, 1.7", "1.7.22", {**R, A: PLAIN + 'dial_timeout = "1s"\n'},
     ("dial-timeout-ignored", A, 2, N))
trap("ca that is there, relative", "2.1.0",
     {**R, A: PLAIN + 'ca = "ca.crt"\n', CERTS + "/a.example/ca.crt": ""})
trap("certificates that are missing", "2.1.0",
     {**R, A: PLAIN + 'ca = ["x.crt", "/y.crt"]\nclient = [["z.cert", "z.key"], "w.pem"]\n'},
     *[("certificate-missing", A, line, E) for line in (2, 2, 3, 3, 3)])
trap("certificates that stand there themselves", "2.1.0",
     {**R, A: PLAIN + f'client = [["""-----BEGIN CERTIFICATE-----\n{"x" * 5000}""", """\n-----BEGIN PRIVATE KEY-----\n'
                      f'{MARKER}"""]]\nca = "-----BEGIN CERTIFICATE-----"\n'},
     *[("certificate-missing", A, line, E) for line in (2, 3, 6)])
for how in ('[host."http://a.example"]\n', '[host."https://a.example"]\nskip_verify = true\n'):
    url = how.split('"')[1]
    trap(f"a header over {how!r}", "2.1.0",
         {**R, A: how + header(f'"Basic {BASIC}"', url=url)},
         ("insecure-credential", A, how.count("\n") + 2, E),
         ("plaintext-header", A, how.count("\n") + 2, E))
    trap(f"a helper over {how!r}", "2.1.0",
         {**reads(TARGET), A: how + f'[host."{url}".auth]\ncredHelper = "pullkey"\n'},
         ("helper-problem", A, how.count("\n") + 2, E))
    trap(f"allowed over {how!r}", "2.1.0",
         {**reads(TARGET),
          A: how + f'[host."{url}".auth]\ncredHelper = "pullkey"\nallowInsecure = true\n'},
         ("insecure-allowed", A, how.count("\n") + 2, N))
trap("a header to push with", "2.1.0",
     {**reads(TARGET), A: PLAIN + 'capabilities = ["push"]\n' + HELPER},
     ("push-only-credential", A, 2, N))
trap("Bearer, 2.0", "2.0.11", {**reads(TARGET), HUB: GHCR}, ("bearer-before-2.1", HUB, 2, E))
trap("Bearer, unknown release", None, {**reads(TARGET), HUB: GHCR}, ("bearer-before-2.1", HUB, 2, N))
trap("Bearer, 2.1", "2.1.0", {**reads(TARGET), HUB: GHCR})
trap("maybe Bearer, 2.0", "2.0.11", {**reads(TARGET), A: HELPER}, ("bearer-unknown", A, 2, N))
trap("keys that containerd has not", "2.1.0",
     {**R, A: 'sever = "https://a.example"\n' + PLAIN + 'capabilites = ["pull"]\n'},
     ("unknown-key", A, 1, W), ("unknown-key", A, 3, W))
trap("secrets under keys that containerd has not", "2.1.0",
     {**R, A: PLAIN + f'password = "{MARKER}"\n'
              f'[host."https://a.example".auth]\nusername = "u"\npassword = "{MARKER}"\n'},
     ("plaintext-ignored", A, 2, E), ("unknown-key", A, 4, W), ("plaintext-ignored", A, 5, E),
     ("unknown-key", A, 5, W))
trap("a helper in the wrong place", "2.1.0",
     {**R, A: 'credHelper = "pullkey"\n' + PLAIN + '[host."https://a.example".auth]\ncredhelper = "pullkey"\n'},
     ("helper-misplaced", A, 1, E), ("helper-misplaced", A, 4, E))
for key in ("credhelper", "CredHelper", "CREDHELPER"):
    trap(f"{key} of a host", "2.1.0", {**R, A: PLAIN + f'{key} = "pullkey"\n'}, ("helper-misplaced", A, 2, E))
    trap(f"{key} outside of a host", "2.1.0", {**R, A: f'{key} = "pullkey"\n' + PLAIN}, ("helper-misplaced", A, 1, E))
trap("credHelper outside of a host", "2.1.0", {**R, A: 'credHelper = "pullkey"\n'}, ("helper-misplaced", A, 1, E))
trap("a table Auth of a host", "2.1.0",
     {**R, A: PLAIN + '[host."https://a.example".Auth]\ncredHelper = "pullkey"\n'}, ("helper-misplaced", A, 2, E))
trap("a table Auth of the server", "2.1.0", {**R, A: '[AUTH]\ncredHelper = "pullkey"\n' + PLAIN},
     ("helper-misplaced", A, 1, E))
trap("a helper in its places", "2.1.0",
     {**reads(TARGET), A: 'server = "https://b.example"\n[auth]\ncredHelper = "pullkey"\n' + PLAIN
                          + 'credHelper = "pullkey"\n'})
trap("a helper that is none", "2.1.0",
     {**reads(TARGET), A: '[host."https://a.example".auth]\ncredHelper = "../x"\n'},
     ("helper-problem", A, 1, E))
trap("a helper and a header", "2.1.0", {**reads(TARGET), A: HELPER + header(f'"Basic {BASIC}"')},
     ("helper-problem", A, 2, E), ("plaintext-header", A, 4, E))
trap("a helper that is not installed", "2.1.0",
     {**reads(TARGET), A: '[host."https://a.example".auth]\ncredHelper = "gcr"\n'},
     ("helper-user-missing", None, None, E), ("helper-missing", A, 2, E))
trap("a credential in a URL", "2.1.0", {**R, A: f'[host."https://u:{MARKER}@a.example"]\n'},
     ("url-credential", A, 1, E))
for what, value in (("Basic", f'"Basic {BASIC}"'), ("Bearer", f'"Bearer {MARKER}"'),
                    ("a list", f'["Basic {BASIC}"]')):
    trap(f"a header, {what}", "2.1.0", {**R, A: header(value)}, ("plaintext-header", A, 2, E))
trap("lower case", "2.1.0", {**R, A: header(f'"Basic {BASIC}"', "authorization")},
     ("plaintext-header", A, 2, E), ("header-lower-case", A, 2, W))
trap("base64 that is wrapped", "2.1.0", {**R, A: header(f'"""Basic {BASIC[:20]}\n{BASIC[20:]}"""')},
     ("header-line-break", A, 2, E), ("plaintext-header", A, 2, E))
trap("base64 with an escaped end of line", "2.1.0", {**R, A: header(f'"Basic {BASIC}\\n"')},
     ("header-line-break", A, 2, E), ("plaintext-header", A, 2, E))
trap("base64 that is wrapped in a plain string", "2.1.0",
     {**R, A: header(f'"Basic {BASIC[:20]}\n{BASIC[20:]}"', "authorization")},
     ("header-line-break", A, 2, E), ("hosts-file-refused", A, 2, E), ("plaintext-header", A, 2, E))
trap("what a shell was to expand", "2.1.0",
     {**R, A: header(f'"Basic $(echo -n puller:{MARKER} | base64)"')},
     ("header-not-expanded", A, 2, E), ("plaintext-header", A, 2, E))
for value in ("Basic puller:x", "Basic bm9jb2xvbg==", "Basic ", BASIC):
    trap(f"no Basic value: {value[:6]}", "2.1.0", {**R, A: header(f'"{value}"')},
         ("header-malformed", A, 2, E), ("plaintext-header", A, 2, E))
trap("another header", "2.1.0", {**R, A: header(f'"{MARKER}"', "X-JFrog-Art-Api-Key") + 'X-Site = "a"\n'},
     ("header-forwarded", A, 2, E))
trap("secrets of a refused file", "2.1.0",
     {**R, A: header(f'"Basic {BASIC}"') + '[host."https://b.example"]\nca = 1\n'},
     ("plaintext-header", A, 2, E), ("hosts-file-refused", A, 4, E))

# -- Links ---------------------------------------------------------------------------------------

IDENTITY = base64.b64encode(f"<token>:{MARKER}".encode()).decode()
GONE = ("link", "/srv/gone")
D = CERTS + "/a.example"
trap("a link to nothing", "2.1.0", {**R, CERTS: None, D: GONE}, ("link-dangling", D, None, W))
trap("a relative link to nothing", "2.1.0", {**R, CERTS: None, D: ("link", "../gone")}, ("link-dangling", D, None, W))
trap("a link to nothing, beside _default", "2.1.0", {**R, D: GONE, DEFAULT: PLAIN},
     ("link-dangling", D, None, W), ("mirror-gets-pull-secrets", DEFAULT, 1, N))
trap("_default is a link to nothing", "2.1.0", {**R, CERTS: None, CERTS + "/_default": GONE},
     ("link-dangling", CERTS + "/_default", None, W))
trap("hosts.toml is a link to nothing", "2.1.0", {**R, A: GONE},
     ("link-dangling", A, None, W), ("directory-empty", D, None, N))
trap("a link to nothing in a directory that nobody reads", "2.1.0",
     {**reads("/certs"), "/certs": None, D: GONE}, ("link-dangling", D, None, W))
trap("links that lead somewhere", "2.1.0",
     {**R, D: ("link", "/srv/a"), "/srv/a/hosts.toml": ("link", "../b.toml"), "/srv/b.toml": PLAIN})
trap("a link to what is made at boot", "2.1.0", {**R, CERTS: None, D: ("link", "/run/a")})


# -- Files ---------------------------------------------------------------------------------------

for name in ("a.example", "a.example:5000", "localhost:5000", "_default"):
    trap(f"a file called {name}", "2.1.0", {**R, f"{CERTS}/{name}": ""},
         ("directory-is-file", f"{CERTS}/{name}", None, E))
trap("a link to a file", "2.1.0", {**R, D: ("link", "/srv/a"), "/srv/a": ""}, ("directory-is-file", D, None, E))
trap("a hosts.toml of no registry", "2.1.0", {**R, CERTS + "/hosts.toml": PLAIN},
     ("hosts-file-misplaced", CERTS + "/hosts.toml", None, W))
trap("files that nobody takes for registries", "2.1.0",
     {**R, **{f"{CERTS}/{name}": "" for name in ("README", "README.md", "a.example.bak", "ca.crt", ".a.example.swp")}})

# -- URLs ----------------------------------------------------------------------------------------

for url in ("httpd.example", "ftp://a.example", "Https://a.example", "https:a.example"):
    trap(f"a server called {url}", "2.1.0", {**R, A: f'server = "{url}"\n' + PLAIN}, ("url-scheme", A, 1, E))
    trap(f"a host called {url}", "2.1.0", {**R, A: PLAIN + f'[host."{url}"]\n'}, ("url-scheme", A, 2, E))
trap("a server and a host without a scheme", "2.1.0", {**R, A: 'server = "a.example"\n[host."a.example"]\n'})
trap("no server for a registry with a name like a scheme", "2.1.0",
     {**R, CERTS + "/httpd.example/hosts.toml": '[host."https://httpd.example"]\n'})
trap("a header with an identity token", "2.1.0", {**R, A: header(f'"Basic {IDENTITY}"')},
     ("header-identity-token", A, 2, E), ("plaintext-header", A, 2, E))


# -- Who may write -------------------------------------------------------------------------------

def problem_of_render(node):
    """What a render of the node's hosts directories says of its one file."""
    target = node.path("/target")
    done = subprocess.run([PROGRAM, "render", f"--source={node.path(CERTS)}", f"--target={target}"],
                          capture_output=True, text=True, timeout=60, env={**os.environ, "PULLKEY_CONFIG_JSON": EMPTY})
    shutil.rmtree(target)
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if "others may write" in line or "belongs" in line]


EMPTY = '{"version": 1, "default": []}'
UNTRUSTED = ("hosts-file-untrusted", A, None, E)


@case("a hosts.toml that others may write to, or that is somebody's, is refused by render, and named")
def trust():
    with Node({**reads(TARGET), A: HELPER}, "2.1.0") as node:
        path = node.path(A)
        for mode, expected in ((0o644, []), (0o666, [UNTRUSTED]), (0o620, [UNTRUSTED]), (0o602, [UNTRUSTED]),
                               (0o600, [])):
            os.chmod(path, mode)
            equal(node.findings(), expected, oct(mode))
            equal(len(problem_of_render(node)), len(expected), oct(mode))
        os.chmod(path, 0o666)
        (found,) = node.report()[1]["findings"]
        check("0666" in found["text"] and found["fix"].startswith("chmod go-w"), found)
        os.chmod(path, 0o644)
        if os.geteuid() == 0:  # who alone can give a file away
            os.chown(path, 12345, -1)
            equal(node.findings(), [UNTRUSTED])
            equal(len(problem_of_render(node)), 1)
            (found,) = node.report()[1]["findings"]
            check("user 12345" in found["text"] and found["fix"].startswith("chown root"), found)


@case("a directory that others may write to, or that is somebody's")
def trusted_directories():
    with Node({**R, A: PLAIN}, "2.1.0") as node:
        for place in (CERTS, D):
            for mode, count in ((0o755, 0), (0o777, 1), (0o1777, 1), (0o775, 1), (0o700, 0)):
                os.chmod(node.path(place), mode)
                equal(node.findings(), [("directory-untrusted", place, None, W)] * count, f"{place} {mode:o}")
            if os.geteuid() == 0:
                os.chown(node.path(place), 12345, -1)
                equal(node.findings(), [("directory-untrusted", place, None, W)])
                os.chown(node.path(place), 0, -1)


@case("what a link to nothing means depends on _default")
def link_meaning():
    for files, said in (({}, "pulls from the registry itself"), ({DEFAULT: PLAIN}, "takes _default for this registry")):
        with Node({**R, D: GONE, **files}, "2.1.0") as node:
            (text,) = [item["text"] for item in node.report()[1]["findings"] if item["id"] == "link-dangling"]
            equal(text, f"it leads to /srv/gone, which is not there: containerd {said}")
    with Node({**reads(TARGET), TARGET + "/a.example": GONE}, "2.1.0") as node:
        check("link-dangling" not in {f[0] for f in node.findings()}, "what pullkey writes is its own affair")


sys.exit(run())
