# SPDX-License-Identifier: Apache-2.0
"""CredentialProviderConfigs, each with what is wrong with it: its findings as (level, name, line).

An error is what the kubelet ends at: tests/peers/test-kubelet-config.py has its own code say so.
"""

E, W, N = "error", "warning", "note"
CURRENT = "1.37"
TOKENS = """    tokenAttributes:
      serviceAccountTokenAudience: registry.example.com
      cacheType: ServiceAccount
      requireServiceAccount: false
"""
HEAD = """apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
"""
PROVIDER = """  - name: provider
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    defaultCacheDuration: 0s
    matchImages: [registry.example.com]
"""
PLAIN = HEAD + PROVIDER
WITH_TOKENS = PLAIN + TOKENS

CASES = []  # (name, files, version, findings)

# Standard input ends with the test, and so does the kubelet.
START = """import os, subprocess, sys
kubelet = subprocess.Popen(sys.argv[3:], executable=sys.argv[2], stdin=subprocess.PIPE)
while kubelet.args[0].encode() not in open(f"/proc/{kubelet.pid}/cmdline", "rb").read(): pass
status = subprocess.call(["sh", "-c", sys.argv[1]])
kubelet.stdin.close()
kubelet.wait()
sys.exit(status)
"""


def trap(name, text, *findings, version=CURRENT):
    """`text` is a file, or the files of a directory."""
    CASES.append((name, text, version, sorted(findings)))


def change(text, old, new):
    if text.count(old) != 1:
        raise AssertionError(f"{old!r} is {text.count(old)} times in {text!r}")
    return text.replace(old, new)


def plain(name, old, new, *findings, version=CURRENT):
    trap(name, change(PLAIN, old, new), *findings, version=version)


def tokens(name, old, new, *findings, version=CURRENT):
    trap(name, change(WITH_TOKENS, old, new), *findings, version=version)


JSON = """{"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig",
 "providers": [{"name": "provider",
  "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
  "defaultCacheDuration": "5m0s",
  "matchImages": ["registry.example.com"]}]}
"""

# -- Documents -----------------------------------------------------------------------------------

trap("fine", PLAIN)
trap("fine, with tokens", WITH_TOKENS)
trap("fine, as JSON", JSON)
trap("fine, v1beta1", PLAIN.replace("/v1\n", "/v1beta1\n"))
trap("fine, v1alpha1", PLAIN.replace("/v1\n", "/v1alpha1\n"))
trap("an unknown field", PLAIN + "    colour: blue\n", (E, "field-unknown", 8))
trap("an unknown field at the top", PLAIN + "metadata: {}\n", (E, "field-unknown", 8))
trap("an unknown field of the environment", PLAIN + "    env: [{name: A, value: B, from: C}]\n",
     (E, "field-unknown", 8))
trap("an unknown field, 1.31", PLAIN + "    colour: blue\n", (W, "field-unknown", 8), version="1.31")
plain("a field in another case", "matchImages", "matchimages",
      (E, "field-unknown", 7), (E, "match-missing", 4))
trap("a field twice", PLAIN + "    name: other\n", (E, "config-refused", 8))
trap("a field twice, JSON", change(JSON, '"kind"', '"kind": "CredentialProviderConfig", "kind"'),
     (E, "config-refused", 1))
plain("another group", "kubelet.config.k8s.io", "kubelet.example.com", (E, "api-version", 1))
plain("another version", "kubelet.config.k8s.io/v1", "kubelet.config.k8s.io/v2", (E, "api-version", 1))
plain("no version", "apiVersion: kubelet.config.k8s.io/v1\n", "", (E, "api-version", None))
plain("another kind", "CredentialProviderConfig", "KubeletConfiguration", (E, "kind", 2))
plain("no kind", "kind: CredentialProviderConfig\n", "", (E, "kind", None))
trap("an empty file", "", (E, "config-refused", None))
trap("a list", "- a\n", (E, "config-refused", None))
trap("no YAML", PLAIN + "\t: [\n", (E, "config-refused", 8))
trap("JSON with a comment", "{ // no\n" + JSON[1:], (E, "config-refused", 1))
trap("a flow mapping that is no JSON", "{apiVersion: kubelet.config.k8s.io/v1}\n", (E, "config-refused", 1))
trap("bytes behind JSON", JSON + "{}", (E, "config-refused", 6))
trap("an anchor", change(PLAIN, "name: provider", "name: &a provider"), (W, "config-not-checked", 4))
trap("a second document", PLAIN + "---\n" + PLAIN, (W, "config-not-checked", 8))
trap("no providers", HEAD.replace("providers:", "providers: []"), (E, "no-provider", None))
trap("providers are missing", HEAD.replace("providers:\n", ""), (E, "no-provider", None))
trap("providers are an object", HEAD + "  name: provider\n", (E, "field-type", 3))
trap("a provider is text", HEAD + "  - provider\n", (E, "field-type", 4))

# -- Types ---------------------------------------------------------------------------------------

