"""The one gateway and registry that a script about profile platform works with, and its end.

Devices sign with Python's hmac, and what they see is compared byte by byte where SDKs depend on it.
Numbers in cases are sections of the document of the platform's dialect. Every refusal is also
looked for in a counter. No script here is called platform.py: that would hide Python's own module
from its neighbours.
"""
import os
import sys
import tempfile

from platform_device import *  # pylint: disable=wildcard-import,unused-wildcard-import

command()
folder_object = tempfile.TemporaryDirectory(prefix="fmx-")
FOLDER = folder_object.name
CREDENTIALS = {V31: "connack 0x4", V311: "connack 0x4", V5: "connack 0x86"}
CLIENT_ID = {V31: "connack 0x2", V311: "connack 0x2", V5: "connack 0x85"}
DISABLED = {V31: "connack 0x5", V311: "connack 0x5", V5: "connack 0x87"}


def registry(*words, stdin=None):
    environment = dict(os.environ, FLEETMUX_REGISTRY=f"{FOLDER}/registry")
    got = subprocess.run([command(), "registry", *words], input=stdin, env=environment, text=True,
                         capture_output=True, timeout=3 * PATIENCE_S, check=False)
    if got.returncode != 0:
        sys.exit(f"FAILED registry {words}: {got.stderr}")


def make_registry():
    unlimited = [f"--limit={name}_per_second=none"
                 for name in ("upstream", "upstream_qos1", "downstream")]
    registry("create", f"{FOLDER}/registry")
    registry("product", "add", PK, "--secret", PRODUCT_SECRET, "--register", "known,new")
    registry("product", "add", FREE, "--secret", PRODUCT_SECRET, *unlimited)
    registry("product", "add", RATE, "--secret", PRODUCT_SECRET)
    registry("product", "add", "off", "--secret", PRODUCT_SECRET)
    for product in (PK, FREE):
        registry("topic", "add", product, "user/both", "pubsub")
        registry("topic", "add", product, "user/deep/#", "sub")
        registry("topic", "add", product, "user/a/b/c/d", "pub")
        registry("topic", "add", product, "user/a/b/c/d/e", "pub")
    rows = ["product_key,device_name,device_secret", f"{PK},device,secret", f"off,d000,{secret_of('d000')}"]
    for product, count in DEVICES.items():
        rows += [f"{product},d{n:03},{secret_of(f'd{n:03}')}" for n in range(count)]
    registry("import", "-", stdin="\n".join(rows) + "\n")
    registry("disable", "off")


make_registry()
gateway = Platform(FOLDER, "main", "--connects-per-minute", "none")
tally = Tally(gateway)


def run(function, *arguments):
    tally.renew()
    began = time.monotonic()
    run_case(function, *arguments)
    if "INTEROP_TIMES" in os.environ:
        print(f"{time.monotonic() - began:6.2f} s {function.__name__}{arguments}")


def each(cases, function):
    for case in cases:
        run(function, case)


def end():
    gateway.check_no_connections()
    end_children()
    finish()
