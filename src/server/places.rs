//! The places for connections: how many there are, and who makes room when they are taken.
//!
//! A connection that no certificate and no call has authenticated yet is a stranger's. Strangers have a quarter of the
//! places. When that is full, the stranger that has come first and is idle makes room for the next, but not before
//! it had time for its first call.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::process::{Resource, getrlimit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::telemetry::ConnectionMetrics;

/// The most connections of a listener, where there are descriptors for them.
const MOST: usize = 2048;

/// Descriptors that are not for connections: as many as calls upstream may take, and some files.
const OTHER_DESCRIPTORS: usize = 512 + 64;

/// How many connections a listener has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    pub(super) most: usize,
    pub(super) most_strangers: usize,
    /// From one IP address; 0: no limit.
    pub(super) most_of_peer: usize,
    /// How long a stranger has for its first call before it may have to make room.
    pub(super) grace: Duration,
}

/// The places of a listener.
pub(super) struct Places {
    capacity: Capacity,
    metrics: ConnectionMetrics,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    next: u64,
    strangers: BTreeMap<u64, Arc<Connection>>,
    by_peer: HashMap<IpAddr, usize>,
}

/// What is known of an open connection.
#[derive(Debug)]
pub(super) struct Connection {
    number: u64,
    accepted: Instant,
    has_preface: AtomicBool,
    has_called: AtomicBool,
    is_known: AtomicBool,
    calls: AtomicU32,
    /// Of messages that are being received.
    bytes: AtomicUsize,
    must_leave: CancellationToken,
}

/// A connection's place: free again when this is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    peer: IpAddr,
    pub(super) connection: Arc<Connection>,
}

/// What a new connection gets.
pub(super) enum Admission {
    Admitted(Place),
    /// There is none, and the connection is to be closed.
    Refused,
    /// Strangers' places are taken by those that have just come: one may be free then.
    NotBefore(Instant),
}

impl Places {
    pub(super) fn new(capacity: Capacity, metrics: ConnectionMetrics) -> Arc<Self> {
        Arc::new(Self { capacity, metrics, state: Mutex::default() })
    }

    /// A place for a connection that was just accepted.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr, now: Instant) -> Admission {
        let Capacity { most, most_strangers, most_of_peer, grace } = self.capacity;
        let mut state = self.state();
        let of_peer = state.by_peer.get(&peer).copied().unwrap_or(0);
        if most_of_peer > 0 && of_peer >= most_of_peer {
            self.metrics.refused("peer");
            return Admission::Refused;
        }
        if state.taken >= most {
            self.metrics.refused("full");
            return Admission::Refused;
        }
        if state.strangers.len() >= most_strangers {
            let idle = state.strangers.values().find(|stranger| stranger.is_idle());
            let Some(oldest) = idle.cloned() else {
                self.metrics.refused("strangers");
                return Admission::Refused;
            };
            if now < oldest.accepted + grace {
                return Admission::NotBefore(oldest.accepted + grace);
            }
            state.strangers.remove(&oldest.number);
            oldest.must_leave.cancel();
            self.metrics.cut("made_room");
        }
        let number = state.next;
        let connection = Arc::new(Connection::new(number, now));
        state.next += 1;
        state.taken += 1;
        state.strangers.insert(number, connection.clone());
        *state.by_peer.entry(peer).or_default() += 1;
        self.metrics.open.inc();
        Admission::Admitted(Place { places: self.clone(), peer, connection })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Capacity {
    /// Of gRPC's listener, as far as this process has descriptors for it: strangers have a quarter.
    pub(super) fn of_grpc(most_of_peer: usize) -> Self {
        let descriptors = getrlimit(Resource::Nofile).current;
        let descriptors =
            descriptors.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let most = MOST.min(descriptors.saturating_sub(OTHER_DESCRIPTORS).max(descriptors / 4));
        Self { most, most_strangers: (most / 4).max(1), most_of_peer, grace: Duration::from_millis(250) }
    }
}

impl Place {
    /// The IP address of the other end.
    pub(super) const fn peer(&self) -> IpAddr {
        self.peer
    }

    pub(super) fn metrics(&self) -> &ConnectionMetrics {
        &self.places.metrics
    }

    /// Its client has been authenticated, and is no stranger any more.
    pub(super) fn set_known(&self) {
        let is_known = &self.connection.is_known;
        if !is_known.load(Relaxed) && !is_known.swap(true, Relaxed) {
            self.places.state().strangers.remove(&self.connection.number);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.taken -= 1;
        state.strangers.remove(&self.connection.number);
        if let Some(of_peer) = state.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                state.by_peer.remove(&self.peer);
            }
        }
        self.places.metrics.open.dec();
    }
}

