//! The places for connections: how many there are, and who makes room when they are taken.
//!
//! A connection is unauthenticated until a certificate or a call has authenticated its client, and stays so beyond the
//! client's share. Such connections have a quarter of the places. When that is full, the oldest of them that is idle
//! makes room for the next, but not before it had time for its first call. One makes room too where a descriptor is missing.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{capacity::Capacity, connection::Connection};
use crate::{
    principal::Principal,
    shares::{Holder, Shares},
    telemetry::{ConnectionMetrics, Refusal},
};

/// How long an unauthenticated connection has for its first call before it may have to make room: a millisecond for each
/// that there is, so that a thousand a second come and go, and this at most.
const LONGEST_GRACE: Duration = Duration::from_millis(250);

/// After so long an unauthenticated connection has to make room though its calls are under way.
const PATIENCE: Duration = Duration::from_secs(5);

/// The places of a listener.
pub(super) struct Places {
    capacity: Capacity,
    metrics: ConnectionMetrics,
    state: Mutex<State>,
    /// Of those that are authenticated.
    shares: Arc<Shares>,
    /// Tells that there may be room for one more unauthenticated connection.
    freed: Notify,
}

#[derive(Default)]
struct State {
    taken: usize,
    next: u64,
    unauthenticated: BTreeMap<u64, Arc<Connection>>,
    by_peer: HashMap<IpAddr, usize>,
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
    /// The places of unauthenticated connections are taken by those that have just come: one may be free then.
    NotBefore(Instant),
}

impl Places {
    pub(super) fn new(capacity: Capacity, metrics: ConnectionMetrics) -> Arc<Self> {
        metrics.limit.set(i64::try_from(capacity.most).unwrap_or(i64::MAX));
        let shares = Shares::new("connections", capacity.most);
        Arc::new(Self { capacity, metrics, state: Mutex::default(), shares, freed: Notify::new() })
    }

