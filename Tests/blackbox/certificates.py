"""Real certificates for tests, made with the `openssl` command: an authority, and what it signs."""
import os
import shutil
import subprocess
import tempfile

from processes import give


def openssl(*arguments, cwd=None):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}:\n{done.stderr}"
    return done.stdout


class Certificate:
    """Two files in PEM form."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key


class Authority:
    """An authority with a folder of its own, in which everything that it signs lies.

    key: arguments of `openssl req -newkey`, such as "rsa:2048" or "ec:P-256"
    """

    def __init__(self, folder, name="Test authority"):
        self.folder = tempfile.mkdtemp(dir=folder)
        os.chmod(self.folder, 0o755)
        self.count = 0
        self.certificate, self.key = f"{self.folder}/ca.crt", f"{self.folder}/ca.key"
        openssl("req", "-x509", *new_key("ec:P-256"), "-nodes", "-keyout", self.key, "-out", self.certificate, "-days", "30", "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign,cRLSign")
        give(self.certificate)

    def sign(self, common_name="localhost", names=("DNS:localhost", "IP:127.0.0.1"), key="ec:P-256", start=None, end=None, subject=None, usage=None):
        """A certificate for a server or a client. `start`, `end`: YYYYMMDDHHMMSSZ, where it is not valid for the next 30 days."""
        self.count += 1
        stem = f"{self.folder}/{self.count}"
        openssl("req", "-new", *new_key(key), "-nodes", "-keyout", f"{stem}.key", "-out", f"{stem}.csr", "-utf8", "-subj", subject or f"/CN={common_name}")
        with open(f"{stem}.ext", "w") as f:
            f.write("basicConstraints=CA:FALSE\n")
            if names:
                f.write(f"subjectAltName={','.join(names)}\n")
            if usage:
                f.write(f"extendedKeyUsage={usage}\n")
        self._issue(stem, start, end)
        give(f"{stem}.crt")
        give(f"{stem}.key")
        os.chmod(f"{stem}.key", 0o600)
        return Certificate(f"{stem}.crt", f"{stem}.key")

    def _issue(self, stem, start, end):
        # `openssl x509` knows no start date; `openssl ca` needs a little database
        with open(f"{stem}.cnf", "w") as f:
            f.write(
                f"[ca]\ndefault_ca=it\n[it]\ndatabase={stem}.db\nserial={stem}.serial\nnew_certs_dir={self.folder}\ndefault_md=sha256\n"
                "policy=any\nunique_subject=no\nstring_mask=utf8only\n[any]\ncommonName=optional\norganizationName=optional\n"
            )
        open(f"{stem}.db", "w").close()
        with open(f"{stem}.serial", "w") as f:
            f.write(f"{0x1000 + self.count:X}\n")
        dates = ["-startdate", start] if start else []
        dates += ["-enddate", end] if end else ["-days", "30"]
        openssl("ca", "-batch", "-notext", "-utf8", "-config", f"{stem}.cnf", "-cert", self.certificate, "-keyfile", self.key, "-in", f"{stem}.csr",
                "-out", f"{stem}.crt", "-extfile", f"{stem}.ext", "-preserveDN", *dates)


def new_key(key):
    if key.startswith("ec:"):
        return ["-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{key[3:]}"]
    return ["-newkey", key]


def replace(target, source):
    """Puts one file's content in the place of another's."""
    shutil.copyfile(source, target)
    give(target)
