//! The policy as a service holds it: a file's grants, or everyone's.

use std::sync::Arc;

use super::{
    file::Example,
    grant::{Ask, Denial, Everyone, Grant, Mint},
    table::{Rows, Table},
};
use crate::{methods::Rpc, region::Region, token::Lifetime};

/// Who may do what. It never changes: a new file makes a new one.
#[derive(Debug)]
pub struct Rules(Inner);

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a service has one")]
enum Inner {
    Everyone(Arc<Grant>),
    File { table: Table, examples: Vec<Example> },
}

/// A request that is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// The grant that allows it: the first in file order. Its quota is the one that counts.
    pub grant: &'a Arc<Grant>,
    /// How long the token lives; `None` where none is minted.
    pub lifetime: Option<Lifetime>,
}

/// A principal and a project that go together; what of the project is asked for comes next.
#[derive(Clone, Copy)]
pub struct Admitted<'a>(AdmittedKind<'a>);

#[derive(Clone, Copy)]
enum AdmittedKind<'a> {
    Everyone(&'a Arc<Grant>),
    Rows(Rows<'a>),
}

/// The projects whose tokens a principal may verify.
#[derive(Clone, Copy)]
pub struct Verifiable<'a> {
    rules: &'a Rules,
    principal: &'a str,
}

impl Rules {
    /// Without a policy file: everyone may do everything, on every project.
    #[must_use]
    pub fn for_everyone(everyone: Everyone) -> Self {
        Self(Inner::Everyone(Arc::new(Grant::for_everyone(everyone))))
    }

    pub(super) fn new(grants: Vec<Grant>, examples: Vec<Example>) -> Self {
        Self(Inner::File { table: Table::new(grants), examples })
    }

    /// The first of two steps: whether the principal has any grant for the project. Only then may
    /// anything of the project be looked at, such as its default region or a named key: a caller
    /// must not learn from an error what is none of its business.
    ///
    /// # Errors
    /// [`Denial::ProjectUnknown`].
    pub fn admit<'a>(&'a self, principal: &'a str, project: &str) -> Result<Admitted<'a>, Denial> {
        let admitted = match &self.0 {
            Inner::Everyone(grant) => AdmittedKind::Everyone(grant),
            Inner::File { table, .. } => {
                AdmittedKind::Rows(table.rows(principal, project).ok_or(Denial::ProjectUnknown)?)
            }
        };
        Ok(Admitted(admitted))
    }

    /// Both steps at once, where nothing of the project is needed in between.
    ///
    /// # Errors
    /// [`Denial`]: the first in its order that applies.
    pub fn decide<'a>(&'a self, principal: &'a str, ask: &Ask<'_>) -> Result<Decision<'a>, Denial> {
        self.admit(principal, ask.project)?.decide(ask.rpc, ask.region, ask.mint)
    }

    /// The projects that `VerifyToken` means where a request names none.
    #[must_use]
    pub const fn may_verify<'a>(&'a self, principal: &'a str) -> Verifiable<'a> {
        Verifiable { rules: self, principal }
    }

    /// All grants, in file order.
    #[must_use]
    pub fn grants(&self) -> &[Arc<Grant>] {
        match &self.0 {
            Inner::Everyone(grant) => std::slice::from_ref(grant),
            Inner::File { table, .. } => &table.grants,
        }
    }

    /// The examples that the file carries with it.
    #[must_use]
    pub fn examples(&self) -> &[Example] {
        match &self.0 {
            Inner::Everyone(_) => &[],
            Inner::File { examples, .. } => examples,
        }
    }

    /// What each grant that names the principal says of the request by itself, for people: it looks
    /// at all of them.
    pub fn explain<'a>(
        &'a self,
        principal: &'a str,
        ask: &'a Ask<'_>,
    ) -> impl Iterator<Item = (&'a Grant, Result<Option<Lifetime>, Denial>)> {
        let naming = self.grants().iter().filter(|grant| grant.names(principal));
        naming.map(|grant| (&**grant, grant.judge(ask)))
    }
}

impl<'a> Admitted<'a> {
    /// The second step. `region` and `mint` are [`Ask`]'s.
    ///
    /// # Errors
    /// [`Denial`]: the first in its order that applies.
    pub fn decide(
        &self,
        rpc: Rpc,
        region: Option<Region>,
        mint: Option<Mint>,
    ) -> Result<Decision<'a>, Denial> {
        let ask = Ask { rpc, project: "", region, mint };
        let (grant, lifetime) = match self.0 {
            AdmittedKind::Everyone(grant) => (grant, grant.judge_within_project(&ask)?),
            AdmittedKind::Rows(rows) => rows.decide(&ask)?,
        };
        Ok(Decision { grant, lifetime })
    }
}

impl Verifiable<'_> {
    /// Whether there is none, so that the call is to be refused with `POLICY_DENIED`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.rules.0 {
            Inner::Everyone(_) => false,
            Inner::File { table, .. } => !table.verifies(self.principal),
        }
    }

    /// Whether a project is one of them.
    #[must_use]
    pub fn contains(&self, project: &str) -> bool {
        let ask = Ask { rpc: Rpc::VerifyToken, project, region: None, mint: None };
        self.rules.decide(self.principal, &ask).is_ok()
    }
}
