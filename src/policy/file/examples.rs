//! The examples that a policy file carries with it, `[[tests]]`: a question, and what is expected.

use super::tokens_and_quota::{read_kind, read_region, read_role};
use crate::{
    document::{Fields, Optional},
    methods::{Action, Rpc},
    policy::{
        example::Example,
        grant::{AccessRequest, Denial, Mint, MissingRight},
        rules::Rules,
    },
    token::{Kind, Lifetime, Role},
};

/// What `expect` can be.
const ALLOW: &str = "allow";
const EXPECTED: [&str; 6] = [
    ALLOW,
    Denial::ProjectUnknown.reason(),
    Denial::PolicyDenied(MissingRight::Rpc).reason(),
    Denial::RegionForbidden.reason(),
    Denial::PermanentTokenForbidden.reason(),
    Denial::TtlAboveMaximum(std::time::Duration::ZERO).reason(),
];

impl Example {
    /// Asks the rules.
    ///
    /// # Errors
    /// What was expected and what they say, in a sentence.
    pub fn run(&self, rules: &Rules) -> Result<(), String> {
        let request =
            AccessRequest { rpc: self.rpc, project: &self.project, region: self.region, mint: self.mint };
        let decided = rules.decide(self.principal.as_str(), &request);
        let reason = decided.as_ref().map_or_else(|denial| denial.reason(), |_| ALLOW);
        if reason == self.expect {
            return Ok(());
        }
        let expected = self.expect;
        Err(match decided {
            Ok(decision) => {
                let (name, line) = (decision.grant.name(), decision.grant.line());
                format!("expected {expected}, but grant {name} of line {line} allows it")
            }
            Err(denial) => format!("expected {expected}, but it is {reason}: {denial}"),
        })
    }
}

/// `default`: the project that is meant where a test names none.
pub(super) fn read_example(mut fields: Fields<'_>, default: Option<&str>) -> Option<Example> {
    let line = fields.line();
    let principal = fields.need("principal").and_then(|node| {
        let parse = |text: &str| text.parse().ok().filter(|_| !text.contains('*'));
        node.name(parse, "a principal in full, such as k8s:classroom/api, without a *")
    });
    let rpc = fields.need("rpc").and_then(|node| {
        node.name(|name| name.parse().ok(), "an RPC, such as inkpass.v1.TokenService/IssueToken")
    });
    let project = fields.read("project", |node| node.text().map(str::to_owned));
    if project == Some(None) && default.is_none() {
        fields.wrong("project is missing, and there is more than one that could be meant");
    }
    let region = fields.read("region", |node| read_region(&node));
    let kind = fields.read("kind", |node| read_kind(&node));
    let role = fields.read("role", |node| read_role(&node));
    let lifetime = read_lifetime(&mut fields);
    let expect = fields.need("expect").and_then(|node| {
        let find = |name: &str| EXPECTED.into_iter().find(|expected| *expected == name);
        node.name(find, format_args!("one of {}", EXPECTED.join(", ")))
    });

    let rpc = rpc?;
    if let Err(what) = region_fits(rpc, region != Some(None)) {
        fields.wrong(what);
    }
    let mint = mint_of(rpc, kind?, role?, lifetime?).map_err(|what| fields.wrong(what)).ok()?;
    let project = project?.or_else(|| default.map(str::to_owned))?;
    Some(Example { line, principal: principal?, project, rpc, region: region?, mint, expect: expect? })
}

fn read_lifetime(fields: &mut Fields<'_>) -> Optional<Lifetime> {
    let ttl = fields.read("ttl", |node| node.ttl().map(|(_, lifetime)| lifetime));
    let permanent = fields.read("permanent", |node| node.consent().map(|()| Lifetime::Permanent));
    if ttl != Some(None) && permanent != Some(None) {
        fields.wrong("has both ttl and permanent");
        return None;
    }
    Some(ttl?.or(permanent?))
}

/// What a question asks to mint, from what it says in words.
///
/// # Errors
/// What it must say, or leave out.
pub fn mint_of(
    rpc: Rpc,
    kind: Option<Kind>,
    role: Option<Role>,
    lifetime: Option<Lifetime>,
) -> Result<Option<Mint>, &'static str> {
    let says_nothing = kind.is_none() && role.is_none() && lifetime.is_none();
    let meant = match rpc.row().action {
        Action::Mints => kind,
        _ if says_nothing => return Ok(None),
        Action::Reads | Action::Watches | Action::Changes => {
            return Err("this RPC mints nothing: leave out kind, role, ttl and permanent");
        }
        Action::Creates(beside) if kind.is_some_and(|kind| kind != beside) => {
            return Err(
                "the token beside a new room is a room token, and beside a new conversion a task token",
            );
        }
        Action::Creates(beside) => Some(beside),
    };
    let (Some(kind), Some(role)) = (meant, role) else {
        return Err("a token has a kind and a role: say which");
    };
    Ok(Some(Mint { kind, role, lifetime }))
}

/// Whether a question names a region exactly where its RPC has one.
///
/// # Errors
/// What it must do.
pub fn region_fits(rpc: Rpc, is_given: bool) -> Result<(), &'static str> {
    match (rpc.goes_upstream(), is_given) {
        (true, false) => Err("region is missing: this RPC goes upstream"),
        (false, true) => Err("this RPC does not go upstream, and a token has no region: leave out region"),
        _ => Ok(()),
    }
}
