"""The faults that the alerts are for, one after the other. Each gives the load that shows it."""
from calls import CONVERSIONS, ISSUE, REGIONS, ROOMS, TOKENS, Load, create, field, get, start, until
from surroundings import redis, token_of_an_unknown_key

# Which fault makes which alerts fire. Every alert is in one of them.
SURROUNDINGS = {
    "InkpassStoreForged", "InkpassStoreAway", "InkpassStoreRefuses", "InkpassUpstreamBurnsFast",
    "InkpassUpstreamBurnsSlowly", "InkpassCollectorAway", "InkpassIssuerUnreachable", "InkpassCallersUnknown",
    "InkpassReloadFailing", "InkpassCertificateExpiring", "InkpassCertificateExpires", "InkpassQuotaExhausted",
    "InkpassShareExhausted", "InkpassOverloaded", "InkpassLogLinesDropped",
}
UPSTREAM = {
    "InkpassUpstreamDown", "InkpassBreakerOpen", "InkpassVendorBurnsFast", "InkpassVendorBurnsSlowly", "InkpassOutcomeUnknown",
    "InkpassInternalErrors", "InkpassUpstreamSlow", "InkpassUpstreamRateLimited", "InkpassConversionQueueFull",
}
KEY = {"InkpassKeyRejected"}
SIGNING = {
    "InkpassAuditUnwritable", "InkpassAuditLinesFailed", "InkpassAuditFileUnreachable", "InkpassSigningSlow",
    "InkpassSigningBurnsFast", "InkpassSigningBurnsSlowly", "InkpassClockUnstable", "InkpassClockSkewed",
}
RESTARTS = {"InkpassRestarts", "InkpassKeyOld", "InkpassInsecure"}
REPLICAS = {"InkpassReplicasFew"}
GONE = {"InkpassDown"}
ALL = [SURROUNDINGS, UPSTREAM, KEY, SIGNING, RESTARTS, REPLICAS, GONE]

# A machine that stands still for a moment makes these fire too, so that early is no mistake.
BUSY = {"InkpassSigningSlow", "InkpassAuditLinesFailed", "InkpassSigningBurnsFast", "InkpassSigningBurnsSlowly"}


def healthy(fleet):
    """Calls as there are on any day, a denied one too."""
    for replica in fleet.replicas:
        app = replica.caller()
        assert app.call(TOKENS + "IssueToken", ISSUE), f"{replica.name} mints nothing"
        room = app.room("us-sv")
        sign = [
            lambda app=app: app.call(TOKENS + "IssueToken", ISSUE),
            lambda app=app: app.call(TOKENS + "BatchIssueTokens", field(1, ISSUE) + field(1, ISSUE)),
            lambda app=app: app.call(TOKENS + "VerifyToken", field(2, "NETLESSROOM_abc")),
            lambda app=app: app.call(TOKENS + "IssueToken", field(3, field(1, "a-room")) + field(5, 1)),
        ]
        yield Load(24, *sign)
        rooms = [
            lambda app=app: app.call(ROOMS + "CreateRoom", create()),
            lambda app=app, room=room: app.call(ROOMS + "GetRoom", get(room)),
        ]
        yield Load(4, *rooms)


def surroundings(fleet):
    first, _, last = fleet.replicas
    app = first.caller()
    # Somebody writes to the store: the same request_id then finds what does not verify.
    request = create(request_id="0b8a4e1c-3b5e-4f7e-9a61-6f1b2a3c4d5e")
    forge(fleet, lambda: app.call(ROOMS + "CreateRoom", request))
    until("it is seen as forged", lambda: app.call(ROOMS + "CreateRoom", request) is None)
    until("and counted", lambda: fleet.ask("query", query='inkpass_store_claims_total{outcome="forged"} > 0')["result"])
    fleet.store.terminate()
    yield Load(4, lambda: app.call(ROOMS + "CreateRoom", request))
    fleet.collector.stop()
    fleet.issuer.stop()
    stranger = first.stranger("authorization", f"Bearer {token_of_an_unknown_key()}")
    yield Load(100, lambda: stranger.call(TOKENS + "IssueToken", ISSUE))
    fleet.write_policy("[[grants]]\nname = 'wrong'\n")
    fleet.certify(days=1)
    limited = first.caller("limited")
    yield Load(10, lambda: limited.call(TOKENS + "IssueToken", ISSUE))
    # Each greedy caller takes half of the streams that are left, on connections of eight.
    held = []
    for name in (f"greedy{number}" for number in range(8)):
        while True:
            caller = first.caller(name)
            caller.call(TOKENS + "IssueToken", ISSUE)
            opened = caller.reflect(8)
            held.append((caller, opened))
            if len(opened) < 8:
                break
    # One more is too many for the first connection alone, and there is none left for anybody else.
    late = first.caller("greedy9")
    late.call(TOKENS + "IssueToken", ISSUE)
    yield Load(4, lambda: held[0][0].reflect(1), lambda: late.reflect(1))
    last.stderr.leaves = True


def forge(fleet, make):
    """Overwrites what the store has of a call."""
    before = set(redis(fleet.store_address, "KEYS", "inkpass:1:*"))
    make()
    for key in set(redis(fleet.store_address, "KEYS", "inkpass:1:*")) - before:
        redis(fleet.store_address, "SET", key, "not what it was", "KEEPTTL")


def upstream(fleet):
    """A fault in each region, so that all go on at once."""
    app = fleet.replicas[0].caller()
    failing, slow, limited, odd = (app.room(region) for region in ("gb-lon", "eu", "sg", "in-mum"))
    faults = (failing, {"kind": "status", "status": 500}), (slow, {"kind": "delay", "delay_ms": 2500}), \
        (limited, {"kind": "status", "status": 429}), (odd, {"kind": "html"})
    for room, fault in faults:
        fleet.control("POST", "faults", method="GET", path=f"/v5/rooms/{room}", share=1.0, **fault)
    for room, region in (failing, "gb-lon"), (limited, "sg"), (odd, "in-mum"):
        yield Load(6, lambda room=room, region=region: app.call(ROOMS + "GetRoom", get(room, region)))
    for _ in range(3):
        yield Load(2, lambda: app.call(ROOMS + "GetRoom", get(slow, "eu")))
    fleet.control("POST", "faults", method="POST", path="/v5/rooms", kind="status", status=500, count=3)
    yield Load(2, lambda: app.call(ROOMS + "CreateRoom", field(2, REGIONS["us-sv"])))
    yield Load(2, lambda: app.call(CONVERSIONS + "StartConversion", start("us-sv")))


def signing(fleet):
    first, second, _ = fleet.replicas
    first.stdout.goes_on.clear()
    trail = fleet.place / f"{second.name}.audit"
    trail.rename(f"{trail}.1")
    trail.mkdir()
    fleet.offset.write_text("+90")
    app = first.caller()
    yield Load(30, lambda: app.call(TOKENS + "IssueToken", ISSUE))
    yield Load(30, lambda: app.call(TOKENS + "IssueToken", ISSUE))


def restart(replica):
    """With an old key and without authentication, again and again."""
    def begun():
        answer = replica.fleet.ask("query", query=f'process_start_time_seconds{{instance="{replica.admin}"}}')
        return [series["value"][1] for series in answer["result"]]

    for _ in range(5):
        before = begun()
        replica.end()
        replica.start("old-secret", is_open=True)
        until("it is scraped again", lambda: begun() not in ([], before))
