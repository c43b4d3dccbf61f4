"""Calls from inside the cluster's network, by our own client and by grpcurl."""
from processes import need, say


def are_answered(trial):
    by_our_client(trial.release.client)
    by_grpcurl(trial.release.grpcurl)
    say("IssueToken, CreateRoom and StartConversion answer our own client and grpcurl")


def by_our_client(client):
    token = client("token", "issue", "--kind", "room", "--uuid", "r", "--role", "writer")["token"]["value"]
    need(token.startswith("NETLESSROOM_"), "token issue gave no Room token")
    room = client("room", "create", "--grant-role", "reader")
    need(room["room"]["uuid"] == room["token"]["uuid"], "room create gave a token for another room")
    task = client("conversion", "start", "https://example.com/a.pptx", "--format", "static")
    need(task["conversion"]["uuid"], "conversion start gave no conversion")
    need(client("token", "verify", token)["valid"], "token verify finds our own token invalid")


def by_grpcurl(grpcurl):
    token = grpcurl("TokenService/IssueToken", {"sdk": {}, "role": "ROLE_ADMIN", "ttl": "60s"})
    need(token["token"]["value"].startswith("NETLESSSDK_"), "IssueToken gave no SDK token")
    room = grpcurl("RoomService/CreateRoom", {"region": "REGION_EU", "token_grant": {"role": "ROLE_WRITER"}})
    need(room["room"]["region"] == "REGION_EU", "CreateRoom made a room elsewhere")
    task = {"resource": "https://example.com/a.pdf", "static_format": {}}
    need(grpcurl("ConversionService/StartConversion", task)["conversion"], "StartConversion started nothing")
