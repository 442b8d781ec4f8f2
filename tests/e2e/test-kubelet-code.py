# SPDX-License-Identifier: Apache-2.0
"""The kubelet's own code with a plugin of the test's, which writes down what it is asked.

Here it is seen to do what pullkey's plugin relies on: what it sends, accepts, refuses and keeps.
"""

import json
import os
import sys
from contextlib import contextmanager
from functools import cache

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]

from home import Home
from kubelet import VERSION, Kubelet, NotStarted, provider_config, token_attributes
from kubernetes import claims, shared
from tap import case, check, equal, run

IMAGE = "registry.example/team/app"
AUDIENCE = "registry.example"
PROVIDER = {"name": "plugin", "matchImages": ["registry.example"]}
RULE = {"verbs": ["request-serviceaccounts-token-audience"], "resources": [AUDIENCE]}

# $0 names the files beside it: what it is asked is added to one, what it answers is in the other.
PLUGIN = """\
#!/bin/sh
cat >>"$0.asked"
cat "$0.answer"
"""


class Plugins:
    """A directory of plugins."""

    def __init__(self, home, *names):
        self.home = home
        self.directory = home.directory("plugins")
        for name in names:
            os.chmod(home.write(f"plugins/{name}", PLUGIN), 0o700)
            self.answer({}, name)

    def answer(self, auth, name="plugin", **more):
        """`auth` is {key: (user, password)}."""
        auth = {key: {"username": pair[0], "password": pair[1]} for key, pair in auth.items()}
        usual = {"apiVersion": VERSION, "kind": "CredentialProviderResponse"}
        usual |= {"cacheKeyType": "Image", "cacheDuration": "10m", "auth": auth}
        self.answer_text(json.dumps({**usual, **more}), name)

    def answer_text(self, text, name="plugin"):
        self.home.write(f"plugins/{name}.answer", text)

    def asked(self, name="plugin"):
        lines = self.home.read(f"plugins/{name}.asked").splitlines()
        return [json.loads(line) for line in lines]


@contextmanager
def kubelet(*providers, names=("plugin",), **more):
    with Home() as home:
        plugins = Plugins(home, *names)
        config = provider_config(*(providers or [PROVIDER]))
        with Kubelet(home, config, plugins.directory, **more) as started:
            yield started, plugins


@cache
def cluster():
    """With a pod on a node, which may not yet ask for tokens."""
    started = shared()
    started.add_namespace("team")
    annotations = {"example.com/role": "reader", "example.com/other": "x"}
    started.add_service_account("team", "builder", annotations=annotations)
    started.node("one")
    started.pods = [started.add_pod("team", f"app-{i}", "one", "builder") for i in range(2)]
    return started


def pairs(credentials):
    return [(one["username"], one["password"]) for one in credentials]


@case("a plugin is asked for the repository of the image and nothing else")
def request():
    with kubelet() as (it, plugins):
        plugins.answer({IMAGE: ("robot", "secret")})
        expected = [{"username": "robot", "password": "secret", "serviceAccount": None}]
        equal(it.look_up(f"{IMAGE}:1.0"), expected)
        asked = {"kind": "CredentialProviderRequest", "apiVersion": VERSION, "image": IMAGE}
        equal(plugins.asked(), [asked])
        equal(it.look_up("other.example/app"), [], "an image that no provider is for")
        equal(len(plugins.asked()), 1, "starts")


@case("credentials come longest key first, and of one key in the order of the providers")
def order():
    second = {"name": "second", "matchImages": ["*.example"]}
    with kubelet(PROVIDER, second, names=("plugin", "second")) as (it, plugins):
        plugins.answer({"registry.example": ("host", "1"), "registry.example/team": ("team", "2")})
        plugins.answer({"registry.example": ("host-2", "3"), "*.example": ("any", "4")}, "second")
        expected = [("team", "2"), ("host", "1"), ("host-2", "3"), ("any", "4")]
        equal(pairs(it.look_up(IMAGE)), expected)


@case("what is kept is kept for the image, the registry or not at all, as the answer says")
def keeping():
    other = "registry.example/team/other"
    for more, starts in (
        ({"cacheKeyType": "Image"}, 2),
        ({"cacheKeyType": "Registry"}, 1),
        ({"cacheKeyType": "Image", "cacheDuration": "0s"}, 4),
    ):
        with kubelet() as (it, plugins):
            plugins.answer({"registry.example": ("robot", "secret")}, **more)
            looks = it.look_up_often(IMAGE) + it.look_up_often(other)
            equal([pairs(look) for look in looks], [[("robot", "secret")]] * 4)
            equal(len(plugins.asked()), starts, f"starts with {more}")
            it.stop()
            it.start()
            it.look_up(IMAGE)
            equal(len(plugins.asked()), starts + 1, "starts after the kubelet's own")


