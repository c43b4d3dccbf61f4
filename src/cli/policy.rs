//! `inkpass policy`: explains a policy's decisions, and runs its `[[tests]]`.

use std::{fmt::Write, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    args::{self, ConfigArgs, OutputArgs},
    failure::Failure,
    output::{PrintFormat, print},
};
use crate::{
    config::{known, load_policy_settings},
    methods::Rpc,
    policy::{AccessRequest, Allowed, Denial, Grant, Quota, Rules, mint_of, region_fits},
    principal::Principal,
    region::Region,
    token::{Kind, Lifetime, Role},
};

#[derive(Subcommand)]
pub(super) enum PolicyCommand {
    /// Explain whether a principal may do something, and by which grant; exits with 1 if not
    Explain(Explain),
    /// Run the [[tests]] of policy files; exits with 1 if one fails
    Test(Test),
}

#[derive(Args)]
pub(super) struct Explain {
    /// The caller, such as k8s:classroom/api
    #[arg(long)]
    principal: Principal,
    /// The RPC, such as inkpass.v1.TokenService/IssueToken
    #[arg(long)]
    rpc: Rpc,
    /// The project; by default the settings'
    #[arg(long)]
    project: Option<String>,
    /// The call's data center; by default the project's, with --config
    #[arg(long, value_parser = args::region())]
    region: Option<Region>,
    /// The kind of the token to be minted
    #[arg(long, value_parser = args::kind())]
    kind: Option<Kind>,
    /// The token's role
    #[arg(long, value_parser = args::role())]
    role: Option<Role>,
    /// The token's lifetime, such as 10m; by default the grant's
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    ttl: Option<Duration>,
    /// The token never expires
    #[arg(long, conflicts_with = "ttl")]
    permanent: bool,
    /// The policy file; takes precedence over the one of the settings
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
pub(super) struct Test {
    /// Policy files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

impl PolicyCommand {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Explain(explain) => explain.run(),
            Self::Test(test) => test.run(),
        }
    }
}

impl Explain {
    fn run(&self) -> Result<(), Failure> {
        let given = self.config.is_given().then(|| load_policy_settings(&self.config.sources()));
        let settings = given.transpose()?;
        let projects = settings.as_ref().map(|settings| known(&settings.projects));
        let set_file = || settings.as_ref().and_then(|settings| settings.file.clone());
        let file = self.policy.clone().or_else(set_file).ok_or_else(|| {
            usage(
                "there is no policy file: name one with --policy, or settings with policy.file with --config",
            )
        })?;
        let rules = Rules::load(&file, projects.as_ref(), None)?;
        let project = self.project.clone().or_else(|| rules.implied_project(projects.as_ref()));
        let project = project.ok_or_else(|| usage("--project: more than one could be meant; name it"))?;
        let of_project = || {
            let mut projects = settings.iter().flat_map(|settings| &settings.projects);
            projects.find(|known| known.name == project)?.region.filter(|_| self.rpc.goes_upstream())
        };
        let region = self.region.or_else(of_project);
        region_fits(self.rpc, region.is_some()).map_err(|what| usage(&format!("--region: {what}")))?;
        let lifetime = match self.ttl {
            Some(ttl) => Some(Lifetime::ttl(ttl).map_err(|error| usage(&format!("--ttl: {error}")))?),
            None => self.permanent.then_some(Lifetime::Permanent),
        };
        let mint = mint_of(self.rpc, self.kind, self.role, lifetime).map_err(usage)?;

        let request = AccessRequest { rpc: self.rpc, project: &project, region, mint };
        let decided = rules.decide(self.principal.as_str(), &request);
        let grants: Vec<_> = rules.explain(self.principal.as_str(), &request).collect();
        print(&match self.output.get() {
            PrintFormat::Text => in_words(&file.display().to_string(), &decided, &grants),
            PrintFormat::Json => format!("{:#}\n", in_json(&decided, &grants)),
        })?;
        if decided.is_ok() { Ok(()) } else { Err(Failure::No) }
    }
}

/// The decision of each grant that names the principal, by itself.
type Answers<'a> = [(&'a Grant, Result<Option<Lifetime>, Denial>)];

