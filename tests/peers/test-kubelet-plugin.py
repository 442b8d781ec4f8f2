# SPDX-License-Identifier: Apache-2.0
"""What pullkey's plugin answers, taken by the kubelet's own code, and every way of refusing it.

An answer is broken here in each way in which a kubelet refuses one (its plugin.go), by a filter
behind the plugin: what the kubelet takes without the filter, it does not take with it.
"""

import os
import sys
from contextlib import contextmanager
from functools import cache

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]

from kubelet import Kubelet, provider_config, token_attributes
from kubernetes import shared
from plugin import GROUP, PASSWORD, Plugin, rule
from tap import case, check, equal, run

HOST = "registry.example.com"
IMAGE = f"{HOST}/team/app"
OTHER = f"{HOST}/team/other"
ALICE = ("alice", PASSWORD)
NOBODY = ("", "")
AUDIENCE = "registry.example.com"
RULE = {"verbs": ["request-serviceaccounts-token-audience"], "resources": [AUDIENCE]}
NAME = "pullkey-kubelet"
# The plugin's own failure is one here too.
FILTER = """\
#!/bin/sh
set -e
answer=$({program})
printf '%s\\n' "$answer" | {behind}
"""


@contextmanager
def kubelet(plugin, version="v1", behind=None, match=("registry.example.com",), **options):
    """The kubelet's code with the installed plugin, and a shell filter behind it."""
    bin_dir = plugin.home.directory("bin")
    path = os.path.join(bin_dir, NAME)
    if os.path.lexists(path):
        os.unlink(path)
    if behind is None:
        os.symlink(plugin.program, path)
    else:
        text = FILTER.format(program=plugin.program, behind=behind)
        os.chmod(plugin.home.write(f"bin/{NAME}", text), 0o700)
    attributes = options.pop("tokenAttributes", None)
    names = "PULLKEY_CONFIG", "PULLKEY_CACHE_DIR", "PULLKEY_LOG"
    provider = {
        "name": NAME,
        "apiVersion": GROUP + version,
        "matchImages": list(match),
        "env": [{"name": name, "value": plugin.env[name]} for name in names],
    }
    if attributes:
        provider["tokenAttributes"] = attributes
    # What a service manager leaves in a kubelet's environment.
    env = {name: value for name, value in plugin.env.items() if name not in names}
    with Kubelet(plugin.home, provider_config(provider), bin_dir, env=env, **options) as started:
        yield started
        plugin.search(started.log().encode(), "the kubelet's log")


def pairs(credentials):
    return [(one["username"], one["password"]) for one in credentials]


def starts(plugin):
    return plugin.home.read("log").count("asked for")


def serving(entries, **members):
    plugin = Plugin()
    plugin.configure([rule(use=[plugin.store(entries)], kubelet=members)])
    return plugin


@case("all three versions are taken as they are answered")
def versions():
    for version in ("v1", "v1beta1", "v1alpha1"):
        with serving({HOST: ALICE}) as plugin, kubelet(plugin, version) as it:
            equal(pairs(it.look_up(IMAGE)), [ALICE], version)
            equal(pairs(it.look_up(f"{IMAGE}:1.0")), [ALICE], version)


def sed(script):
    return f"sed '{script}'"


UNDECODED = "error decoding credential provider plugin response from stdout"
FORMS = {
    "another version": (sed(f's,"{GROUP}v1","{GROUP}v1beta1",'), "not match expected apiVersion"),
    "no version": (sed('s,"apiVersion":"[^"]*"\\,,,'), "not match expected apiVersion"),
    "an unknown version": (sed(f's,"{GROUP}v1","{GROUP}v2",'), "not match expected apiVersion"),
    "another kind": (sed("s/CredentialProviderResponse/CredentialProviderRequest/"), ""),
    "nothing": ("cat >/dev/null", "unexpected end of JSON"),
    "a line end alone": ("echo", "unexpected end of JSON"),
    "trailing bytes": ("sed 's/$/x/'", "after top-level value"),
    "two documents": ("sed p", "after top-level value"),
    "words before it": ("sed '1s/^/answer: /'", "invalid character"),
    "half of it": ("head -c 150", "unexpected end of JSON"),
    "YAML": (sed('s/[{}"]//g;s/,/\\n/g;s/:/: /g'), "invalid character"),
    "an unknown member": (sed('s/^{/{"expires":"soon",/'), UNDECODED),
    "an unknown member of a pair": (sed('s/{"username"/{"email":"a","username"/'), UNDECODED),
    "a member of another case": (sed('s/"auth"/"Auth"/'), UNDECODED),
    "a member twice": (sed('s/^{/{"kind":"CredentialProviderResponse",/'), UNDECODED),
    "a key of auth twice": (sed('s/"auth":{\\(.*\\)}}$/"auth":{\\1,\\1}}/'), UNDECODED),
    "a cache key type of another case": (sed('s/"Registry"/"registry"/'), "valid cacheKeyType"),
    "an empty cache key type": (sed('s/"Registry"/""/'), "valid cacheKeyType"),
    "no cache key type": (sed('s/"cacheKeyType":"Registry",//'), "valid cacheKeyType"),
    "a number as duration": (sed('s/"300s"/300/'), UNDECODED),
    "a duration without a unit": (sed('s/"300s"/"300"/'), UNDECODED),
    "a number as password": (sed('s/"password":"[^"]*"/"password":7/'), UNDECODED),
    "a list as auth": (sed('s/"auth":{.*$/"auth":[]}/'), UNDECODED),
    "another exit status": ("{ cat; exit 1; }", "exit status 1"),
}


