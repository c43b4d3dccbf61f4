"""The files of inkpass in production settings: keys, callers, a policy with a quota, an audit file, TLS, an issuer."""
import base64
import hashlib
import json
import os
import subprocess
import time
from pathlib import Path

KEY = "ik_" + "k" * 43
# Of another caller with the same rights, and of one with none.
OTHER = "ik_" + "o" * 43
UNGRANTED = "ik_" + "u" * 43
PRINCIPAL = "key:bench"
SPIFFE = "spiffe://example.org/ns/bench/sa/load"
ISSUER = "https://issuer.example.org"


def openssl(*words, **options):
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, **options).stdout


def certificate(directory, name, subject_alt_name):
    """Makes NAME.crt and NAME.key, signed by the directory's authority."""
    ca, key, request = directory / "ca.crt", directory / f"{name}.key", directory / f"{name}.csr"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    if not ca.exists():
        openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=bench", "-keyout", directory / "ca.key", "-out", ca)
    openssl("req", *curve, "-subj", "/", "-keyout", key, "-out", request)
    extensions = directory / f"{name}.ext"
    extensions.write_text(f"subjectAltName={subject_alt_name}\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", directory / "ca.key", "-days", "2",
            "-extfile", extensions, "-out", directory / f"{name}.crt")
    (directory / f"{name}.pem").write_text((directory / f"{name}.crt").read_text() + key.read_text())


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def issuer(directory):
    """An ES256 key of an issuer: writes `jwks.json`, and gives a token."""
    key = directory / "issuer.key"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    point = openssl("ec", "-in", key, "-pubout", "-outform", "DER")[-64:]
    jwk = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "bench",
           "x": base64url(point[:32]), "y": base64url(point[32:])}
    (directory / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
    claims = {"iss": ISSUER, "aud": "inkpass", "sub": "bench", "exp": int(time.time()) + 86400}
    parts = [base64url(json.dumps(part).encode()) for part in ({"alg": "ES256", "kid": "bench"}, claims)]
    message = ".".join(parts).encode()
    der = openssl("dgst", "-sha256", "-sign", key, input=message)
    # Two integers, each with a length, become 32 bytes each.
    middle = 4 + der[3]
    numbers = der[4:middle], der[middle + 2:]
    return message.decode() + "." + base64url(b"".join(number[-32:].rjust(32, b"\0") for number in numbers))


def policy(grants):
    """One grant allows the load; the others are before it in the file and name nobody who calls."""
    principals = json.dumps([PRINCIPAL, "key:other", SPIFFE, "oidc:bench/bench"])
    other = """[[grants]]
name = "other-{0}"
principals = ["k8s:team-{0}/api"]
rpcs = ["inkpass.v1.TokenService/*"]
projects = ["default"]
tokens = [{{ kind = "room", strongest_role = "writer" }}]
"""
    own = f"""[[grants]]
name = "bench"
principals = {principals}
rpcs = ["inkpass.v1.TokenService/*", "inkpass.v1.RoomService/*"]
projects = ["default"]
regions = ["us-sv"]
tokens = [{{ kind = "room", strongest_role = "writer" }}]
quota = {{ tokens_per_second = 1000000, burst = 1000000, upstream_per_second = 100000 }}
"""
    return "".join(other.format(index) for index in range(grants - 1)) + own


def write(directory, *, audit, grants=10, tls=False, collector=None, upstream=None, jwks=None):
    """Writes inkpass.toml and what it names; gives its path."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)

    def secret(name, text):
        path = directory / name
        path.unlink(missing_ok=True)
        path.touch(0o600)
        path.write_text(text)

    secret("access", "bench-access-key")
    secret("secret", "bench-secret-key-of-some-length")
    secret("salt", "a salt of thirty-two random bytes")
    secret("policy.toml", policy(grants))
    keys = {PRINCIPAL: KEY, "key:other": OTHER, "key:ungranted": UNGRANTED}
    secret("callers.toml", "".join(
        f'[[api_keys]]\nprincipal = "{principal}"\nsha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\n'
        for principal, key in keys.items()))
    identity = f'api_keys_file = "{directory}/callers.toml"\n'
    server = ""
    if tls:
        certificate(directory, "server", "DNS:localhost,IP:127.0.0.1")
        certificate(directory, "client", f"URI:{SPIFFE}")
        os.chmod(directory / "server.key", 0o600)
        server = f'tls_cert_file = "{directory}/server.crt"\ntls_key_file = "{directory}/server.key"\n'
        server += f'client_ca_file = "{directory}/ca.crt"\n'
        identity += 'trust_domains = ["example.org"]\n'
    if jwks:
        identity += f'issuers = [{{ name = "bench", issuer = "{ISSUER}", audience = "inkpass", jwks_url = "{jwks}" }}]\n'
    # Where no upstream is given nothing listens.
    upstream = upstream or "http://127.0.0.1:9"
    telemetry = f'otlp_endpoint = "{collector}"\nsampling_ratio = 0.05\n' if collector else ""
    secret("inkpass.toml", f"""[server]
{server}[whiteboard]
base_url = "{upstream}"
[projects.default]
default = true
region = "us-sv"
keys = [{{ access_key_file = "{directory}/access", secret_key_file = "{directory}/secret", state = "active" }}]
[identity]
{identity}[policy]
file = "{directory}/policy.toml"
[audit]
output = "{audit}"
salt_file = "{directory}/salt"
[telemetry]
{telemetry}log_format = "json"
""")
    return directory / "inkpass.toml"
