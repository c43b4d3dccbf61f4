"""What every check is handed."""
from dataclasses import dataclass

from cluster import Cluster
from logs import Logs
from processes import Running
from release import Release


@dataclass
class Trial:
    cluster: Cluster
    release: Release
    collector: Running  # its first line is its address, each other one a span
    logs: Logs
    python: str  # an interpreter that has gRPC
    answered: int = 0  # IssueTokens of all loads