@case("a filter that changes nothing: it is taken")
def control():
    for behind in ("cat", sed("s/nothing/at all/")):
        with serving({HOST: ALICE}) as plugin, kubelet(plugin, behind=behind) as it:
            equal(pairs(it.look_up(IMAGE)), [ALICE], behind)


def broken(behind, words):
    with serving({HOST: ALICE}) as plugin, kubelet(plugin, behind=behind) as it:
        equal(it.look_up(IMAGE), [])
        equal(starts(plugin), 1, "starts")
        check(words in it.log(), f"{words!r} is not in: {it.log()}")


for form, behaviour in FORMS.items():
    case(f"refused: {form}")(lambda behaviour=behaviour: broken(*behaviour))


@case("an answer for the registry is kept for all of it, and one for an image for that alone")
def kept():
    for members, expected in (({}, 1), ({"scope": "image"}, 2), ({"cache_seconds": 0}, 4)):
        with serving({HOST: ALICE}, **members) as plugin, kubelet(plugin) as it:
            looks = it.look_up_often(IMAGE) + it.look_up_often(OTHER)
            equal([pairs(look) for look in looks], [[ALICE]] * 4)
            equal(starts(plugin), expected, f"starts with {members}")
    # Another path has another credential: what was kept for the first is not for the second.
    with serving({HOST: ALICE, OTHER: ("bob", "b")}) as plugin, kubelet(plugin) as it:
        equal([pairs(it.look_up(image)) for image in (IMAGE, OTHER)], [[ALICE], [("bob", "b")]])


@case("no credential is kept too, for a short time, and an error is not")
def not_found():
    with serving({"other.example.com": ALICE}) as plugin, kubelet(plugin) as it:
        equal(it.look_up_often(IMAGE), [[], []])
        equal(starts(plugin), 1, "starts")
    with Plugin() as plugin:
        plugin.configure([rule(use=["broken"])], backends={"broken": plugin.helper("exit 1\n")})
        with kubelet(plugin) as it:
            equal(it.look_up_often(IMAGE), [[], []])
            equal(starts(plugin), 2, "starts")
            words = "pullkey-kubelet: broken: helper get: it failed with status 1"
            check(words in it.log(), it.log())


@case("fail_closed is a failure, which the kubelet logs with our words")
def fail_closed():
    with serving({"other.example.com": ALICE}, fail_closed=True) as plugin:
        with kubelet(plugin) as it:
            equal(it.look_up(IMAGE), [])
            check(f"pullkey-kubelet: no credential for {IMAGE}, and" in it.log(), it.log())


SHAPES = (
    IMAGE,
    "r.example.com:8443/a/b",
    "localhost:5000/a",
    "127.0.0.1:5000/a",
    "0.example.com/a",
    "xn--e1afmkfd.com/a",
    "docker.io/library/nginx",
    f"{HOST}/v1/app",
    f"{HOST}/v2/app",
    f"{HOST}/v2/v2/app",
    f"{HOST}/v2ray/app",
    f"{HOST}/v2",
    "[::1]:5000/a",
    "[2001:db8::1]:5000/v2/a",
)


@case("anonymous_last: the credential is tried first and none at last, for every shape of a name")
def anonymous():
    hosts = {image.partition("/")[0] for image in SHAPES}
    match = sorted(hosts)
    for members in ({}, {"scope": "image"}):
        with serving({host: ALICE for host in hosts}, anonymous_last=True, **members) as plugin:
            with kubelet(plugin, match=match) as it:
                for image in SHAPES:
                    equal(pairs(it.look_up(image)), [ALICE, NOBODY], f"{image} {members}")


@case("without it nothing follows")
def not_anonymous():
    hosts = {image.partition("/")[0] for image in SHAPES}
    for members in ({}, {"scope": "image"}):
        with serving({host: ALICE for host in hosts}, **members) as plugin:
            with kubelet(plugin, match=sorted(hosts)) as it:
                for image in SHAPES:
                    equal(pairs(it.look_up(image)), [ALICE], f"{image} {members}")


