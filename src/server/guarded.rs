//! A connection's bytes, watched on their way in.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{connection::Connection, frames::Frames};

/// So many calls of an unauthenticated connection may have begun and not ended: else one packet would begin a hundred, each
/// of which takes a few KiB until it is refused. More than h2 lets be reset before they begin.
const MOST_CALLS: u32 = 24;

/// As much is read of it at once, in bytes: some eight calls at most.
const PIECE: usize = 128;

/// A connection whose incoming frames are counted.
pub(super) struct Guarded<T> {
    io: T,
    frames: Frames,
    connection: Arc<Connection>,
    /// The connection's turn, and how many calls had come before it.
    turn: u32,
    calls_before: u32,
}

impl<T> Guarded<T> {
    pub(super) fn new(io: T, connection: Arc<Connection>) -> Self {
        Self { io, frames: Frames::new(), connection, turn: 0, calls_before: 0 }
    }
}

impl<T: AsyncRead + Unpin> Guarded<T> {
    /// Reads a piece, once few enough calls are under way.
    fn poll_piece(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Before it is looked at, so that no end of a call and no authentication is missed.
        self.connection.wake_reader_later(context.waker());
        let (turn, calls) = (self.connection.turns(), self.frames.calls());
        if self.turn != turn {
            (self.turn, self.calls_before) = (turn, calls);
        }
        let new = calls - self.calls_before;
        if self.connection.calls() + new >= MOST_CALLS && self.connection.client().is_none() {
            // Of the new ones those have begun by the next turn that ever do: h2 answers too long headers itself.
            if new > 0 {
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        let mut bytes = [0; PIECE];
        let mut piece = ReadBuf::new(&mut bytes[..PIECE.min(buffer.remaining())]);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut piece))?;
        buffer.put_slice(piece.filled());
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match self.connection.client() {
            Some(_) => ready!(Pin::new(&mut self.io).poll_read(context, buffer))?,
            None => ready!(self.poll_piece(context, buffer))?,
        }
        let Self { frames, connection, .. } = &mut *self;
        connection.note_move();
        frames.read(&buffer.filled()[before..], connection.at_deadline())?;
        if !connection.has_called() {
            connection.note(frames.has_preface(), frames.has_called());
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(context, bytes));
        self.connection.note_move();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(context, slices));
        self.connection.note_move();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
