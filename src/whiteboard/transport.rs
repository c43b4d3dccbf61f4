//! One HTTP call: the token made, the headers set, the answer read up to its limit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, UNIX_EPOCH},
};

use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, header::DATE};
use reqwest::{Client, redirect};
use serde_json::Value;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, field::Empty};
use url::Url;

use super::{
    access::Access,
    answer::{self, Received},
    authority::Authority,
    breaker::Breaker,
    call::{Call, Request},
    error::{Effect, Error},
    failures::Failures,
    fault::Fault,
    fields::{Fields, FromAnswer},
    pacing::{self, Pauses, RetryBudget},
    single_flight::{Change, SingleFlight},
};
use crate::{
    clock::UnixMillis,
    entropy::Entropy,
    methods::Action,
    region::Region,
    shares::{Holder, Share, Shares},
    stability::Stability,
    telemetry::ClockSkew,
    token::{Claims, Nonce, TokenValue},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Less than what calls have at the end of the process, so that its result is still recorded.
const CALL_TIMEOUT: Duration = Duration::from_secs(14);
/// Below the upstream's own, so that a connection is seldom used while it is being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const TOKEN_TTL: Duration = Duration::from_mins(1);
const LONGEST_ANSWER: usize = 1024 * 1024;

/// How many reads, and how many calls that change something, may be upstream at once.
const MOST_READS: usize = 256;
const MOST_WRITES: usize = 256;

/// How often a call is made at most.
const MOST_ATTEMPTS: u32 = 3;

/// What changes something is not sent if its caller leaves before it could have an answer.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub(super) struct Transport(Arc<Inner>);

struct Inner {
    http: Client,
    base_url: String,
    host: String,
    port: u16,
    stability: Arc<Stability>,
    entropy: Arc<dyn Entropy>,
    skew: ClockSkew,
    reads: SingleFlight<Read, Result<Received, Error>>,
    /// Counts the beginnings and ends of what was changed through here.
    changes: AtomicU64,
    read_places: Arc<Shares>,
    write_places: Arc<Shares>,
    /// By region: of what changes something, and of reads.
    breakers: [[Breaker; 2]; Region::ALL.len()],
    budget: RetryBudget,
    pauses: Pauses,
    tasks: TaskTracker,
}

/// The key of a single flight: equal reads have the same. The access key stands for the project, and the
/// path for the token's scope.
#[derive(PartialEq, Eq, Hash)]
struct Read {
    path: String,
    region: &'static str,
    access_key: String,
    /// A read never joins one that began before a change began or ended: it must see that change.
    after_change: u64,
}

/// A request with its token.
struct Signed {
    request: Request,
    token: TokenValue,
    region: Region,
    access_key: String,
    deadline: Option<Instant>,
}

impl Transport {
    pub(super) fn new(
        base_url: &Url,
        stability: Arc<Stability>,
        entropy: Arc<dyn Entropy>,
        skew: ClockSkew,
        tasks: TaskTracker,
    ) -> Result<Self, reqwest::Error> {
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .user_agent(concat!("inkpass/", env!("CARGO_PKG_VERSION")));
        // Plaintext is for an emulator nearby: it needs no CA roots, which an image may not have,
        // and must not go through a proxy.
        let builder =
            if base_url.scheme() == "http" { builder.tls_certs_only([]).no_proxy() } else { builder };
        Ok(Self(Arc::new(Inner {
            http: builder.build()?,
            base_url: base_url.as_str().trim_end_matches('/').to_owned(),
            host: base_url.host_str().unwrap_or_default().to_owned(),
            port: base_url.port_or_known_default().unwrap_or_default(),
            stability,
            entropy,
            skew,
            reads: SingleFlight::new(),
            changes: AtomicU64::new(0),
            read_places: Shares::new("upstream reads", MOST_READS),
            write_places: Shares::new("upstream writes", MOST_WRITES),
            breakers: Default::default(),
            budget: RetryBudget::default(),
            pauses: Pauses::default(),
            tasks,
        })))
    }

    /// Sends a read, or joins an equal one that is under way, and reads its answer.
    pub(super) async fn read<T: FromAnswer>(&self, access: &Access, call: Call<'_>) -> Result<T, Error> {
        let key = Read {
            path: call.request.path.clone(),
            region: access.region.as_str(),
            access_key: access.key.access_key().to_owned(),
            after_change: self.0.changes.load(Ordering::SeqCst),
        };
        let failures = Arc::new(Failures::new(access, &call.request));
        // Signed before it is known whether the call is coalesced: that is cheap.
        let call = self.0.sign(access, call)?;
        let flight = self.0.reads.join(key, || {
            // Whoever joins it takes no place.
            let place = take(&self.0.read_places, access)?;
            let (inner, failures) = (self.0.clone(), failures.clone());
            let read = async move {
                let _place = place;
                failures.log(inner.exchange(&call).await)
            };
            Ok(read.boxed())
        })?;
        let received = flight.await?;
        failures.log(answer::read(&received, Effect::None))
    }

    /// Sends what changes something, once, and reads its answer.
    pub(super) async fn send<T: FromAnswer + Send + 'static>(
        &self,
        access: &Access,
        call: Call<'_>,
    ) -> Result<T, Error> {
        self.send_and(access, call, answer::read).await
    }

    /// Sends what changes something, once; an answer of success may say nothing.
    pub(super) async fn send_only(&self, access: &Access, call: Call<'_>) -> Result<(), Error> {
        let read = |received: &Received, effect| match &*received.body {
            b"" => Ok(()),
            _ => answer::read::<Anything>(received, effect).map(|_| ()),
        };
        self.send_and(access, call, read).await
    }

    /// It goes on to its end, or its own timeout, when its caller leaves.
    async fn send_and<T: Send + 'static>(
        &self,
        access: &Access,
        call: Call<'_>,
        read: impl FnOnce(&Received, Effect) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if is_late(access.deadline, Instant::now()) {
            return Err(Error::TooLate);
        }
        let place = take(&self.0.write_places, access)?;
        let failures = Failures::new(access, &call.request);
        let call = self.0.sign(access, call)?;
        let inner = self.0.clone();
        let sent = async move {
            let _place = place;
            let change = Change::begin(&inner.changes);
            let received = inner.exchange(&call).await;
            drop(change);
            let effect = Effect::of(call.request.rpc);
            failures.log(received.and_then(|received| read(&received, effect)))
        };
        let sent = self.0.tasks.spawn(sent.in_current_span()).await;
        sent.unwrap_or_else(|_| Err(Error::OutcomeUnknown { detail: "the call broke off".to_owned() }))
    }
}