@cache
def cluster():
    started = shared()
    started.add_namespace("team")
    started.add_service_account("team", "builder")
    started.node("one")
    started.grant(None, "audience", RULE)
    started.pods = [started.add_pod("team", f"app-{i}", "one", "builder") for i in range(2)]
    return started


def exchanging(cache_type, **more):
    plugin = Plugin()
    use = {"type": "fake-token", "secret": PASSWORD, "calls": plugin.path("calls"), **more}
    plugin.configure([rule(use=[use])], kubelet={"cache_type": cache_type})
    return plugin


def tokens(plugin, cache_type, more=None, **options):
    attributes = token_attributes(AUDIENCE, cache_type, **(more or {}))
    config = cluster().node_kubeconfig("one")
    return kubelet(plugin, tokenAttributes=attributes, kubeconfig=config, **options)


@case("a real token is read, and its answer is the service account's")
def service_account():
    with exchanging("ServiceAccount") as plugin, tokens(plugin, "ServiceAccount") as it:
        for pod in cluster().pods:
            equal(pairs(it.look_up(IMAGE, pod)), [("fake", PASSWORD)])
        equal(starts(plugin), 1, "starts")
        # No pod, no token, no plugin.
        equal(it.look_up(IMAGE), [])
        equal(starts(plugin), 1, "starts")


@case("what is for one pod alone is asked for anew for each, unless the cache knows the pod")
def per_pod():
    with exchanging("ServiceAccount", per_pod=True) as plugin:
        with tokens(plugin, "ServiceAccount") as it:
            for pod in cluster().pods * 2:
                equal(pairs(it.look_up(IMAGE, pod)), [("fake", PASSWORD)])
            equal(starts(plugin), 4, "starts")
    with exchanging("Token", per_pod=True) as plugin, tokens(plugin, "Token") as it:
        for pod in cluster().pods * 2:
            equal(pairs(it.look_up(IMAGE, pod)), [("fake", PASSWORD)])
        equal(starts(plugin), 2, "starts")


# The key of the kubelet's cache has parts of at most so many bytes (plugin.go, addString), one of
# which is made of the service account and its annotations, and these are parts with a length each.
PART = 65535
LENGTH = 2
UID = 36


@case("the longest annotation arrives whole; the kubelet itself has no use for a longer one")
def long_annotation():
    key, wanted = "example.com/role", {"requiredServiceAccountAnnotationKeys": ["example.com/role"]}
    accounts = ("longest", "toolong", "longer-by-far")
    # The namespace, the account, its uid, the number of annotations, and the one.
    longest = PART - sum(map(len, ("team", accounts[0], key))) - UID - 4 - 5 * LENGTH
    for account, length, words in zip(
        accounts,
        (longest, longest + 1, PART + 1),
        (None, "failed to get cached docker config", "generating service account cache key"),
    ):
        value = "x" * (length - 1) + "y"
        cluster().add_service_account("team", account, annotations={key: value})
        pod = cluster().add_pod("team", account, "one", account)
        with exchanging("ServiceAccount") as plugin:
            with tokens(plugin, "ServiceAccount", wanted, behind="cat") as it:
                script = f'#!/bin/sh\ntee "$0.asked" | {plugin.program}\n'
                plugin.home.write(f"bin/{NAME}", script)
                found = pairs(it.look_up(IMAGE, pod))
                asked = plugin.home.read(f"bin/{NAME}.asked")
                if words is None:
                    equal(found, [("fake", PASSWORD)])
                    check(f'"{value}"' in asked, "the annotation did not arrive")
                else:
                    equal((found, asked, starts(plugin)), ([], "", 0), account)
                    check(words in it.log(), it.log())


@case("the token itself: passed on and not kept with cacheType Token; else our error")
def echoed():
    pod = cluster().pods[0]
    with exchanging("Token", echo=True) as plugin, tokens(plugin, "Token") as it:
        looks = [pairs(look) for look in it.look_up_often(IMAGE, pod)]
        equal(looks[0], looks[1])
        equal((looks[0][0][0], looks[0][0][1].count(".")), ("fake", 2))
        equal(starts(plugin), 2, "starts")
        plugin.secrets.append(looks[0][0][1])
    with exchanging("ServiceAccount", echo=True) as plugin, tokens(plugin, "ServiceAccount") as it:
        equal(it.look_up(IMAGE, pod), [])
        words = "pullkey-kubelet: the credential is the service account token itself"
        check(words in it.log(), it.log())


@case("refused: the token itself with cacheType ServiceAccount, which is why that is our error")
def echoed_and_kept():
    pod = cluster().pods[0]
    # Ours believes that the cacheType is Token; the kubelet has the other.
    with exchanging("Token", echo=True) as plugin, tokens(plugin, "ServiceAccount") as it:
        equal(it.look_up(IMAGE, pod), [])
        equal(starts(plugin), 1, "starts")


sys.exit(run())
