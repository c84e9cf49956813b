"""tls_certs — an authority and a server's certificate of its making, for peers with TLS

Why it is so:   all servers of a comparison show certificates of one making, and none of them made
                them: `openssl` does.
Limits:         writes into --folder ca.crt and server.crt, server.key (P-256, or with --server rsa
                RSA of 2,048 bits), rsa.crt, rsa.key; names localhost and 127.0.0.1
"""
import argparse
import pathlib
import subprocess

DAYS = "30"
EXTENSIONS = """basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
"""


def openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"openssl {words[0]}: {done.stderr.strip()}")


def make_key(path, kind):
    choice = (["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if kind == "rsa" else
              ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
    openssl("genpkey", "-algorithm", *choice, "-out", str(path))


def make_authority(folder):
    make_key(folder / "ca.key", "p256")
    openssl("req", "-x509", "-new", "-key", str(folder / "ca.key"), "-subj", "/CN=bench authority",
            "-days", DAYS, "-out", str(folder / "ca.crt"))


def make_server(folder, name, kind):
    key, request, certificate = (folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
    make_key(key, kind)
    openssl("req", "-new", "-key", str(key), "-subj", "/CN=localhost", "-out", str(request))
    openssl("x509", "-req", "-in", str(request), "-CA", str(folder / "ca.crt"), "-CAkey",
            str(folder / "ca.key"), "-CAcreateserial", "-days", DAYS, "-extfile",
            str(folder / "extensions"), "-out", str(certificate))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", required=True, type=pathlib.Path)
    parser.add_argument("--server", choices=("p256", "rsa"), default="p256")
    options = parser.parse_args()
    (options.folder / "extensions").write_text(EXTENSIONS)
    make_authority(options.folder)
    make_server(options.folder, "server", options.server)
    make_server(options.folder, "rsa", "rsa")


if __name__ == "__main__":
    main()
