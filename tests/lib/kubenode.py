# SPDX-License-Identifier: Apache-2.0
"""pullkey on a node of a real cluster: its configuration, and what it answers there."""

import json
import os

from tap import check, equal

LIBEXEC = os.environ["PULLKEY_LIBEXECDIR"]
PLUGIN = os.path.join(LIBEXEC, "pullkey-kubelet")
HOST = "registry.example"
VERSION = "credentialprovider.kubelet.k8s.io/v1"


def kubectl_secret(cluster, place, name, server, pair):
    user, password = pair
    cluster.kubectl(
        *["create", "secret", "docker-registry", name, f"--namespace={place}"],
        *[f"--docker-server={server}", f"--docker-username={user}"],
        f"--docker-password={password}",
    )


def may(cluster, place, name, *verbs):
    """All nodes, to that one secret."""
    rule = {"verbs": list(verbs), "resources": ["secrets"], "resourceNames": [name]}
    cluster.grant(place, f"{'-'.join(verbs)}-{name}", rule)


def rule(match, use, callers="kubelet", **more):
    return {"match": match, "use": use, "when": {"caller": callers, **more}}


def configure(home, backends, rules, **more):
    """The variables that name it."""
    text = json.dumps({"version": 1, "backends": backends, "rules": rules, **more})
    path = home.write(".config/pullkey/node.json", text)
    return {"PULLKEY_CONFIG": path, "PULLKEY_CACHE_DIR": home.directory("cache")}


def ask(home, env, image=f"{HOST}/team/app", token=None, command=(PLUGIN,)):
    """The plugin by itself."""
    request = {"apiVersion": VERSION, "kind": "CredentialProviderRequest", "image": image}
    if token:
        request["serviceAccountToken"] = token
    return home.run([*command], json.dumps(request), env=env)


def answer(result):
    equal((result.returncode, result.stderr), (0, ""), "the plugin")
    return json.loads(result.stdout)["auth"]


def failure(result, *secrets):
    equal(result.returncode, 1, "exit status")
    equal(result.stdout, "", "stdout")
    check(result.stderr.startswith("pullkey-kubelet: "), result.stderr)
    equal(result.stderr.count("\n"), 1, "lines")
    for secret in secrets:
        check(secret not in result.stderr, "the secret is in the error")
    return result.stderr