for text in ("0", "1_000", "0x10", "1.5", ".5", "1e3", "yes", "Off", "y", "[a]", "{a: b}"):
    trap(f"an argument that is {text}", PLAIN + f"    args:\n      - {text}\n", (E, "field-type", 9))
for text in ('"0"', "'yes'", "0s", "1.5.0", "2026-11-30", "1:30", "_1", "0b", "0x", "yEs", "null", "~", "08:00"):
    trap(f"an argument that is {text}", PLAIN + f"    args:\n      - {text}\n")
trap("an argument of JSON that is a number", change(JSON, '"name"', '"args": [1], "name"'), (E, "field-type", 2))
trap("a value of the environment that is a number", PLAIN + "    env: [{name: A, value: 1}]\n",
     (E, "field-type", 8))
plain("images as text", "[registry.example.com]", "registry.example.com", (E, "field-type", 7))

# -- Providers -----------------------------------------------------------------------------------

plain("no name", "  - name: provider\n    api", "  - api", (E, "name-missing", 4))
plain("an empty name", "name: provider", 'name: ""', (E, "name-missing", 4))
plain("a number for a name", "name: provider", "name: 5", (E, "field-type", 4))
plain("a slash in the name", "name: provider", "name: a/provider", (E, "name-invalid", 4))
plain("a blank in the name", "name: provider", "name: a provider", (E, "name-invalid", 4))
plain("dots for a name", "name: provider", "name: ..", (E, "name-invalid", 4))
plain("a dot for a name", "name: provider", "name: .", (E, "name-invalid", 4))
trap("a name twice", PLAIN + PROVIDER, (E, "name-duplicate", 8))
plain("no version of the protocol", "    apiVersion: credentialprovider.kubelet.k8s.io/v1\n", "",
      (E, "plugin-version", 4))
plain("an unknown version of the protocol", "credentialprovider.kubelet.k8s.io/v1", "credentialprovider.kubelet.k8s.io/v2",
      (E, "plugin-version", 5))
plain("no images", "    matchImages: [registry.example.com]\n", "", (E, "match-missing", 4))
plain("an empty list of images", "[registry.example.com]", "[]", (E, "match-missing", 7))
plain("no duration", "    defaultCacheDuration: 0s\n", "", (E, "duration-missing", 4))
plain("null for a duration", "0s", "null", (E, "duration-missing", 6))
plain("a number for a duration", "0s", "0", (E, "field-type", 6))
for text in ("-1s", "-1ns", "-0.5h"):
    plain(f"a duration of {text}", "0s", text, (E, "duration-invalid", 6))
for text in ('""', "5", "5 m", "5d", "m", ".s", "1h30", "2562048h", "+", "99999999999999999999h", "-"):
    plain(f"a duration of {text}", "0s", '"' + text.strip('"') + '"', (E, "duration-invalid", 6))
for text in ('"0"', '"-0"', '"+5m"', "1h30m", "1.5h", ".5s", "5.s", "1us", "1\u00b5s", "1\u03bcs", "2562047h", "-0s"):
    plain(f"a duration of {text}", "0s", text)
trap("a secret in the environment",
     PLAIN + "    env:\n      - {name: REGISTRY_PASSWORD, value: hunter2hunter2}\n"
     "      - {name: REGISTRY_PASSWORD_FILE, value: /run/password}\n"
     "      - {name: TOKEN_URL, value: 'https://a.example'}\n      - {name: TOKEN_TTL, value: 10m}\n",
     (W, "env-secret", 9))

# -- Tokens --------------------------------------------------------------------------------------

tokens("an old protocol", "credentialprovider.kubelet.k8s.io/v1", "credentialprovider.kubelet.k8s.io/v1beta1",
       (E, "token-version", 8))
tokens("an old document", "kubelet.config.k8s.io/v1", "kubelet.config.k8s.io/v1beta1",
       (E, "token-config-version", 8))
AUDIENCE = "      serviceAccountTokenAudience: registry.example.com\n"
tokens("no audience", AUDIENCE, "", (E, "audience-missing", 8))
tokens("an empty audience", AUDIENCE, AUDIENCE.replace("registry.example.com", '""'), (E, "audience-missing", 9))
tokens("two audiences", AUDIENCE, AUDIENCE.replace("registry.example.com", "[a, b]"), (E, "field-type", 9))
tokens("no type of cache", "      cacheType: ServiceAccount\n", "", (E, "cache-type-missing", 8))
tokens("an unknown type of cache", "cacheType: ServiceAccount", "cacheType: token", (E, "cache-type-invalid", 10))
tokens("the type Token", "cacheType: ServiceAccount", "cacheType: Token")
tokens("nothing said of service accounts", "      requireServiceAccount: false\n", "", (E, "require-missing", 8))
tokens("text for a truth", "requireServiceAccount: false", 'requireServiceAccount: "false"', (E, "field-type", 11))
tokens("no for a truth", "requireServiceAccount: false", "requireServiceAccount: no")
REQUIRED, OPTIONAL = "      requiredServiceAccountAnnotationKeys: ", "      optionalServiceAccountAnnotationKeys: "
trap("annotations of an account that need not be", WITH_TOKENS + REQUIRED + "[a.example/b]\n",
     (E, "annotation-account", 12))
