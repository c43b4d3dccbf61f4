//! What is known of an open connection: shared by the task that keeps it, its calls, and the places.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    task::Waker,
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{principal::Principal, shares::Share};

/// What is known of an open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: u64,
    /// When it was accepted.
    pub(super) accepted: Instant,
    has_preface: AtomicBool,
    has_called: AtomicBool,
    /// Who has made a call first, and its share of the connections.
    pub(super) first_client: OnceLock<(Principal, Share)>,
    calls: AtomicU32,
    /// Who waits for some of them to end while it is unauthenticated.
    reader: AtomicWaker,
    /// How often it was polled: all that was read before has begun, or never will.
    turns: AtomicU32,
    /// How many have ended at their caller's deadline.
    at_deadline: AtomicU32,
    /// Of those under way, calls of health and reflection, and streams of theirs.
    open_calls: [AtomicU32; 2],
    /// Of the others, those that wait for their client alone.
    waiting: AtomicU32,
    /// How often bytes have come or gone.
    moves: AtomicU32,
    /// Its client has its share of the connections already.
    is_surplus: AtomicBool,
    /// Of messages that are being received.
    bytes: AtomicUsize,
    pub(super) must_leave: CancellationToken,
}

impl Connection {
    pub(super) fn new(number: u64, accepted: Instant) -> Self {
        Self {
            number,
            accepted,
            has_preface: AtomicBool::new(false),
            has_called: AtomicBool::new(false),
            first_client: OnceLock::new(),
            calls: AtomicU32::new(0),
            reader: AtomicWaker::new(),
            turns: AtomicU32::new(0),
            at_deadline: AtomicU32::new(0),
            open_calls: Default::default(),
            waiting: AtomicU32::new(0),
            moves: AtomicU32::new(0),
            is_surplus: AtomicBool::new(false),
            bytes: AtomicUsize::new(0),
            must_leave: CancellationToken::new(),
        }
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

    /// Whether no call is under way, but those that stay open for as long as their caller likes.
    pub(super) fn is_idle(&self) -> bool {
        self.calls.load(Relaxed) <= self.open_calls()
    }

    /// Whether no call is being worked at: the next step of each is its client's.
    pub(super) fn waits_for_its_client(&self) -> bool {
        self.calls.load(Relaxed) <= self.open_calls() + self.waiting.load(Relaxed)
    }

    fn open_calls(&self) -> u32 {
        self.open_calls.iter().map(|calls| calls.load(Relaxed)).sum()
    }

    pub(super) fn begin_waiting(&self) {
        self.waiting.fetch_add(1, Relaxed);
    }

    pub(super) fn end_waiting(&self) {
        self.waiting.fetch_sub(1, Relaxed);
    }

    /// A number that changes whenever bytes come or go.
    pub(super) fn moves(&self) -> u32 {
        self.moves.load(Relaxed)
    }

    pub(super) fn note_move(&self) {
        self.moves.fetch_add(1, Relaxed);
    }

    /// Who has made a call by it first.
    pub(super) fn client(&self) -> Option<&Principal> {
        self.first_client.get().map(|(client, _)| client)
    }

    /// Begins a call of health or reflection, unless so many are under way; whether it has begun.
    pub(super) fn begin_open_call(&self, is_stream: bool, most: u32) -> bool {
        let one_more = |calls: u32| (calls < most).then_some(calls + 1);
        self.open_calls[usize::from(is_stream)].try_update(Relaxed, Relaxed, one_more).is_ok()
    }

    pub(super) fn end_open_call(&self, is_stream: bool) {
        self.open_calls[usize::from(is_stream)].fetch_sub(1, Relaxed);
    }

    /// Whether its client has called, and has its share of the connections by others.
    pub(super) fn is_surplus(&self) -> bool {
        self.is_surplus.load(Relaxed)
    }

    pub(super) fn note_surplus(&self) {
        self.is_surplus.store(true, Relaxed);
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
        if self.client().is_none() {
            self.wake_reader();
        }
    }

    /// How many have begun and not ended.
    pub(super) fn calls(&self) -> u32 {
        self.calls.load(Relaxed)
    }

    /// How many have ended at their caller's deadline, wrapping.
    pub(super) fn at_deadline(&self) -> u32 {
        self.at_deadline.load(Relaxed)
    }

    pub(super) fn note_at_deadline(&self) {
        self.at_deadline.fetch_add(1, Relaxed);
    }

    pub(super) fn begin_turn(&self) {
        self.turns.fetch_add(1, Relaxed);
    }

    pub(super) fn turns(&self) -> u32 {
        self.turns.load(Relaxed)
    }

    /// Whoever reads it is woken when a call ends, and when a call has authenticated it.
    pub(super) fn wake_reader_later(&self, waker: &Waker) {
        self.reader.register(waker);
    }

    pub(super) fn wake_reader(&self) {
        self.reader.wake();
    }

    /// Done when it is to make room for another.
    pub(super) async fn must_leave(&self) {
        self.must_leave.cancelled().await;
    }
}
