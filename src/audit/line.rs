//! One line of the audit trail: a JSON object of printable ASCII, at most [`LONGEST_LINE`] bytes.

use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

use super::escape::push_escaped;
use crate::{
    clock::UnixMillis,
    region::Region,
    token::{Fingerprint, Kind, Lifetime, Role},
};

/// The longest line, in bytes, its line break included: container runtimes cut what is longer.
pub const LONGEST_LINE: usize = 16 * 1024;

/// The most tokens that one line can name: those of the longest batch.
const MOST_TOKENS: usize = 1000;

/// Kept free for a [`Mark`] and the line break.
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

/// How much a line may hold, from generous to what always fits.
struct Fit {
    /// The most bytes of a text, escaped; a principal has twice as many.
    text: usize,
    /// The first digits of each fingerprint.
    digits: usize,
}

const FITS: [Fit; 3] =
    [Fit { text: 1024, digits: 32 }, Fit { text: 1024, digits: 11 }, Fit { text: 96, digits: 11 }];

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
        let mut object = Object { out: String::with_capacity(768), fit: &FITS[0], cut: Vec::new() };
        for fit in &FITS {
            object.begin(fit);
            self.write(&mut object);
            if object.out.len() + MARK_ROOM <= LONGEST_LINE {
                break;
            }
        }
        object.out.push('\n');
        object.out.into_bytes()
    }

    fn write(&self, object: &mut Object<'_>) {
        object.time("time", self.time);
        object.name(
            "decision",
            match self.decision {
                Decision::Allow => "allow",
                Decision::Deny => "deny",
            },
        );
        if let Some(phase) = self.phase {
            object.name(
                "phase",
                match phase {
                    Phase::Decision => "decision",
                    Phase::Outcome => "outcome",
                },
            );
        }
        object.text("reason", self.reason);
        object.wide_text("principal", self.principal);
        object.text("peer", self.peer);
        object.text("rpc", self.rpc);
        object.text("project", self.project);
        object.text("access_key", self.access_key);
        object.name("kind", self.kind.map_or("", Kind::as_str));
        object.name("role", self.role.map_or("", Role::as_str));
        object.text("uuid", self.uuid);
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
        object.end();
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

/// A JSON object that is being written.
struct Object<'f> {
    out: String,
    fit: &'f Fit,
    /// What had to be cut.
    cut: Vec<&'static str>,
}

impl<'f> Object<'f> {
    fn begin(&mut self, fit: &'f Fit) {
        self.out.clear();
        self.cut.clear();
        self.fit = fit;
    }

    fn key(&mut self, name: &'static str) {
        self.out.push_str(if self.out.is_empty() { "{\"" } else { ",\"" });
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    /// A text that may hold anything.
    fn text(&mut self, name: &'static str, text: &str) {
        self.escaped(name, text, self.fit.text);
    }

    /// A SPIFFE ID has up to 2,048 bytes.
    fn wide_text(&mut self, name: &'static str, text: &str) {
        self.escaped(name, text, 2 * self.fit.text);
    }

    fn escaped(&mut self, name: &'static str, text: &str, most: usize) {
        if text.is_empty() {
            return;
        }
        self.key(name);
        self.out.push('"');
        if !push_escaped(&mut self.out, text, most) {
            self.cut.push(name);
        }
        self.out.push('"');
    }

    /// One of our own names: nothing in it needs an escape.
    fn name(&mut self, name: &'static str, value: &'static str) {
        if !value.is_empty() {
            self.raw(name, format_args!("\"{value}\""));
        }
    }

    fn time(&mut self, name: &'static str, time: UnixMillis) {
        let time = UNIX_EPOCH + Duration::from_millis(time.get());
        self.raw(name, format_args!("\"{}\"", humantime::format_rfc3339_millis(time)));
    }

    fn raw(&mut self, name: &'static str, value: std::fmt::Arguments<'_>) {
        self.key(name);
        // A string takes whatever is written to it.
        let _ = self.out.write_fmt(value);
    }

    fn fingerprints(&mut self, fingerprints: &[Fingerprint]) {
        let digits = self.fit.digits;
        match fingerprints {
            [] => {}
            [one] => self.raw("fingerprint", format_args!("\"{one}\"")),
            many => {
                self.key("fingerprints");
                for (index, fingerprint) in many.iter().take(MOST_TOKENS).enumerate() {
                    self.out.push_str(if index == 0 { "[\"" } else { ",\"" });
                    let _ = write!(self.out, "{fingerprint:.digits$}\"");
                }
                self.out.push(']');
                if many.len() > MOST_TOKENS || digits < 32 {
                    self.cut.push("fingerprints");
                }
            }
        }
    }

    fn end(&mut self) {
        for index in 0..self.cut.len() {
            if index == 0 {
                self.key("cut");
            }
            self.out.push_str(if index == 0 { "[\"" } else { ",\"" });
            self.out.push_str(self.cut[index]);
            self.out.push('"');
        }
        self.out.push_str(if self.cut.is_empty() { "}" } else { "]}" });
    }
}
