"""Who may call: service accounts of the cluster, by tokens that are verified against its own issuer."""
from processes import need, say


def are_known(trial):
    """`calls` has shown that a good token of an account with a grant is let in."""
    credentials, release = trial.release.credentials, trial.release
    api_server = "https://kubernetes.default.svc.cluster.local"
    for what, token, reason in (
        ("of another audience", credentials.token("caller", "elsewhere"), "CALLER_UNKNOWN"),
        ("for the API server", credentials.token("caller", api_server), "CALLER_UNKNOWN"),
        ("of an account without a grant", credentials.token("ungranted"), "PROJECT_UNKNOWN"),
    ):
        refused = refusal(trial, *release.as_caller(token))
        need(reason in refused, f"a token {what} is not refused with {reason}: {refused!r}")
    without = ("--server", f"https://{release.server}", "--tls-ca", credentials.ca)
    need("CALLER_UNKNOWN" in refusal(trial, *without), "a call without a token is let in")
    say("a token of another audience, of the API server's, of an account without a grant, and none at all are refused")


def refusal(trial, *flags):
    command = (trial.release.inkpass, "token", "issue", "--kind", "room", "--uuid", "r", "--role", "writer", *flags)
    return trial.cluster.complaint(*command)
