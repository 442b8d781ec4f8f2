# SPDX-License-Identifier: Apache-2.0
"""The kubelet's own code for image credential providers (tests/peers/kubelet-plugin), one process.

    config = provider_config({"name": "pullkey-kubelet", "matchImages": ["registry.example"]})
    with Kubelet(home, config, bin_dir, kubeconfig) as kubelet:
        kubelet.look_up("registry.example/app:1", pod)      [credential, ...] in the order of use
        kubelet.look_up_often(image, pod, times=50, parallel=True)      one list for each
        kubelet.log()                                       what a kubelet logs

The kubelet's cache lasts from one of these to the next. A configuration that it does not start
with raises NotStarted, with the kubelet's words.
"""

import json
import os
import subprocess

import peers
from program import die_with_parent

STOP_SECONDS = 30
VERSION = "credentialprovider.kubelet.k8s.io/v1"


class NotStarted(Exception):
    """A kubelet ends with this text."""


def provider_config(*providers, version="v1", **more):
    """The text of a CredentialProviderConfig; what each provider has to have is filled in."""
    usual = {"apiVersion": VERSION, "defaultCacheDuration": "10m"}
    config = {
        "apiVersion": f"kubelet.config.k8s.io/{version}",
        "kind": "CredentialProviderConfig",
        "providers": [{**usual, **provider} for provider in providers],
    }
    return json.dumps({**config, **more}, indent=2)


def token_attributes(audience, cache="ServiceAccount", require=True, **more):
    return {
        "serviceAccountTokenAudience": audience,
        "cacheType": cache,
        "requireServiceAccount": require,
        **more,
    }


class Kubelet:
    def __init__(self, home, config, bin_dir, kubeconfig=None, level=4, env=None):
        """`config` is the text of its configuration, or the path of a file or directory. `level` is
        the log's; `env` the kubelet's own environment, instead of the home's.
        """
        if not os.path.exists(config):
            config = home.write("kubelet/config.yaml", config)
        self._command = [peers.program("kubelet-plugin"), "--config", config, "--bin-dir", bin_dir]
        self._command += ["--kubeconfig", kubeconfig] if kubeconfig else []
        self._command += ["-v", str(level)]
        self._env = home.env if env is None else env
        self._log = os.path.join(home.directory("kubelet"), "log")
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """A kubelet that has nothing in its cache."""
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._env,
                preexec_fn=die_with_parent,
            )
        if not self._process.stdout.readline():
            self.stop()
            raise NotStarted(self.log())

    def stop(self):
        """Returns the exit status."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        with process:
            process.stdin.close()
            try:
                return process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise

    def look_up(self, image, pod=None):
        return self.look_up_often(image, pod, times=1)[0]

    def look_up_often(self, image, pod=None, times=2, parallel=False):
        """`pod` as Kubernetes.add_pod() returns it, none for a kubelet that knows none."""
        request = {"image": image, "times": times, "parallel": parallel}
        if pod:
            request |= {"namespace": pod.namespace, "pod": pod.name, "podUID": pod.uid}
            request |= {"serviceAccount": pod.service_account}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise AssertionError(f"the kubelet's code ended:\n{self.log()[-4000:]}")
        return json.loads(answer)["lookups"]

    def log(self):
        with open(self._log, encoding="utf-8", errors="replace") as log:
            return log.read()
