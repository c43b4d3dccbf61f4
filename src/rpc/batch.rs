//! `BatchIssueTokens`: all or nothing, from one reading of the clock.

use super::{Error, tokens::Order, violations::Violations};
use crate::{
    issuer::Issuer,
    proto::{BatchIssueTokensRequest, Token},
};

/// How many tokens one call may mint.
const LARGEST_BATCH: usize = 1000;

/// Decides every order before it signs any.
pub(super) fn issue(issuer: &Issuer, request: &BatchIssueTokensRequest) -> Result<Vec<Token>, Error> {
    let orders = parse(request)?;
    let permits = orders
        .iter()
        .enumerate()
        .map(|(index, order)| order.decide(issuer).map_err(|refusal| Error::RefusedInBatch(index, refusal)));
    let permits = permits.collect::<Result<Vec<_>, _>>()?;
    let now = issuer.now();
    Ok(orders.iter().zip(permits).map(|(order, permit)| order.sign(issuer, permit, now)).collect())
}

fn parse(request: &BatchIssueTokensRequest) -> Result<Vec<Order<'_>>, Error> {
    let mut violations = Violations::default();
    if !(1..=LARGEST_BATCH).contains(&request.requests.len()) {
        return Err(Error::invalid("requests", "must be 1 to 1000"));
    }
    let mut orders = Vec::with_capacity(request.requests.len());
    for (index, request) in request.requests.iter().enumerate() {
        violations.within(format!("requests[{index}]."));
        orders.extend(Order::parse(request, &mut violations));
    }
    violations.unless_any(Some(orders))
}
