//! One line of the audit trail: a JSON object of printable ASCII, at most [`LONGEST_LINE`] bytes.

use super::object::{Object, render};
use crate::{
    clock::UnixMillis,
    region::Region,
    token::{Fingerprint, Kind, Lifetime, Role},
};

/// The longest line, in bytes, its line break included: container runtimes cut what is longer.
pub const LONGEST_LINE: usize = 16 * 1024;

/// Kept free for a [`Mark`].
const MARK_ROOM: usize = 32;

/// A decision, or what it led to. What is empty or `None` is left out.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// When.
    pub time: UnixMillis,
    /// What was decided.
    pub decision: Decision,
    /// Which of a creating call's two lines it is.
    pub phase: Option<Phase>,
    /// The call's id, as its answer has it.
    pub request_id: &'a str,
    /// The call's trace.
    pub trace_id: &'a str,
    /// Who called.
    pub principal: &'a str,
    /// Where from.
    pub peer: &'a str,
    /// `package.Service/Method`.
    pub rpc: &'a str,
    /// The project, as it was asked for or found.
    pub project: &'a str,
    /// The key that signs.
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
    /// How long a token is to live.
    pub lifetime: Option<Lifetime>,
    /// When it expires.
    pub expire_at: Option<UnixMillis>,
    /// The grant of the policy that decided.
    pub grant: &'a str,
    /// Why not: a reason of the contract's table.
    pub reason: &'a str,
    /// The tokens that were minted, at most 1,000.
    pub fingerprints: &'a [Fingerprint],
}

/// Whether something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

/// A creating call has a line before its POST and one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before: what was decided.
    Decision,
    /// After: what came of it.
    Outcome,
}

/// What a repeated line says of the line that it repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It came out after its call had been refused.
    Withheld,
    /// It may stand in the copy of a file that was truncated, or nowhere else.
    Again,
}

impl Decision {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl Phase {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Outcome => "outcome",
        }
    }
}

impl<'a> Line<'a> {
    /// A line with nothing else in it yet.
    #[must_use]
    pub const fn new(time: UnixMillis, rpc: &'a str, decision: Decision) -> Self {
        Self {
            time,
            decision,
            phase: None,
            request_id: "",
            trace_id: "",
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
        }
    }

    /// The line as it is written, with its line break.
    pub(super) fn render(&self) -> Vec<u8> {
        render(LONGEST_LINE - MARK_ROOM, |object| self.write(object))
    }

    fn write(&self, object: &mut Object) {
        object.time("time", self.time);
        object.name("decision", self.decision.as_str());
        object.name("phase", self.phase.map_or("", Phase::as_str));
        object.text("reason", self.reason);
        object.wide_text("principal", self.principal);
        object.text("peer", self.peer);
        object.text("rpc", self.rpc);
        object.text("project", self.project);
        object.text("access_key", self.access_key);
        object.name("kind", self.kind.map_or("", Kind::as_str));
        object.name("role", self.role.map_or("", Role::as_str));
        object.text("uuid", self.uuid);
        if let Some(tokens) = self.batch {
            object.raw("batch", format_args!("{tokens}"));
        }
        object.name("region", self.region.map_or("", Region::as_str));
        match self.lifetime.map(Lifetime::as_duration) {
            None => {}
            Some(Some(ttl)) => object.raw("ttl_ms", format_args!("{}", ttl.as_millis())),
            Some(None) => object.raw("permanent", format_args!("true")),
        }
        if let Some(expire_at) = self.expire_at {
            object.time("expire_time", expire_at);
        }
        object.text("grant", self.grant);
        object.text("request_id", self.request_id);
        object.text("trace_id", self.trace_id);
        object.fingerprints(self.fingerprints);
    }
}

/// The line `line`, marked. A marked line has no other mark.
pub(super) fn marked(line: &[u8], mark: Mark) -> Vec<u8> {
    const BEGINNING: &[u8] = b"{\"mark\":";
    if line.starts_with(BEGINNING) {
        return line.to_vec();
    }
    let mark: &[u8] = match mark {
        Mark::Withheld => b"\"withheld\",",
        Mark::Again => b"\"again\",",
    };
    [BEGINNING, mark, line.get(1..).unwrap_or_default()].concat()
}
