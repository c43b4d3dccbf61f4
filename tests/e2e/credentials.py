"""What the service and its callers show each other: a CA with the service's certificate, and callers' tokens."""
import subprocess
import tempfile
from pathlib import Path

AUDIENCE = "inkpass"


class Credentials:
    """Files in a directory that goes with it."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.directory = tempfile.TemporaryDirectory()
        self.ca = self.file("ca.crt")

    def file(self, name):
        return str(Path(self.directory.name, name))

    def sign(self, names):
        """A certificate for the service, as tls.crt and tls.key beside ca.crt."""
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
        ca_key, request, extensions = self.file("ca.key"), self.file("tls.csr"), self.file("names")
        openssl("req", "-x509", *key, "-subj", "/CN=inkpass e2e", "-keyout", ca_key, "-out", self.ca)
        openssl("req", *key, "-subj", "/CN=inkpass", "-keyout", self.file("tls.key"), "-out", request)
        Path(extensions).write_text(f"subjectAltName={','.join(f'DNS:{name}' for name in names)}")
        by = ["-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "1", "-extfile", extensions]
        openssl("x509", "-req", "-in", request, *by, "-out", self.file("tls.crt"))
        return [f"--from-file={self.file(name)}" for name in ("tls.crt", "tls.key", "ca.crt")]

    def token(self, account, audience=AUDIENCE):
        """A file with a token of a service account, as the kubelet projects it into a pod."""
        token = self.cluster.kubectl("create", "token", account, "--audience", audience, "--duration", "1h").strip()
        path = self.file(f"{account}-for-{audience.rpartition('/')[2]}")
        Path(path).write_text(token)
        return path


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