/// An answer of success that says nothing.
struct Anything;

impl FromAnswer for Anything {
    fn from_answer(answer: Value) -> Option<Self> {
        Fields::of(answer).map(|_| Self)
    }
}

/// A place upstream, for as long as the call is under way.
fn take(places: &Arc<Shares>, access: &Access) -> Result<Share, Error> {
    places.take(Holder::Principal(access.caller.as_str()), 1).map_err(Error::NoShare)
}

impl Inner {
    /// Our clock sets when tokens expire, and theirs decides whether they have.
    fn note_skew(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let theirs = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        if let Some(theirs) = theirs.and_then(|theirs| i64::try_from(theirs.as_secs()).ok()) {
            let ours = self.stability.wall_time().get() / 1000;
            self.skew.set(theirs - ours.cast_signed());
        }
    }

    /// Signs the weakest token that permits the call, valid for one minute.
    fn sign(&self, access: &Access, call: Call<'_>) -> Result<Signed, Error> {
        let now = self.stability.now().map_err(|_| Error::ClockUnstable)?;
        let expire_at = now.checked_add(TOKEN_TTL).unwrap_or(UnixMillis::MAX);
        let Authority { scope, role } = call.authority;
        let claims = Claims { scope, role, expire_at: Some(expire_at) };
        let token = access.key.sign(&claims, &Nonce::random(self.entropy.bytes()));
        let access_key = access.key.access_key().to_owned();
        Ok(Signed {
            request: call.request,
            token,
            region: access.region,
            access_key,
            deadline: access.deadline,
        })
    }

