//! `BatchIssueTokens`: all or nothing, from one reading of the clock, in one line of the audit trail.

use super::{
    Caller, Desk, Error,
    record::{Entry, same},
    tokens::Order,
    violations::Violations,
};
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
    let permits = decide(desk, caller, &orders).await?;
    let (Some(first), Some(permit)) = (orders.first(), permits.first()) else {
        return Err(Error::Internal("an empty batch"));
    };
    let now = desk.now(caller, &entry(first, &orders), permit).await?;
    let issued = orders.iter().zip(&permits).map(|(order, permit)| order.sign(&desk.issuer, permit, now));
    let issued = issued.collect::<Result<Vec<_>, _>>()?;
    let uuid = same(orders.iter().map(Order::uuid)).unwrap_or_default();
    desk.allow_batch(caller, uuid, &permits, &issued).await?;
    let tokens = orders.iter().zip(&issued).zip(&permits);
    Ok(tokens.map(|((order, issued), permit)| order.token(issued, permit)).collect())
}

/// Permits for all. What is refused is written down by the first order that is; of what is refused as
/// a whole, the first stands for all.
async fn decide(desk: &Desk, caller: &Caller, orders: &[Order<'_>]) -> Result<Vec<Permit>, Error> {
    let asks: Vec<_> = orders.iter().map(|order| entry(order, orders).ask).collect();
    let permits = match desk.issuer.decide_all(&caller.principal, &asks) {
        Ok(permits) => permits,
        Err((index, refusal)) => {
            let entry = entry(&orders[index], orders);
            return Err(desk.deny(caller, &entry, None, Error::RefusedInBatch(index, refusal)).await);
        }
    };
    match desk.issuer.charge_batch(&caller.principal, &permits) {
        Ok(()) => Ok(permits),
        Err(refusal) => {
            let entry = entry(&orders[0], orders);
            Err(desk.deny(caller, &entry, permits.first(), refusal.into()).await)
        }
    }
}

fn entry<'a>(order: &Order<'a>, all: &[Order<'_>]) -> Entry<'a> {
    Entry { batch: Some(all.len()), ..order.entry(Rpc::BatchIssueTokens) }
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
