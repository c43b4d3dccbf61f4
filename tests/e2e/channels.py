"""How load generators reach the service: what they show, and the channels that docs/deploy.md tells callers to have."""
import json
from pathlib import Path

import grpc

OPTIONS = [
    # A peer that has gone without a word is found out within two seconds of the next call, and by a ping without one.
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.max_pings_without_data", 0),
    # How long an attempt to connect may take.
    ("grpc.min_reconnect_backoff_ms", 2000),
    # Each caller has connections of its own, as in a process of its own.
    ("grpc.use_local_subchannel_pool", 1),
]
DEPLOY = (Path(__file__).parents[2] / "docs/deploy.md").read_text()
SERVICE_CONFIG = json.loads(DEPLOY.split("```json\n")[1].split("```")[0])


def shown(ca, token):
    tls = grpc.ssl_channel_credentials(Path(ca).read_bytes())
    return grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(Path(token).read_text()))


def channel(credentials, target, config):
    return grpc.aio.secure_channel(target, credentials, [*OPTIONS, ("grpc.service_config", json.dumps(config))])