@case("many pulls of one image at once share starts of the plugin")
def parallel():
    with kubelet() as (it, plugins):
        plugins.answer({IMAGE: ("robot", "secret")})
        looks = it.look_up_often(IMAGE, times=50, parallel=True)
        equal([pairs(look) for look in looks], [[("robot", "secret")]] * 50)
        check(1 <= len(plugins.asked()) < 50, f"{len(plugins.asked())} starts")


@case("an answer that is not strictly right is no answer, and the log says why")
def strict():
    right = {"apiVersion": VERSION, "kind": "CredentialProviderResponse", "cacheKeyType": "Image"}
    right["auth"] = {IMAGE: {"username": "robot", "password": "secret"}}
    undecoded = "error decoding credential provider plugin response from stdout"
    for text, words in (
        (json.dumps({**right, "expires": "soon"}), undecoded),
        (json.dumps({**right, "cacheDuration": 60}), undecoded),
        (json.dumps(right)[:-1] + ', "kind": "CredentialProviderResponse"}', undecoded),
        (json.dumps({**right, "apiVersion": f"{VERSION}beta1"}), "not match expected apiVersion"),
        (json.dumps({**right, "cacheKeyType": "image"}), "a valid cacheKeyType: image"),
        (json.dumps(right) * 2, "after top-level value"),
        ("", "unexpected end of JSON"),
    ):
        with kubelet() as (it, plugins):
            plugins.answer_text(text)
            equal(it.look_up(IMAGE), [], text)
            equal(len(plugins.asked()), 1, "starts")
            check(words in it.log(), f"{words} is not in: {it.log()}")


@case("a kubelet does not start with a configuration that is wrong, and says why")
def wrong_config():
    attributes = token_attributes(AUDIENCE)
    del attributes["cacheType"]
    for provider, words in (
        ({**PROVIDER, "matchImage": []}, 'unknown field "providers[0].matchImage"'),
        ({**PROVIDER, "name": "absent"}, "plugin binary executable"),
        ({**PROVIDER, "matchImages": []}, "providers.matchImages: Required value"),
        ({**PROVIDER, "tokenAttributes": attributes}, "tokenAttributes.cacheType: Required value"),
    ):
        try:
            with kubelet(provider):
                pass
        except NotStarted as error:
            check(words in str(error), f"{words} is not in: {error}")
        else:
            raise AssertionError(f"it started with {provider}")


@case("without the right to ask for its token a plugin is never started")
def no_right():
    attributes = {"tokenAttributes": token_attributes(AUDIENCE)}
    config = cluster().node_kubeconfig("one")
    with kubelet({**PROVIDER, **attributes}, kubeconfig=config) as (it, plugins):
        equal(it.look_up(IMAGE, cluster().pods[0]), [])
        equal(plugins.asked(), [])
        check("not authorized to request tokens for audience" in it.log(), it.log())


@case("with a token, the plugin is sent one of the pod, and what it answers is the account's")
def with_token():
    account = {"requiredServiceAccountAnnotationKeys": ["example.com/role"]}
    attributes = {"tokenAttributes": token_attributes(AUDIENCE, **account)}
    config = cluster().node_kubeconfig("one")
    cluster().grant(None, "audience", RULE)
    first, second = cluster().pods
    try:
        with kubelet({**PROVIDER, **attributes}, kubeconfig=config) as (it, plugins):
            plugins.answer({IMAGE: ("robot", "secret")})
            cluster().clear()
            (found,) = it.look_up(IMAGE, first)
            (asked,) = plugins.asked()
            equal(asked["serviceAccountAnnotations"], {"example.com/role": "reader"})
            said = claims(asked["serviceAccountToken"])
            equal(said["aud"], [AUDIENCE])
            told = said["kubernetes.io"]
            equal((told["pod"]["uid"], told["node"]["name"]), (first.uid, "one"))
            equal(found["serviceAccount"]["UID"], told["serviceaccount"]["uid"])
            calls = [(c.verb, c.resource, c.name) for c in cluster().calls()]
            expected = [("get", "serviceaccounts"), ("create", "serviceaccounts/token")]
            equal(calls, [(*call, "builder") for call in expected])
            # It is kept for the service account: another pod of it is not asked about.
            equal(it.look_up(IMAGE, second), [found])
            equal(len(plugins.asked()), 1, "starts")
        attributes["tokenAttributes"]["cacheType"] = "Token"
        with kubelet({**PROVIDER, **attributes}, kubeconfig=config) as (it, plugins):
            for pod in (first, second, first):
                it.look_up(IMAGE, pod)
            told = [claims(asked["serviceAccountToken"]) for asked in plugins.asked()]
            pods = [one["kubernetes.io"]["pod"]["uid"] for one in told]
            equal(pods, [first.uid, second.uid])
    finally:
        cluster().revoke(None, "audience", RULE)


sys.exit(run())