    /// A call, and again where that is safe, the budget allows it and there is time.
    async fn exchange(&self, call: &Signed) -> Result<Received, Error> {
        self.budget.give();
        let began = Instant::now();
        let mut last = None;
        for attempt in 1..=MOST_ATTEMPTS {
            if let Some(left) = self.pauses.left(&call.access_key, call.region, Instant::now()) {
                return last.unwrap_or(Err(Error::RateLimited { retry_after: Some(left) }));
            }
            let breaker = &self.breakers[call.region as usize][usize::from(call.is_read())];
            let pass = match breaker.pass(Instant::now()) {
                Ok(pass) => pass,
                Err(retry_after) => return last.unwrap_or(Err(Error::CircuitOpen { retry_after })),
            };
            let limit = CALL_TIMEOUT.saturating_sub(began.elapsed());
            let Attempt { result, fault, pause } = self.attempt_in_span(call, attempt, limit).await;
            pass.settle(fault.is_some_and(Fault::is_failure), Instant::now());
            if let Some(pause) = pause {
                let now = Instant::now();
                self.pauses.begin(&call.access_key, call.region, now + pause, now);
            }
            let may_repeat = fault.is_some_and(|fault| fault.may_repeat(call.is_read())) && pause.is_none();
            if !may_repeat || attempt == MOST_ATTEMPTS || !call.has_time(began) || !self.budget.take() {
                return result;
            }
            last = Some(result);
            sleep(pacing::backoff(attempt, self.entropy.bytes()[0])).await;
        }
        last.unwrap_or(Err(Error::Unreachable { detail: "no attempt was made".to_owned() }))
    }

    /// One attempt, as a span of its own: names follow OpenTelemetry's conventions for HTTP clients.
    async fn attempt_in_span(&self, call: &Signed, attempt: u32, limit: Duration) -> Attempt {
        let request = &call.request;
        let span = tracing::info_span!(
            "upstream",
            otel.name = format!("{} {}", request.method, request.template),
            otel.kind = "client",
            otel.status_code = Empty,
            http.request.method = request.method.as_str(),
            http.request.resend_count = attempt - 1,
            http.response.status_code = Empty,
            url.full = format!("{}{}", self.base_url, request.path),
            server.address = self.host,
            server.port = self.port,
            error.r#type = Empty,
        );
        let attempt = self.attempt(call, limit).instrument(span.clone()).await;
        if let Err(error) = &attempt.result {
            span.record("error.type", error.name());
            span.record("otel.status_code", "ERROR");
        }
        attempt
    }

    async fn attempt(&self, call: &Signed, limit: Duration) -> Attempt {
        let effect = Effect::of(call.request.rpc);
        match self.receive(call, limit).await {
            Ok(Some(received)) => {
                let fault = Fault::of(received.status);
                // 503 may ask for one too.
                let pause = received.retry_after.filter(|_| matches!(received.status.as_u16(), 429 | 503));
                Attempt { result: answer::check(received, effect, call.request.resource), fault, pause }
            }
            Ok(None) => {
                let detail = "an answer of more than 1 MiB".to_owned();
                Attempt {
                    result: Err(answer::unusable(effect, detail)),
                    fault: Some(Fault::Broken),
                    pause: None,
                }
            }
            Err(error) => {
                let fault = Some(if error.is_connect() { Fault::Connect } else { Fault::Broken });
                Attempt { result: Err(answer::broken(&error, effect)), fault, pause: None }
            }
        }
    }

    /// An answer, whole; `None`: it is too long.
    async fn receive(&self, call: &Signed, limit: Duration) -> Result<Option<Received>, reqwest::Error> {
        let Request { method, path, body, .. } = &call.request;
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base_url))
            .timeout(limit)
            .header("token", sensitive(&call.token))
            .header("region", call.region.as_str());
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let mut response = request.send().await?;
        self.note_skew(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Span::current().record("http.response.status_code", response.status().as_u16());
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let now = UNIX_EPOCH + Duration::from_millis(self.stability.wall_time().get());
        let retry_after = retry_after.and_then(|value| answer::retry_after(value, now));
        Ok(Some(Received { status: response.status(), retry_after, body: body.into() }))
    }
}

/// What became of one attempt.
struct Attempt {
    result: Result<Received, Error>,
    fault: Option<Fault>,
    /// What the vendor asks for.
    pause: Option<Duration>,
}

impl Signed {
    /// Whether one more attempt could still be answered in time.
    fn has_time(&self, began: Instant) -> bool {
        let now = Instant::now();
        !is_late(self.deadline, now) && now.saturating_duration_since(began) < CALL_TIMEOUT / 2
    }

    fn is_read(&self) -> bool {
        matches!(self.request.rpc.row().action, Action::Reads | Action::Watches)
    }
}

/// Whether so little is left that an answer would hardly come in time.
fn is_late(deadline: Option<Instant>, now: Instant) -> bool {
    deadline.is_some_and(|at| at.saturating_duration_since(now) < SHORTEST_WAIT)
}

/// A header marked sensitive: logs do not show it, and HPACK does not index it.
fn sensitive(token: &TokenValue) -> HeaderValue {
    let mut value = HeaderValue::try_from(token.expose()).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}
