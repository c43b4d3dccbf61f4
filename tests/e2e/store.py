"""The store that the replicas share: a Redis behind TLS, with a user for inkpass, and each write on disk."""
import json
import re
import secrets
from pathlib import Path

from processes import wait_for

NAME = "inkpass-store"
# What docs/replicas.md says that a user of the store needs.
REPLICAS = (Path(__file__).parents[2] / "docs/replicas.md").read_text()
RULES = re.search(r"ACL SETUSER inkpass (.*)", REPLICAS).group(1)


class Store:
    def __init__(self, cluster, tag):
        self.cluster, self.image = cluster, f"localhost/inkpass-e2e-redis:{tag}"
        self.host = f"{NAME}.{cluster.namespace}.svc.cluster.local"
        self.password = secrets.token_hex(16)
        self.url = f"rediss://inkpass:{self.password}@{self.host}"

    def settings(self):
        """With the certificate of the service, which names the store too."""
        return "\n".join([
            "port 0",
            "tls-port 6379",
            "tls-cert-file /tls/tls.crt",
            "tls-key-file /tls/tls.key",
            "tls-ca-cert-file /tls/ca.crt",
            "tls-auth-clients no",
            "dir /data",
            'save ""',
            "appendonly yes",
            "appendfsync always",
            "user default off",
            f"user inkpass {RULES.replace('PASSWORD', self.password)}",
        ])

    def place(self, node):
        """A new one, on that node, with nothing in it."""
        self.cluster.kubectl("delete", "pod", NAME, "--ignore-not-found", "--wait")
        both = {"apiVersion": "v1", "kind": "List", "items": [self.pod(node), self.service()]}
        self.cluster.kubectl("apply", "--filename=-", stdin=json.dumps(both))
        wait_for("a store", lambda: NAME in self.cluster.endpoints(NAME), 60)

    def pod(self, node):
        secret = lambda name: {"secret": {"secretName": name}}
        volumes = {"data": {"emptyDir": {}}, "tls": secret("inkpass-tls"), "settings": secret(f"{NAME}-server")}
        container = {
            "name": "redis",
            "image": self.image,
            "imagePullPolicy": "Never",
            "args": ["/settings/redis.conf"],
            "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
            "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in volumes],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        security = {"runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": NAME, "labels": {"app": NAME}},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": node},
                "terminationGracePeriodSeconds": 1,
                "securityContext": security,
                "containers": [container],
                "volumes": [{"name": name, **source} for name, source in volumes.items()],
            },
        }

    def service(self):
        spec = {"selector": {"app": NAME}, "ports": [{"port": 6379}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": spec}
