# SPDX-License-Identifier: Apache-2.0
"""A home without any identity, the services of Google by their names, and a metadata service at its address."""

import json
import os
from contextlib import contextmanager

from cloud_scene import *
from scene import MARKER
from fake_google import POOL, STS_URL, TOKEN_URL, TYPE, Google
from tap import equal

HOST = "europe-west1-docker.pkg.dev"
OTHERS = ("evil.test", "oauth2.googleapis.com.evil.test", "evilgoogleapis.com", "issuer.test", "actions.test")
SECRETS = (MARKER, "eyJ", "PRIVATE KEY")
AGAIN = [("Retry-After", "0")]


@contextmanager
def google_scene(*names):
    headers = {"headers": ("x-job",), "machine_headers": ("metadata-flavor",)}
    with cloud_scene("gcp", Google, HOST, (*Google.HOSTS, *OTHERS, *names), **headers, secrets=SECRETS) as it:
        it.google = it.cloud
        yield it


def account(it, **more):
    key = {
        "type": "service_account",
        "client_email": it.google.email,
        "private_key": it.google.key.pem,
        "private_key_id": "key-1",
        "token_uri": TOKEN_URL,
    }
    return {**key, **more}


def external(**more):
    return {
        "type": "external_account",
        "audience": POOL,
        "subject_token_type": TYPE + "jwt",
        "token_url": STS_URL,
        **more,
    }


def put(it, content, name="credentials.json"):
    """A file with credentials that the environment names."""
    path = os.path.join(it.home.path, name)
    if os.path.exists(path):
        os.chmod(path, 0o600)
    it.home.write(name, json.dumps(content))
    os.chmod(path, 0o600)
    it.home.env["GOOGLE_APPLICATION_CREDENTIALS"] = path
    return path


def scopes_of(it, found):
    user, _, token = found.partition(":")
    equal(user, "oauth2accesstoken")
    return it.google.tokens[token]
