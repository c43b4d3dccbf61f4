"""The rules and the dashboard of the chart, as the tests of this directory read them."""
import json
import re
from pathlib import Path

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FILES = ROOT / "helm/inkpass/files"
RULES = sorted(FILES.glob("*.rules.yaml"))
DASHBOARD = FILES / "dashboard.json"


def groups():
    return [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]


def rules():
    return [rule for group in groups() for rule in group["rules"]]


def alerts():
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def panels():
    """Each panel that has queries."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel.get("targets")]


def query(expr, interval="5m"):
    """A panel's query, with its variables filled in as Grafana does."""
    expr = expr.replace("$__rate_interval", interval).replace('namespace=~"$namespace"', 'namespace=~".*"')
    expr = expr.replace('job=~"$job"', 'job="inkpass"')
    assert "$" not in expr, expr
    return expr


def metrics_of(expr):
    """The metrics that an expression reads, each with the labels that it asks of them."""
    expr = re.sub(r"#.*|\b(?:by|without|on|group_left)\s*\([^)]*\)", "", expr)
    selectors = re.findall(r"\b((?:inkpass|rpc|process|tokio)_\w+)\b(?:\{([^}]*)\})?", expr)
    return [(name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))) for name, matchers in selectors]


def grouped_by(expr):
    """The labels that an expression groups by."""
    lists = re.findall(r"\b(?:by|without|on|group_left)\s*\(([^)]*)\)", expr)
    return {label.strip() for labels in lists for label in labels.split(",") if label.strip()}
