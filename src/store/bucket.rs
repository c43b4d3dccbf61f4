//! A token bucket that replicas share, by the same algorithm as `rate_limiter.rs`, on the store's clock.

use std::time::Duration;

use redis::cmd;
use tokio::time::Instant;

use super::client::{Store, Unavailable};
use crate::telemetry::StoreCall;

/// Takes `want` tokens, or as many as there are if those are `need`. What is kept is when the bucket is full again, in
/// microseconds; a figure beyond that of an empty bucket is nobody's, and counts as that.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = 1000000 / ARGV[1], tonumber(ARGV[2])
local want, need = tonumber(ARGV[3]), tonumber(ARGV[4])
local empty = now + burst * interval
local held = redis.pcall('GET', KEYS[1])
held = type(held) == 'string' and tonumber(held) or 0
local full = empty
if held < empty then full = math.max(held, now) end
local free = math.floor((empty - full) / interval + 0.001)
local taken, wait = 0, 0
if free >= need then
  taken = math.min(want, free)
else
  wait = math.ceil(full + need * interval - empty)
end
full = full + taken * interval
if full ~= held and full > now then
  redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.ceil((full - now) / 1000) + 1)
end
return {taken, wait}
";

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Tokens.
    pub per_second: u32,
    /// The most tokens.
    pub burst: u32,
}

/// What was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// So many tokens.
    Some(u32),
    /// None: the bucket has enough after this time, if nobody else takes any.
    None(Duration),
}

impl Store {
    /// Takes `want` tokens, or as many as there are if those are `need`, which is at most the burst.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn take(
        &self,
        key: &str,
        fill: Fill,
        want: u32,
        need: u32,
        until: Instant,
    ) -> Result<Taken, Unavailable> {
        let mut command = cmd("EVAL");
        command.arg(TAKE).arg(1).arg(key).arg(fill.per_second.max(1)).arg(fill.burst).arg(want).arg(need);
        let connected = self.connection(StoreCall::Take, until).await?;
        let mut connection = connected.connection.clone();
        let sent = async { connection.send(&command).await };
        let (taken, micros): (u32, u64) = self.observe(StoreCall::Take, &connected, key, sent, until).await?;
        Ok(if taken >= need { Taken::Some(taken) } else { Taken::None(Duration::from_micros(micros)) })
    }
}