impl Connection {
    fn new(number: u64, accepted: Instant) -> Self {
        Self {
            number,
            accepted,
            has_preface: AtomicBool::new(false),
            has_called: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            calls: AtomicU32::new(0),
            bytes: AtomicUsize::new(0),
            must_leave: CancellationToken::new(),
        }
    }

    /// When it was accepted.
    pub(super) const fn accepted(&self) -> Instant {
        self.accepted
    }

    /// Whether its HTTP has begun.
    pub(super) fn has_preface(&self) -> bool {
        self.has_preface.load(Relaxed)
    }

    /// Whether it has made a call.
    pub(super) fn has_called(&self) -> bool {
        self.has_called.load(Relaxed)
    }

    pub(super) fn note(&self, has_preface: bool, has_called: bool) {
        self.has_preface.store(has_preface, Relaxed);
        self.has_called.store(has_called, Relaxed);
    }

    /// How many of its calls are under way.
    pub(super) fn calls(&self) -> u32 {
        self.calls.load(Relaxed)
    }

    /// Whether none is.
    pub(super) fn is_idle(&self) -> bool {
        self.calls() == 0
    }

    /// Takes room for a message; whether there was so much.
    pub(super) fn reserve(&self, bytes: usize, most: usize) -> bool {
        let fits = |held: usize| held.checked_add(bytes).filter(|held| *held <= most);
        self.bytes.try_update(Relaxed, Relaxed, fits).is_ok()
    }

    pub(super) fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    pub(super) fn begin_call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    pub(super) fn end_call(&self) {
        self.calls.fetch_sub(1, Relaxed);
    }

    /// Done when it is to make room for another.
    pub(super) async fn must_leave(&self) {
        self.must_leave.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::telemetry::Metrics;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    const GRACE: Duration = Duration::from_millis(250);

    fn places(most: usize, most_of_peer: usize) -> Arc<Places> {
        let capacity = Capacity { most, most_strangers: most / 4, most_of_peer, grace: GRACE };
        Places::new(capacity, Metrics::new([]).unwrap().connections("grpc"))
    }

    fn admit(places: &Arc<Places>, now: Instant) -> Option<Place> {
        match places.admit(PEER, now) {
            Admission::Admitted(place) => Some(place),
            Admission::Refused | Admission::NotBefore(_) => None,
        }
    }

    #[test]
    fn the_stranger_that_came_first_makes_room_if_it_is_idle() {
        let (places, start) = (places(16, 0), Instant::now());
        let strangers: Vec<_> = (0..4).map(|_| admit(&places, start).unwrap()).collect();
        strangers[0].connection.begin_call();
        assert!(matches!(places.admit(PEER, start), Admission::NotBefore(at) if at == start + GRACE));
        let left = || strangers.iter().map(|place| place.connection.must_leave.is_cancelled());

        let next = admit(&places, start + GRACE).unwrap();
        assert_eq!(left().collect::<Vec<_>>(), [false, true, false, false]);
        // One that is known is no stranger any more, and never has to leave.
        next.set_known();
        strangers[2].set_known();
        let more: Vec<_> = (0..3).map(|_| admit(&places, start + GRACE * 3)).collect();
        assert!(more.iter().all(Option::is_some));
        assert_eq!(left().collect::<Vec<_>>(), [false, true, false, true]);
    }

    #[test]
    fn those_that_are_known_have_all_places_and_no_more() {
        let (places, start) = (places(16, 0), Instant::now());
        let known = || admit(&places, start).inspect(Place::set_known);
        let mut all: Vec<_> = std::iter::from_fn(known).collect();
        assert_eq!(all.len(), 16);
        all.pop();
        assert!(known().is_some());
        drop(all);
        let state = places.state();
        assert!(state.taken == 0 && state.strangers.is_empty() && state.by_peer.is_empty());
    }

    #[test]
    fn one_address_may_have_a_limit() {
        let (places, start) = (places(16, 2), Instant::now());
        let both = [admit(&places, start).unwrap(), admit(&places, start).unwrap()];
        assert!(matches!(places.admit(PEER, start), Admission::Refused));
        let other = IpAddr::V4(Ipv4Addr::BROADCAST);
        assert!(matches!(places.admit(other, start), Admission::Admitted(_)));
        drop(both);
        assert!(admit(&places, start).is_some());
    }
}