    /// A place for a connection that was just accepted.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr, now: Instant) -> Admission {
        let Capacity { most, most_unauthenticated, most_of_peer } = self.capacity;
        let mut state = self.state();
        let of_peer = state.by_peer.get(&peer).copied().unwrap_or(0);
        if most_of_peer > 0 && of_peer >= most_of_peer {
            self.metrics.refused(Refusal::Peer);
            return Admission::Refused;
        }
        let (is_full, is_crowded) =
            (state.taken >= most, state.unauthenticated.len() >= most_unauthenticated);
        if is_full || is_crowded {
            match state.make_room(now) {
                Room::Made => {}
                Room::NotBefore(moment) => return Admission::NotBefore(moment),
                Room::None => {
                    self.metrics.refused(if is_full { Refusal::Full } else { Refusal::Unauthenticated });
                    return Admission::Refused;
                }
            }
        }
        let number = state.next;
        let connection = Arc::new(Connection::new(number, now));
        state.next += 1;
        state.taken += 1;
        state.unauthenticated.insert(number, connection.clone());
        *state.by_peer.entry(peer).or_default() += 1;
        self.metrics.open.inc();
        self.metrics.accepted.inc();
        Admission::Admitted(Place { places: self.clone(), peer, connection })
    }

    /// Where the process has no descriptor for another connection: an unauthenticated one makes room, if there is one.
    pub(super) fn make_room(&self, now: Instant) {
        // If it is too soon, it is tried again.
        let _ = self.state().make_room(now);
    }

    /// Done at this moment, or sooner if there may be room.
    pub(super) async fn freed(&self, moment: Instant) {
        // Whichever it is, it is tried again.
        let _ = timeout_at(moment, self.freed.notified()).await;
    }

    pub(super) const fn metrics(&self) -> &ConnectionMetrics {
        &self.metrics
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a connection makes room.
enum Room {
    Made,
    /// One does then.
    NotBefore(Instant),
    None,
}

impl State {
    fn make_room(&mut self, now: Instant) -> Room {
        let Some(leaves) = self.who_leaves(now) else { return Room::None };
        let millis = u64::try_from(self.unauthenticated.len()).unwrap_or(u64::MAX);
        let moment = leaves.accepted + LONGEST_GRACE.min(Duration::from_millis(millis));
        if now < moment && !leaves.is_surplus() {
            return Room::NotBefore(moment);
        }
        self.unauthenticated.remove(&leaves.number);
        leaves.must_leave.cancel();
        Room::Made
    }

    /// The connection that makes room: one whose client has its share by others, the oldest that is idle, or else the oldest
    /// that had time for its calls.
    fn who_leaves(&self, now: Instant) -> Option<Arc<Connection>> {
        let mut unauthenticated = self.unauthenticated.values();
        let find = |which: fn(&Connection) -> bool| self.unauthenticated.values().find(|one| which(one));
        let idle = find(Connection::is_surplus).or_else(|| find(Connection::is_idle));
        idle.or_else(|| unauthenticated.next().filter(|oldest| now >= oldest.accepted + PATIENCE)).cloned()
    }
}

impl Place {
    /// The IP address of the other end.
    pub(super) const fn peer(&self) -> IpAddr {
        self.peer
    }

    pub(super) fn metrics(&self) -> &ConnectionMetrics {
        self.places.metrics()
    }

    /// Its client has been authenticated. It counts as authenticated from now on, unless the client has its share of the
    /// connections already.
    pub(super) fn set_client(&self, client: &Principal) {
        let first = &self.connection.first_client;
        if first.get().is_some() {
            return;
        }
        let Ok(share) = self.places.shares.take(Holder::Principal(client.as_str()), 1) else {
            return self.connection.note_surplus();
        };
        if first.set((client.clone(), share)).is_ok() {
            self.places.state().unauthenticated.remove(&self.connection.number);
            self.places.freed.notify_one();
            self.connection.wake_reader();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.taken -= 1;
        state.unauthenticated.remove(&self.connection.number);
        if let Some(of_peer) = state.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                state.by_peer.remove(&self.peer);
            }
        }
        self.places.metrics.open.dec();
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
impl Place {
    /// Of a connection with this number.
    pub(super) fn of_test(peer: IpAddr, number: u64) -> Self {
        let capacity = Capacity { most: 1, most_unauthenticated: 1, most_of_peer: 0 };
        let places = Places::new(capacity, crate::telemetry::Metrics::new([]).unwrap().connections("grpc"));
        places.state().taken = 1;
        Self { places, peer, connection: Arc::new(Connection::new(number, Instant::now())) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::telemetry::Metrics;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// While there are four of them.
    const GRACE: Duration = Duration::from_millis(4);

    fn places(most: usize, most_of_peer: usize) -> Arc<Places> {
        let capacity = Capacity { most, most_unauthenticated: most / 4, most_of_peer };
        Places::new(capacity, Metrics::new([]).unwrap().connections("grpc"))
    }

    fn admit(places: &Arc<Places>, now: Instant) -> Option<Place> {
        match places.admit(PEER, now) {
            Admission::Admitted(place) => Some(place),
            Admission::Refused | Admission::NotBefore(_) => None,
        }
    }

    #[test]
    fn the_oldest_unauthenticated_connection_makes_room_if_it_is_idle() {
        let (places, start) = (places(16, 0), Instant::now());
        let connections: Vec<_> = (0..4).map(|_| admit(&places, start).unwrap()).collect();
        connections[0].connection.begin_call();
        assert!(matches!(places.admit(PEER, start), Admission::NotBefore(at) if at == start + GRACE));
        let left = || connections.iter().map(|place| place.connection.must_leave.is_cancelled());

        let next = admit(&places, start + GRACE).unwrap();
        assert_eq!(left().collect::<Vec<_>>(), [false, true, false, false]);
        // One that is authenticated never has to leave.
        next.set_client(&Principal::anonymous());
        connections[2].set_client(&Principal::anonymous());
        let more: Vec<_> = (0..3).map(|_| admit(&places, start + GRACE * 3)).collect();
        assert!(more.iter().all(Option::is_some));
        assert_eq!(left().collect::<Vec<_>>(), [false, true, false, true]);
    }

    #[test]
    fn one_caller_has_half_of_the_places_and_two_have_two_thirds() {
        let (places, start) = (places(16, 0), Instant::now());
        // As many as stay, while unauthenticated ones come and go.
        let fill = |name: &str, now: Instant| -> Vec<Place> {
            let client: Principal = name.parse().unwrap();
            let authenticated = || admit(&places, now).inspect(|place| place.set_client(&client));
            std::iter::from_fn(authenticated)
                .take(32)
                .filter(|place| place.connection.client().is_some())
                .collect()
        };
        let first = fill("key:a", start + GRACE);
        assert_eq!(first.len(), 8);
        let second = fill("key:b", start + 3 * GRACE);
        assert!((3..=4).contains(&second.len()), "{}", second.len());
        drop((first, second));
        let state = places.state();
        assert!(state.taken == 0 && state.unauthenticated.is_empty() && state.by_peer.is_empty());
    }

    #[test]
    fn unauthenticated_connections_that_keep_busy_make_room_once_they_had_their_time() {
        let (places, start) = (places(16, 0), Instant::now());
        let busy: Vec<_> = (0..4).map(|_| admit(&places, start).unwrap()).collect();
        for place in &busy {
            place.connection.begin_call();
        }
        assert!(matches!(places.admit(PEER, start + PATIENCE / 2), Admission::Refused));
        assert!(admit(&places, start + PATIENCE).is_some());
        assert!(busy[0].connection.must_leave.is_cancelled());
    }

    #[test]
    fn a_connection_beyond_its_client_s_share_makes_room_first_and_at_once() {
        let (places, start) = (places(16, 0), Instant::now());
        let client: Principal = "key:a".parse().unwrap();
        let own: Vec<_> = (0..8).map(|index| admit(&places, start + GRACE * (index + 1)).unwrap()).collect();
        for place in &own {
            place.set_client(&client);
        }
        let now = start + GRACE * 20;
        let more: Vec<_> = (0..4).map(|_| admit(&places, now).unwrap()).collect();
        for place in &more {
            place.connection.begin_call();
            place.set_client(&client);
        }
        let newcomer = admit(&places, now).expect("it does not wait");
        assert!(more[0].connection.must_leave.is_cancelled() && newcomer.connection.client().is_none());
    }

    #[test]
    fn a_thousand_unauthenticated_connections_may_come_and_go_in_a_second() {
        let start = Instant::now();
        for (most, grace) in [(16, 4), (400, 100), (4096, 250)] {
            let places = places(most, 0);
            let _all: Vec<_> = (0..most / 4).map(|_| admit(&places, start).unwrap()).collect();
            let expected = start + Duration::from_millis(grace);
            assert!(
                matches!(places.admit(PEER, start), Admission::NotBefore(at) if at == expected),
                "{most}"
            );
        }
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