NEEDED = change(WITH_TOKENS, "requireServiceAccount: false", "requireServiceAccount: true")
trap("annotations", NEEDED + REQUIRED + "[a.example/b, c]\n" + OPTIONAL + "[A.Example/D_.e-f]\n")
trap("needed with yes", change(NEEDED, ": true", ": yes") + REQUIRED + "[c]\n")
trap("an annotation twice", NEEDED + REQUIRED + "[c, c]\n", (E, "annotation-duplicate", 12))
trap("an annotation in both lists", NEEDED + REQUIRED + "[c]\n" + OPTIONAL + "[d, c]\n",
     (E, "annotation-both", 13))
for key in ("a b", "a/b/c", "/b", "a/", "-a", "a_b/c", "a..b/c", "a./b", ".a/b", "a-/b", "x" * 64, "\u00e4"):
    trap(f"an annotation {key}", NEEDED + OPTIONAL + f'["{key}"]\n', (E, "annotation-invalid", 12))
tokens("a provider that echoes", "name: provider", "name: echo-token", (W, "pass-through", 10))

tokens("1.33 without the type of cache", "      cacheType: ServiceAccount\n", "", (W, "token-gate", 8),
       version="1.33")
trap("1.33 with the type of cache", WITH_TOKENS, (E, "cache-type-unknown", 10), (W, "token-gate", 8),
     version="1.33")
trap("1.32 with tokens", WITH_TOKENS, (E, "token-kubelet", 8), version="v1.32.11")
trap("1.31 with tokens", WITH_TOKENS, (W, "token-kubelet", 8), version="1.31")
trap("1.34 with tokens", WITH_TOKENS, version="1.34")

# -- Patterns ------------------------------------------------------------------------------------

for pattern, *found in (
    ("registry.example.com/*", (W, "pattern-path-glob", 7)),
    ("registry.example.com/team-*/", (W, "pattern-path-glob", 7)),
    ("https://registry.example.com", (W, "pattern-scheme", 7)),
    ("http://registry.example.com/a/", (W, "pattern-scheme", 7)),
    ("registry.example.com/app:1.0", (W, "pattern-tag", 7)),
    ("registry.example.com/app@sha256:aa", (W, "pattern-digest", 7)),
    ("registry.example.com/App/", (W, "pattern-case", 7)),
    ("registry.example.com/a", (N, "pattern-prefix", 7)),
    ("registry.example.com/a/",),
    ("registry.example.com:443", (W, "pattern-port", 7)),
    ("registry.example.com:5000/a/",),
    ("*", (W, "pattern-star", 7)),
    ("*.example.com",),
    ("*.*.example.com/a/",),
    ("reg?stry.example.com", (W, "pattern-query", 7)),
    ("registry.example.com/a/#b", (W, "pattern-query", 7)),
    ("user@registry.example.com", (W, "pattern-user", 7)),
    ("index.docker.io", (W, "pattern-hub", 7)),
    ("registry-1.docker.io/library/", (W, "pattern-hub", 7)),
    ("docker.io",),
    ("docker.io/nginx", (N, "pattern-hub-path", 7)),
    ("docker.io/library/",),
    ("/team/", (W, "pattern-host", 7)),
    ("", (W, "pattern-host", 7)),
    ("[fd00::1]", (W, "pattern-address", 7)),
    ("[fd00::1]:5000",),
    ("registry.example.com:x", (E, "pattern-invalid", 7)),
    ("regis try.example.com", (E, "pattern-invalid", 7)),
    ("registry.example.com/%zz", (E, "pattern-invalid", 7)),
    ("regi[stry.example.com", (E, "pattern-invalid", 7)),
    ("a." * 256 + "a", (W, "pattern-long", 7)),
):
    plain(f"the pattern {pattern[:40]!r}", "[registry.example.com]", f'["{pattern}"]', *found)

# -- Directories ---------------------------------------------------------------------------------

OTHER = change(PLAIN, "name: provider", "name: other")
trap("a directory", {"10-a.yaml": PLAIN, "20-b.json": change(JSON, '"provider"', '"other"'), "30.yml": change(PLAIN, "name: provider", "name: third"),
                     "README": "no"})
trap("a name twice in a directory", {"10-a.yaml": PLAIN, "20-b.json": JSON}, (E, "name-duplicate", 2))
trap("a directory of nothing", {"README": "no"}, (E, "directory-empty", None))
trap("a directory with a broken file", {"a.yaml": OTHER, "b.yaml": "- a\n"}, (E, "config-refused", None))
trap("a directory before 1.34", {"a.yaml": PLAIN}, (E, "directory-version", None), version="1.33")
