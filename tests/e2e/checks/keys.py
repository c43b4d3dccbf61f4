"""The keys' Secret is changed under load: every replica signs with the new key, and no call fails. All name tokens by one
salt."""
import hmac
import secrets
import time

from checks.under_load import report, under_load
from processes import need, wait_for
from release import REPLICAS

LONGEST_S = 90


def are_rotated(trial):
    """Last of all: the emulator does not know the new key."""
    release, access_key = trial.release, secrets.token_hex(8)
    taken = {}

    def rotate():
        taken["began"] = time.monotonic()
        release.make_secret("inkpass-keys", *release.keys(access_key, secrets.token_hex(20)))

    def signs_with_it(pod):
        request = {"room": {"uuid": "r"}, "role": "ROLE_WRITER"}
        address = f"{pod['status']['podIP']}:50051"
        token = release.grpcurl("TokenService/IssueToken", request, address=address)["token"]
        name = hmac.digest(release.salt.encode(), token["value"].encode(), "sha256").hex()[:32]
        need(token["fingerprint"] == name, f"{address} names a token by another salt")
        return token["accessKey"] == access_key

    def all_do():
        pods = release.servers()
        need(len(pods) == REPLICAS, f"{len(pods)} pods")
        wait_for("every replica signs with the new key", lambda: all(map(signs_with_it, pods)), LONGEST_S)
        taken["took"] = time.monotonic() - taken["began"]

    seen = under_load(trial, rotate, all_do)
    report(f"the keys' Secret changed, every replica signs with the new key after {taken['took']:.0f} s", seen)
    need(all(caller["failed"] == 0 for caller in seen.values()), "calls failed")
