# SPDX-License-Identifier: Apache-2.0
"""A machine of EC2 whose metadata are busy: nobody is taken for a machine without an identity then."""

import os
import sys

from aws_scene import *

import namespace
from fake_aws import IMDS_TOKEN
from tap import case, equal, run
from wire import Reply

VENDOR = "/sys/class/dmi/id/sys_vendor"


@case("public.ecr.aws: busy metadata are an error where it is configured, optional or not, and nothing is kept")
def busy():
    with aws_scene() as it:
        for status in (429, 503):
            for optional in (False, True):
                it.use("ecr", optional=optional)
                it.aws.replies[IMDS_TOKEN] = [Reply(status, AGAIN)]
                refused(it, "the machine's metadata", str(status), host=PUBLIC)
                cached(it, "machine:machine-role", PUBLIC, "ecr-public", "us-east-1")


@case("public.ecr.aws without a configuration: metadata that are busy are passed over, and asked by the next one")
def unconfigured_machine():
    with aws_scene() as it:
        del it.home.env["PULLKEY_CONFIG"]
        it.home.env["AWS_CA_BUNDLE"] = it.authority
        for status in (429, 503):
            uncached(it)
            it.aws.replies[IMDS_TOKEN] = [Reply(status, AGAIN)]
            equal(it.get(PUBLIC), None)
            cached(it, "machine:machine-role", PUBLIC, "ecr-public", "us-east-1")


if __name__ == "__main__":
    namespace.enter(map_root=True)
    namespace.mount("-t", "tmpfs", "none", "/sys/class")
    os.makedirs(os.path.dirname(VENDOR))
    with open(VENDOR, "w", encoding="ascii") as file:
        file.write("Amazon EC2\n")
    sys.exit(run())
