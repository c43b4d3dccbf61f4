//! One line of the audit trail: a JSON object of printable ASCII, at most [`LONGEST_LINE`] bytes.

use crate::{
    clock::UnixMillis,
    json_line::{JsonLine, render},
    names::names,
    region::Region,
    token::{Fingerprint, Kind, Lifetime, Role},
};

/// The longest line, in bytes, its line break included: container runtimes cut what is longer.
pub const LONGEST_LINE: usize = 16 * 1024;

/// Bytes reserved for a [`Mark`].
const MARK_SPACE: usize = 32;

/// A decision, or its outcome. Empty fields are left out.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// When.
    pub time: UnixMillis,
    /// What was decided.
    pub decision: Decision,
    /// Which of a creating call's two lines this is.
    pub phase: Option<Phase>,
    /// The call's request id, as in its response.
    pub request_id: &'a str,
    /// The call's trace.
    pub trace_id: &'a str,
    /// The `request_id` of a creating call, in lower case.
    pub idempotency_key: &'a str,
    /// Whether an earlier call with the same key made what the line tells of.
    pub replayed: bool,
    /// The caller.
    pub principal: &'a str,
    /// Its IP address.
    pub peer: &'a str,
    /// `package.Service/Method`.
    pub rpc: &'a str,
    /// The project, as requested or as resolved.
    pub project: &'a str,
    /// The access key of the key that signs.
    pub access_key: &'a str,
    /// The kind of token.
    pub kind: Option<Kind>,
    /// Its role.
    pub role: Option<Role>,
    /// The room or task.
    pub uuid: &'a str,
    /// How many tokens a batch asks for.
    pub batch: Option<usize>,
    /// Where the upstream acts.
    pub region: Option<Region>,
    /// The token's lifetime.
    pub lifetime: Option<Lifetime>,
    /// When it expires.
    pub expire_at: Option<UnixMillis>,
    /// The policy's grant that allowed it.
    pub grant: &'a str,
    /// Why it failed: an error reason.
    pub reason: &'a str,
    /// The tokens that were minted, at most 1,000.
    pub fingerprints: &'a [Fingerprint],
    /// Of a line that stands for several denials, which differ in what is empty.
    pub summary: Option<&'a Summary>,
}

/// What a line stands for that stands for several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many.
    pub count: u64,
    /// When the first was; the line has the time of the last.
    pub since: UnixMillis,
}

/// Whether a call is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is.
    Allow,
    /// It is not.
    Deny,
}

/// A creating call has one line before its POST and one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before: the decision.
    Decision,
    /// After: the outcome.
    Outcome,
}

/// Why a line is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It was written after its call had been refused.
    Withheld,
    /// Its file was truncated: it may be in the copy, or nowhere else.
    Again,
}

names! { pub Decision { Allow = "allow", Deny = "deny" } }
names! { pub Phase { Decision = "decision", Outcome = "outcome" } }

impl<'a> Line<'a> {
    /// A line without its other fields.
    #[must_use]
    pub const fn new(time: UnixMillis, rpc: &'a str, decision: Decision) -> Self {
        Self {
            time,
            decision,
            phase: None,
            request_id: "",
            trace_id: "",
            idempotency_key: "",
            replayed: false,
            principal: "",
            peer: "",
            rpc,
            project: "",
            access_key: "",
            kind: None,
            role: None,
            uuid: "",
            batch: None,
            region: None,
            lifetime: None,
            expire_at: None,
            grant: "",
            reason: "",
            fingerprints: &[],
            summary: None,
        }
    }

    /// The line as it is written, with its line break.
    #[must_use]
    pub fn render(&self) -> Box<[u8]> {
        render(LONGEST_LINE - MARK_SPACE, |json| self.write(json))
    }

    fn write(&self, json: &mut JsonLine) {
        json.name("mark", if self.summary.is_some() { "summary" } else { "" });
        json.time("time", self.time);
        if let Some(Summary { count, since }) = self.summary {
            json.raw("count", format_args!("{count}"));
            json.time("since", *since);
        }
        json.name("decision", self.decision.as_str());
        json.name("phase", self.phase.map_or("", Phase::as_str));
        json.text("reason", self.reason);
        json.wide_text("principal", self.principal);
        json.text("peer", self.peer);
        json.text("rpc", self.rpc);
        json.text("project", self.project);
        json.text("access_key", self.access_key);
        json.name("kind", self.kind.map_or("", Kind::as_str));
        json.name("role", self.role.map_or("", Role::as_str));
        json.text("uuid", self.uuid);
        if let Some(tokens) = self.batch {
            json.raw("batch", format_args!("{tokens}"));
        }
        json.name("region", self.region.map_or("", Region::as_str));
        match self.lifetime.map(Lifetime::as_duration) {
            None => {}
            Some(Some(ttl)) => json.raw("ttl_ms", format_args!("{}", ttl.as_millis())),
            Some(None) => json.raw("permanent", format_args!("true")),
        }
        if let Some(expire_at) = self.expire_at {
            json.time("expire_time", expire_at);
        }
        json.text("grant", self.grant);
        json.text("request_id", self.request_id);
        json.text("trace_id", self.trace_id);
        json.text("idempotency_key", self.idempotency_key);
        if self.replayed {
            json.raw("replayed", format_args!("true"));
        }
        json.fingerprints(self.fingerprints);
    }
}

/// The line with a mark. One that has a mark keeps it, and says `again` beside it.
pub(super) fn marked(line: &[u8], mark: Mark) -> Box<[u8]> {
    const BEGINNING: &[u8] = b"{\"mark\":";
    const AGAIN: &[u8] = b"{\"again\":true,";
    if mark == Mark::Again && line.starts_with(BEGINNING) {
        return [AGAIN, line.get(1..).unwrap_or_default()].concat().into();
    }
    if line.starts_with(BEGINNING) || line.starts_with(AGAIN) {
        return line.into();
    }
    let mark: &[u8] = match mark {
        Mark::Withheld => b"\"withheld\",",
        Mark::Again => b"\"again\",",
    };
    [BEGINNING, mark, line.get(1..).unwrap_or_default()].concat().into()
}
