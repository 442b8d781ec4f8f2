# SPDX-License-Identifier: Apache-2.0
"""The identity "kubernetes": an API server makes a token for a service account, which a token server takes."""

import json
import sys
from contextlib import contextmanager

from oauth_scene import setting
from tap import case, equal, run

from fake_kubernetes import Kubernetes
from fake_oauth import HOST
from wire import Reply

AUDIENCE = f"https://{HOST}"


class Cluster:
    def __init__(self, it, api):
        self.it, self.api = it, api
        self.token_file = it.home.write("node-token", api.token + "\n")
        # The issuer of its tokens is one that the token server trusts.
        api.issue = lambda claims: it.oauth.subject(**{**claims, "aud": claims["aud"][0]})
        api.put("serviceaccounts", "team", "puller")

    def use(self, **options):
        access = {"server": self.api.url, "token_file": self.token_file}
        named = {"service_account": "team/puller", "audience": AUDIENCE}
        self.it.use(identity={"kubernetes": {**access, **named, **options}})

    def kubeconfig(self, **context):
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", **context}}],
            "clusters": [{"name": "k", "cluster": {"server": self.api.url}}],
            "users": [{"name": "u", "user": {"token": self.api.token}}],
        }
        return self.it.home.write("kubeconfig", json.dumps(config))


@contextmanager
def cluster():
    with Kubernetes() as api, setting() as it:
        yield Cluster(it, api)
        equal(api.objections, [], "objections of the API server")


@case("a token for a service account, an audience and a time; the registry's is kept")
def requested():
    with cluster() as it:
        it.use()
        it.it.expect()
        it.it.kept()
        (request,) = it.api.requests
        equal(request.target, "/api/v1/namespaces/team/serviceaccounts/puller/token")
        equal(json.loads(request.body)["spec"], {"audiences": [AUDIENCE], "expirationSeconds": 600})
        it.use(seconds=3600)
        it.it.expect()
        equal(json.loads(it.api.requests[-1].body)["spec"]["expirationSeconds"], 3600)


@case("by a kubeconfig, whose namespace is the service account's where that names none")
def kubeconfigs():
    with cluster() as it:
        named = {"service_account": "puller", "audience": AUDIENCE}
        path = it.kubeconfig(namespace="team")
        it.it.use(identity={"kubernetes": {**named, "kubeconfig": path}})
        it.it.expect()
        it.kubeconfig()
        it.it.refuse("names no namespace", "NAMESPACE/puller")
        it.it.home.env["KUBECONFIG"] = it.kubeconfig(namespace="team")
        it.it.use(identity={"kubernetes": named})
        it.it.expect()


@case("what the API server refuses, and does not have, says who may not do what; no anonymous pull comes of it")
def refused():
    with cluster() as it:
        it.use()
        it.api.denied.add(("create", "serviceaccounts/token", None))
        it.it.refuse(
            "a token for the service account team/puller",
            'the user "system:node:node-a" may not create serviceaccounts/token puller in the namespace team',
            'resources ["serviceaccounts/token"], resourceNames ["puller"], verbs ["create"]',
        )
        it.api.denied.clear()
        it.use(service_account="team/other")
        it.it.refuse("there is no serviceaccounts/other in the namespace team")
        it.use()
        for reply, said in (
            ((201, {"kind": "TokenRequest", "status": {}}), "without a token"),
            ((201, {"kind": "TokenRequest"}), "without a token"),
            ((201, {"status": {"token": 1}}), "without a token"),
            ((201, {"status": {"token": ""}}), "without a token"),
            ((201, {"status": {"token": "two words"}}), "bytes that no token may have"),
            ((201, {"status": {"token": it.it.oauth.subject(exp=1700000000)}}), "has expired"),
            ((409, {"kind": "Status", "reason": "Conflict"}), "409"),
            ((404, {}), "not as an API server would"),
            ((201, []), "without a token"),
        ):
            status, body = reply
            it.api.replies = [Reply(status, [], json.dumps(body))]
            it.it.refuse("service account team/puller", said)
        it.it.home.write("node-token", "another")
        it.it.refuse("does not know who asks")
        equal(it.it.oauth.forms, [], "nobody is asked without an identity")
        # One that the token server does not trust.
        it.it.home.write("node-token", it.api.token)
        it.use(audience="https://other.test")
        it.it.refuse("refuses the service account team/puller", "it is for https://other.test")


@case("options that make no sense are refused by name")
def options():
    with cluster() as it:
        for said, changes in (
            ("identity.kubernetes.nonsense", {"nonsense": "1"}),
            ("identity.kubernetes.seconds", {"seconds": 599}),
            ("identity.kubernetes.seconds", {"seconds": 600.5}),
            ("identity.kubernetes.seconds", {"seconds": "600"}),
            ("identity.kubernetes.audience", {"audience": ""}),
            ("identity.kubernetes.audience", {"audience": ["a"]}),
            ("identity.kubernetes.service_account", {"service_account": "a/b/c"}),
            ("identity.kubernetes.service_account", {"service_account": "/b"}),
            ("identity.kubernetes.service_account", {"service_account": "team/.."}),
            ("identity.kubernetes.token_file", {"token_file": "relative"}),
            ("exclude each other", {"kubeconfig": "/k"}),
        ):
            it.use(**changes)
            it.it.refuse(said)
        for said, options_of in (
            ("identity.kubernetes", "text"),
            ('"service_account" and "audience"', {"audience": "a"}),
            ('"service_account" and "audience"', {"service_account": "a"}),
            ('go with "server"', {"audience": "a", "service_account": "a", "token_file": "/t"}),
        ):
            it.it.use(identity={"kubernetes": options_of})
            it.it.refuse(said)
        equal((it.api.requests, it.it.oauth.forms), ([], []))


if __name__ == "__main__":
    sys.exit(run())
