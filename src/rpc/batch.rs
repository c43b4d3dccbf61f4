//! `BatchIssueTokens`: all or nothing, from one reading of the clock, in one line of the audit trail.

use super::{
    Caller, Desk, Error,
    record::{Entry, same},
    tokens::Order,
    violations::Violations,
};
use crate::{
    issuer::Permit,
    methods::Rpc,
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
    let whole = whole(&orders)?;
    let now = desk.now(caller, &whole, &permits).await?;
    let issued = orders.iter().zip(&permits).map(|(order, permit)| order.sign(&desk.issuer, permit, now));
    let issued = issued.collect::<Result<Vec<_>, _>>()?;
    desk.allow(caller, &whole, &permits, &issued).await?;
    let tokens = orders.iter().zip(&issued).zip(&permits);
    Ok(tokens.map(|((order, issued), permit)| order.token(issued, permit)).collect())
}

/// Permits for all, or a refusal that is written down: by the order that it is about, or as a whole.
async fn decide(desk: &Desk, caller: &Caller, orders: &[Order<'_>]) -> Result<Vec<Permit>, Error> {
    let asks: Vec<_> = orders.iter().map(|order| entry(order, orders).ask).collect();
    let permits = match desk.issuer.decide_all(&caller.principal, &asks) {
        Ok(permits) => permits,
        Err((index, refusal)) => {
            let entry = entry(&orders[index], orders);
            return Err(desk.deny(caller, &entry, &[], Error::RefusedInBatch(index, refusal)).await);
        }
    };
    match desk.issuer.charge_batch(&caller.principal, &permits) {
        Ok(()) => Ok(permits),
        Err(refusal) => Err(desk.deny(caller, &whole(orders)?, &permits, refusal.into()).await),
    }
}

/// One of a batch.
fn entry<'a>(order: &Order<'a>, all: &[Order<'_>]) -> Entry<'a> {
    Entry { batch: Some(all.len()), ..order.entry(Rpc::BatchIssueTokens) }
}

/// All of a batch, which goes by the permits.
fn whole<'a>(orders: &[Order<'a>]) -> Result<Entry<'a>, Error> {
    let first = orders.first().ok_or(Error::Internal("an empty batch"))?;
    let uuid = same(orders.iter().map(Order::uuid)).unwrap_or_default();
    Ok(Entry { uuid, ..entry(first, orders) })
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
