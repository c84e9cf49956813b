"""platform_devices — a registry of devices, and what each of them says in CONNECT

Why it is so:   signing ten thousand devices by the command would start it ten thousand times. What
                is signed stands in docs/DEVICES.md; the first one is compared with what
                `fleetmux registry sign` says, so that the two cannot drift apart.
"""
import argparse
import hashlib
import hmac
import pathlib
import subprocess
import sys

PRODUCT = "bench"
TIME = "2524608000000"


def name_of(number):
    return f"d{number:06}"


def secret_of(number):
    return hashlib.sha256(f"device {number}".encode()).hexdigest()[:32]


def login(number):
    """Client id, user name and password."""
    name, own_id = name_of(number), f"{PRODUCT}.{name_of(number)}"
    content = f"clientId{own_id}deviceName{name}productKey{PRODUCT}timestamp{TIME}"
    password = hmac.new(secret_of(number).encode(), content.encode(), hashlib.sha256).hexdigest()
    options = f"timestamp={TIME},securemode=3,signmethod=hmacsha256"
    return f"{own_id}|{options}|", f"{name}&{PRODUCT}", password


def fleetmux(options, *words):
    done = subprocess.run([options.fleetmux, "registry", *words, "--registry",
                           f"{options.folder}/registry"], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        sys.exit(f"fleetmux registry {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def make_registry(options):
    devices = pathlib.Path(options.folder) / "devices.csv"
    devices.write_text("".join(f"{PRODUCT},{name_of(i)},{secret_of(i)}\n"
                               for i in range(options.count)))
    subprocess.run([options.fleetmux, "registry", "create", f"{options.folder}/registry"],
                   check=True, capture_output=True)
    fleetmux(options, "product", "add", PRODUCT)
    fleetmux(options, "import", str(devices))


def check_first(options):
    said = fleetmux(options, "sign", f"{PRODUCT}/{name_of(0)}", "--json")
    if login(0)[2].lower() not in said.lower():
        sys.exit(f"the password made here is not the one of fleetmux registry sign: {said}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fleetmux", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--count", type=int, required=True)
    options = parser.parse_args()
    make_registry(options)
    check_first(options)
    lines = [" ".join(login(number)) for number in range(options.count)]
    (pathlib.Path(options.folder) / "credentials").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