fn in_words(file: &str, decided: &Result<Allowed<'_>, Denial>, grants: &Answers<'_>) -> String {
    let mut text = String::new();
    match decided {
        Ok(Allowed { grant, lifetime }) => {
            let _ = writeln!(text, "allowed by grant {}, {file}:{}", grant.name(), grant.line());
            if let Some(lifetime) = lifetime {
                let ttl = lifetime.as_duration().map(|ttl| humantime::format_duration(ttl).to_string());
                let _ = writeln!(text, "ttl: {}", ttl.as_deref().unwrap_or("permanent"));
            }
            let _ = writeln!(
                text,
                "quota: {}",
                grant.quota().as_ref().map_or_else(|| "none".to_owned(), Quota::to_string)
            );
        }
        Err(denial) => {
            let _ = writeln!(text, "denied: {}: {denial}", answer(Err(*denial)));
            for (grant, said) in grants {
                let _ = writeln!(text, "  {file}:{} grant {}: {}", grant.line(), grant.name(), answer(*said));
            }
        }
    }
    text
}

fn in_json(decided: &Result<Allowed<'_>, Denial>, grants: &Answers<'_>) -> Value {
    let place = |grant: &Grant| json!({ "name": grant.name(), "line": grant.line() });
    match decided {
        Ok(Allowed { grant, lifetime }) => {
            let ttl = lifetime.and_then(Lifetime::as_duration);
            let ttl =
                ttl.and_then(|ttl| prost_types::Duration::try_from(ttl).ok()).map(|ttl| ttl.to_string());
            json!({
                "allowed": true,
                "grant": place(grant),
                "ttl": ttl,
                "permanent": *lifetime == Some(Lifetime::Permanent),
                "quota": grant.quota().map(|quota| json!({
                    "tokens_per_second": quota.tokens_per_second,
                    "burst": quota.burst,
                    "upstream_per_second": quota.upstream_per_second,
                    "watches": quota.watches,
                })),
            })
        }
        Err(denial) => json!({
            "allowed": false,
            "reason": denial.reason(),
            "missing": denial.missing(),
            "message": denial.to_string(),
            "grants": grants.iter().map(|(grant, said)| {
                let mut place = place(grant);
                place["answer"] = answer(*said).into();
                place
            }).collect::<Vec<_>>(),
        }),
    }
}

/// A decision in a few words.
fn answer(said: Result<Option<Lifetime>, Denial>) -> String {
    match said {
        Ok(_) => "allowed".to_owned(),
        Err(denial @ Denial::TtlAboveMaximum(maximum)) => {
            format!("{}, {}", denial.reason(), humantime::format_duration(maximum))
        }
        Err(denial) => match denial.missing() {
            Some(missing) => format!("{}, {missing}", denial.reason()),
            None => denial.reason().to_owned(),
        },
    }
}

impl Test {
    fn run(&self) -> Result<(), Failure> {
        let (mut loaded, mut mistakes) = (Vec::new(), Vec::new());
        for file in &self.files {
            match Rules::load(file, None, None) {
                Ok(rules) => loaded.push((file.display().to_string(), rules)),
                Err(wrong) => mistakes.extend(wrong),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes.into());
        }
        let (mut text, mut failed, mut run) = (String::new(), Vec::new(), 0);
        for (file, rules) in &loaded {
            for example in rules.examples() {
                run += 1;
                if let Err(what) = example.run(rules) {
                    let line = example.line;
                    let _ = writeln!(text, "{file}:{line}: {what}");
                    failed.push(json!({ "file": file, "line": line, "message": what }));
                }
            }
        }
        let _ = writeln!(text, "{run} run, {} failed", failed.len());
        print(&match self.output.get() {
            PrintFormat::Text => text,
            PrintFormat::Json => format!("{:#}\n", json!({ "run": run, "failed": failed })),
        })?;
        if failed.is_empty() { Ok(()) } else { Err(Failure::No) }
    }
}

fn usage(what: &str) -> Failure {
    Failure::Usage(vec![what.to_owned()])
}
