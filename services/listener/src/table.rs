//! The connections of a listener, and which of them has to go.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::Limits;

/// What a connection waits for.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The rest of a request's head.
    Head { since: Instant },
    /// The next request.
    Idle { since: Instant },
    /// The answer.
    Served,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Since when the client takes nothing of what is sent to it.
    blocked: Option<Instant>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    peer: IpAddr,
    state: Mutex<State>,
    /// Cancelled to close it.
    pub(crate) closing: CancellationToken,
}

impl Connection {
    fn new(peer: IpAddr) -> Self {
        let state = State { phase: Phase::Head { since: Instant::now() }, blocked: None };
        Self { peer, state: Mutex::new(state), closing: CancellationToken::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have come in.
    pub(crate) fn received(&self) {
        let mut state = self.state();
        if let Phase::Idle { .. } = state.phase {
            state.phase = Phase::Head { since: Instant::now() };
        }
    }

    /// Whether the client takes what is sent to it.
    pub(crate) fn sent(&self, taken: bool) {
        let mut state = self.state();
        state.blocked = if taken { None } else { state.blocked.or_else(|| Some(Instant::now())) };
    }

    /// A head is complete.
    pub(crate) fn begin_request(&self) {
        self.state().phase = Phase::Served;
    }

    /// The answer is complete.
    pub(crate) fn end_request(&self) {
        self.state().phase = Phase::Idle { since: Instant::now() };
    }

    /// Since when no request of it is being served, if so.
    fn waiting_since(&self) -> Option<Instant> {
        match self.state().phase {
            Phase::Head { since } | Phase::Idle { since } => Some(since),
            Phase::Served => None,
        }
    }

    fn is_overdue(&self, limits: &Limits, now: Instant) -> bool {
        let over = |since: Instant, limit: Duration| now.saturating_duration_since(since) > limit;
        let state = self.state();
        state.blocked.is_some_and(|since| over(since, limits.write_time))
            || match state.phase {
                Phase::Head { since } => over(since, limits.head_time),
                Phase::Idle { since } => over(since, limits.idle_time),
                Phase::Served => false,
            }
    }
}

/// All connections of a listener.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) limits: Limits,
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    all: HashMap<u64, Arc<Connection>>,
    next: u64,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    table: Arc<Table>,
    id: u64,
    pub(crate) connection: Arc<Connection>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.connections().all.remove(&self.id);
    }
}

impl Table {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, connections: Mutex::default() }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection of the peer, for which another may have to go. None if all that could go are being served.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut connections = self.connections();
        let of_peer = connections.all.values().filter(|one| one.peer == peer).count();
        if of_peer >= self.limits.connections_per_peer {
            connections.evict(|one| one.peer == peer)?;
        } else if connections.all.len() >= self.limits.connections {
            connections.evict(|_| true)?;
        }
        let id = connections.next;
        connections.next += 1;
        let connection = Arc::new(Connection::new(peer));
        connections.all.insert(id, Arc::clone(&connection));
        Some(Place { table: Arc::clone(self), id, connection })
    }

    /// Closes the connections whose time is over, and returns how many.
    pub(crate) fn close_overdue(&self, now: Instant) -> usize {
        let connections = self.connections();
        let overdue = connections.all.values().filter(|one| one.is_overdue(&self.limits, now));
        overdue.map(|one| one.closing.cancel()).count()
    }
}

impl Connections {
    /// Closes the connection that has waited longest for a request, of those that match.
    fn evict(&mut self, matches: impl Fn(&Connection) -> bool) -> Option<()> {
        let waiting = self.all.iter().filter(|(_, one)| matches(one));
        let waiting = waiting.filter_map(|(id, one)| Some((one.waiting_since()?, *id)));
        let (_, id) = waiting.min()?;
        self.all.remove(&id)?.closing.cancel();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LIMITS: Limits = Limits {
        connections: 4,
        connections_per_peer: 3,
        head_bytes: 8192,
        head_time: Duration::from_secs(10),
        body_time: Duration::from_secs(30),
        idle_time: Duration::from_secs(75),
        write_time: Duration::from_secs(20),
    };

    fn peer(number: u8) -> IpAddr {
        Ipv4Addr::new(127, 0, 0, number).into()
    }

    fn is_closed(place: &Place) -> bool {
        place.connection.closing.is_cancelled()
    }

    #[test]
    fn who_waits_longest_makes_room() {
        let table = Arc::new(Table::new(LIMITS));
        let places: Vec<_> = [1, 1, 2, 2].map(|one| table.admit(peer(one)).unwrap()).into();
        places[0].connection.begin_request();
        let newer = table.admit(peer(3)).unwrap();
        assert_eq!(places.iter().map(is_closed).collect::<Vec<_>>(), [false, true, false, false]);
        assert!(!is_closed(&newer));
    }

    #[test]
    fn a_peer_that_has_its_share_displaces_itself() {
        let table = Arc::new(Table::new(LIMITS));
        let other = table.admit(peer(2)).unwrap();
        let own: Vec<_> = (0..3).map(|_| table.admit(peer(1)).unwrap()).collect();
        let newer = table.admit(peer(1)).unwrap();
        assert!(!is_closed(&other), "it waits longer, and is another's");
        assert_eq!(own.iter().map(is_closed).collect::<Vec<_>>(), [true, false, false]);
        own.iter().chain([&newer]).for_each(|place| place.connection.begin_request());
        assert!(table.admit(peer(1)).is_none(), "all are being served");
    }

    #[test]
    fn a_place_is_given_back() {
        let table = Arc::new(Table::new(LIMITS));
        for _ in 0..10 {
            let place = table.admit(peer(1)).unwrap();
            place.connection.begin_request();
        }
    }

    #[test]
    fn each_phase_has_its_time() {
        let table = Arc::new(Table::new(LIMITS));
        let place = table.admit(peer(1)).unwrap();
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!((table.close_overdue(after(9)), table.close_overdue(after(11))), (0, 1), "no head");
        place.connection.begin_request();
        assert_eq!(table.close_overdue(after(3600)), 0, "an answer may have no end");
        place.connection.sent(false);
        assert_eq!((table.close_overdue(after(19)), table.close_overdue(after(21))), (0, 1), "it is not read");
        place.connection.sent(true);
        assert_eq!(table.close_overdue(after(3600)), 0);
        place.connection.end_request();
        assert_eq!((table.close_overdue(after(74)), table.close_overdue(after(76))), (0, 1), "nothing more is asked");
        place.connection.received();
        assert_eq!((table.close_overdue(after(9)), table.close_overdue(after(11))), (0, 1), "half a head");
    }
}
