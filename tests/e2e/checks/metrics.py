"""What each pod's admin port tells Prometheus."""
import re
import sys

from processes import need, say

FETCH = "import sys, urllib.request as u\nfor url in sys.argv[1:]: print(u.urlopen(url, timeout=5).read().decode())"
WANTED = r"build_info\{", r"CreateRoom.*\bOK\b|\bOK\b.*CreateRoom", r"_bucket\{.*IssueToken"


def are_told(trial):
    urls = [f"http://{pod['status']['podIP']}:9464/metrics" for pod in trial.release.servers()]
    text = trial.cluster.run(sys.executable, "-c", FETCH, *urls)
    for pattern in WANTED:
        need(re.search(pattern, text), f"/metrics has nothing like {pattern}")
    say("metrics have build info, calls by RPC and code, and durations")
