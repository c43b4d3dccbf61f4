//! `BatchIssueTokens`: all or nothing, from one reading of the clock, in one line of the audit trail.

use super::{Caller, Desk, Error, desk::same, tokens::Order, violations::Violations};
use crate::{
    issuer::Permit,
    policy::Rpc,
    proto::{BatchIssueTokensRequest, Token},
};

/// How many tokens one call may mint.
const LARGEST_BATCH: usize = 1000;

/// Decides every order before it signs any.
pub(super) async fn issue(
    desk: &Desk,
    caller: &Caller,
    request: &BatchIssueTokensRequest,
) -> Result<Vec<Token>, Error> {
    let orders = parse(request)?;
    let permits = match decide(desk, caller, &orders) {
        Ok(permits) => permits,
        Err((index, error)) => {
            let entry = orders[index].entry(Rpc::BatchIssueTokens);
            return Err(desk.deny(caller, &entry, error).await);
        }
    };
    let first = orders.first().ok_or(Error::Internal("an empty batch"))?;
    let now = desk.now(caller, &first.entry(Rpc::BatchIssueTokens)).await?;
    let issued = orders.iter().zip(&permits).map(|(order, permit)| order.sign(&desk.issuer, permit, now));
    let issued = issued.collect::<Result<Vec<_>, _>>()?;
    let uuid = same(orders.iter().map(Order::uuid)).unwrap_or_default();
    desk.allow_batch(caller, uuid, &permits, &issued).await?;
    let tokens = orders.iter().zip(&issued).zip(&permits);
    Ok(tokens.map(|((order, issued), permit)| order.token(issued, permit)).collect())
}

/// Permits for all, or which is refused first, and why.
fn decide(desk: &Desk, caller: &Caller, orders: &[Order<'_>]) -> Result<Vec<Permit>, (usize, Error)> {
    let asks: Vec<_> = orders.iter().map(|order| order.entry(Rpc::BatchIssueTokens).ask).collect();
    let permits = desk.issuer.decide_all(&caller.principal, &asks);
    let permits = permits.map_err(|(index, refusal)| (index, Error::RefusedInBatch(index, refusal)))?;
    // Of what is refused as a whole, the first stands for all.
    desk.issuer.charge_batch(&caller.principal, &permits).map_err(|refusal| (0, refusal.into()))?;
    Ok(permits)
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
