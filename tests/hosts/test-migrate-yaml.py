# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts migrate` on the registries.yaml of template trees."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from migrated import moves, need_yaml
from node import BASIC, MARKER
from tap import case, check, equal, run
from template import K3S, TARGET, Template

K3S_JSON = "/etc/pullkey/config.d/60-k3s-registries.json"
YAML = f"""# ours
mirrors:
  docker.io:
    endpoint:
      - "https://cache.corp.example"
configs:
  "cache.corp.example":
    auth: # robot
      username: robot$pull
      # changed in May
      password: '{MARKER}' # secret
    # the CA
    tls:
      ca_file: /etc/ssl/x.crt
  harbor.example:5000:
    auth:
      auth: {BASIC}
# end
"""
YAML_AFTER = """# ours
mirrors:
  docker.io:
    endpoint:
      - "https://cache.corp.example"
configs:
  "cache.corp.example":
    # the CA
    tls:
      ca_file: /etc/ssl/x.crt
# end
"""


@case("registries.yaml: credentials go to the store, the helper into pullkey's configuration")
def yaml():
    need_yaml()
    report = moves(
        {K3S: YAML},
        {K3S: YAML_AFTER},
        {"cache.corp.example": ("robot$pull", MARKER), "harbor.example:5000": ("puller", MARKER)},
        restart=["k3s"],
    )
    with Template({K3S: YAML}) as tree:
        tree.migrate("--write")
        hosts = json.loads(tree.read(K3S_JSON))["containerd"]["hosts"]
        equal(hosts, {"https://cache.corp.example": "pullkey",
                      "https://harbor.example:5000": "pullkey"}, "hosts")
        tree.put(K3S, f"configs:\n  new.example: {{auth: {{username: a, password: {MARKER}}}}}\n")
        tree.migrate("--write")
        equal(len(json.loads(tree.read(K3S_JSON))["containerd"]["hosts"]), 3, "one more host")
        equal(tree.read(K3S), "", "nothing is left")
    check("config_path" in json.dumps(report), "the note")
    dropin = "/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl"
    with Template({K3S: YAML, dropin: f'config_path = "{TARGET}"\n'}) as tree:
        check("must read" not in json.dumps(tree.report()), "no note where it is so")


@case("registries.yaml: what cannot move stays, and is said")
def yaml_others():
    need_yaml()
    auth = f"auth: {{username: u, password: p-{MARKER}}}"
    for text, hint in (
        (f"configs: {{a.example: {{{auth}}}, b.example: {{}}}}\n", "on a line of its own"),
        (f'{{"configs": {{"a.example": {{"auth": {{"username": "u", "password": "p-{MARKER}"}}}}}}}}\n',
         "on a line of its own"),
        (f"configs:\n  a.example:\n    {auth}\n    tls: {{insecure_skip_verify: true}}\n", "anybody"),
        (f"mirrors:\n  x:\n    endpoint: ['http://a.example/x']\nconfigs:\n  a.example:\n    {auth}\n",
         "anybody"),
        (f"configs:\n  a.example:\n    auth: {{identity_token: t-{MARKER}}}\n", "identity token"),
        (f"configs:\n  a.example:\n    auth: {{username: 'u:v', password: p-{MARKER}}}\n", "colon"),
        (f"configs:\n  'a b':\n    {auth}\n", ""),
        (f"configs:\n  a.example: &x\n    {auth}\n", "anchor"),
    ):
        with Template({K3S: text}) as tree:
            report = tree.report("--write", status=1)
            check(hint in json.dumps(report), f"{hint}: {report['items']}")
            equal({item["level"] for item in report["items"]}, {"problem"}, f"promises of {text}")
            equal(tree.files(), {K3S: text.encode()}, text)


sys.exit(run())
