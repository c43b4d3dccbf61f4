"""One trace, from the caller's span over the server's to that of the request to the whiteboard API."""
import json
import secrets

from logs import FORBIDDEN
from processes import need, say, wait_for

RPC = "RoomService/CreateRoom"


def one_arrives_whole(trial):
    trace, caller = secrets.token_hex(16), secrets.token_hex(8)
    parent = ("-H", f"traceparent: 00-{trace}-{caller}-01")
    trial.release.grpcurl(RPC, {"token_grant": {"role": "ROLE_WRITER"}}, *parent)

    spans, way = wait_for("a whole trace at the collector", lambda: whole(trial.collector, trace, caller), 30)
    attempt, server = way[0], way[-1]
    need(server["name"] == server["attributes"].get("rpc.method") == f"inkpass.v1.{RPC}", f"{server}")
    need((server["kind"], attempt["kind"]) == (2, 3), "the kinds are not SERVER and CLIENT")
    need(str(attempt["attributes"].get("http.response.status_code")) == "201", f"{attempt}")
    resource = server["resource"]
    pods = {pod["metadata"]["name"] for pod in trial.release.servers()}
    need(resource.get("service.name") == "inkpass" and resource.get("k8s.pod.name") in pods, f"resource: {resource}")
    say(f"a trace of CreateRoom arrives whole: {' < '.join(span['name'] for span in way)}; {len(spans)} spans")
    wait_for("the trace's id in a log", lambda: trial.logs.has(f'"trace_id":"{trace}"'), 30)
    say("its id is in the log")


def whole(collector, trace, caller):
    """All its spans, and those on the way from the attempt up to the server's; nothing if they are not there yet."""
    spans = {span["id"]: span for span in received(collector) if span["trace"] == trace}
    attempts = [span for span in spans.values() if span["attributes"].get("http.request.method") == "POST"]
    # grpcurl asks for reflection within the same trace.
    server = [span for span in spans.values() if span["parent"] == caller and span["name"].startswith("inkpass.")]
    if not attempts or not server:
        return None
    need(len(server) == len(attempts) == 1, f"one server span and one attempt expected: {list(spans.values())}")
    way = [attempts[0]]
    while way[-1]["parent"] in spans:
        way.append(spans[way[-1]["parent"]])
    need(way[-1] is server[0], f"the attempt's span does not descend from the caller's: {way}")
    return spans, way


def received(collector):
    return map(json.loads, collector.lines[1:])


def none_has_a_secret(trial):
    """Ends the collector, once every pod has sent its last span."""
    lines = trial.collector.end()[1:]
    forbidden = (*FORBIDDEN, *trial.release.secrets())
    found = [line for line in lines if any(word in line for word in forbidden)]
    need(lines and not found, f"a token or key is in {len(found)} of {len(lines)} spans")
    say(f"no token and no key in {len(lines)} spans")
