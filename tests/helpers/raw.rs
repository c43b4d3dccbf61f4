//! A client that speaks HTTP/2 frame by frame, and so can do what no library would.

use std::{net::SocketAddr, time::Duration};

use futures_util::FutureExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::PATIENCE;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// An open connection.
pub(crate) struct Raw {
    stream: TcpStream,
    next: u32,
    unread: Vec<u8>,
    /// It has begun HTTP/2, and answers what it must.
    speaks: bool,
}

/// A frame that the server sent.
pub(crate) struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

impl Frame {
    /// The end of a stream, in whichever way.
    pub(crate) fn ends_its_stream(&self) -> bool {
        self.kind == RST_STREAM || [DATA, HEADERS].contains(&self.kind) && self.flags & END_STREAM != 0
    }

    /// An answer to a ping.
    pub(crate) fn answers_a_ping(&self) -> bool {
        self.kind == PING && self.flags & ACK != 0
    }

    /// The error code of a reset.
    pub(crate) fn resets_with(&self) -> Option<u32> {
        (self.kind == RST_STREAM).then(|| u32::from_be_bytes(self.payload[..].try_into().unwrap()))
    }

    /// The error code of a GOAWAY.
    pub(crate) fn goes_away(&self) -> Option<[u8; 4]> {
        (self.kind == GOAWAY).then(|| self.payload[4..8].try_into().unwrap())
    }
}

impl Raw {
    /// Connects, and says nothing.
    pub(crate) async fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, next: 1, unread: Vec::new(), speaks: false }
    }

    /// Begins HTTP/2, with these settings: identifiers and values.
    pub(crate) async fn with_settings(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut raw = Self { speaks: true, ..Self::silent(address).await };
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat()).await;
        // The server widens the connection's window first.
        assert!(raw.ping().await, "it takes the connection");
        raw
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::with_settings(address, &[]).await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // The server may have closed the connection: that shows when it is read.
        let _ = self.stream.write_all(bytes).await;
    }

    /// From now on it answers nothing.
    pub(crate) fn falls_silent(&mut self) {
        self.speaks = false;
    }

    /// A new stream's headers; gives its number.
    pub(crate) fn headers(&mut self, path: &str, more: &[(&str, &str)]) -> (u32, Vec<u8>) {
        let stream = self.next;
        self.next += 2;
        let block: Vec<u8> = grpc(path).iter().chain(more).flat_map(|(n, v)| literal(n, v)).collect();
        (stream, frame(HEADERS, END_HEADERS, stream, &block))
    }

    /// The first calls of a connection, all alike and without a message, in as few bytes as HPACK allows.
    pub(crate) fn short_calls(&mut self, path: &str, more: &[(&str, &str)], count: u32) -> Vec<u8> {
        let headers = [&grpc(path)[..], more].concat();
        // Each goes into the dynamic table, RFC 7541, section 6.2.1; its first entry is 62, and the newest.
        let whole = headers.iter().flat_map(|(n, v)| [&[0x40][..], &text(n), &text(v)].concat()).collect();
        let known =
            (0..headers.len()).rev().map(|index| 0x80 | (62 + u8::try_from(index).unwrap())).collect();
        let blocks: [Vec<u8>; 2] = [whole, known];
        let calls = (0..count).flat_map(|call| {
            let block = &blocks[usize::from(call > 0)];
            frame(HEADERS, END_HEADERS | END_STREAM, self.next + 2 * call, block)
        });
        let calls = calls.collect();
        self.next += 2 * count;
        calls
    }

    /// Begins a call and sends so much of its message.
    pub(crate) async fn call(&mut self, path: &str, more: &[(&str, &str)], body: &[u8]) -> u32 {
        let (stream, headers) = self.headers(path, more);
        self.send(&[headers, frame(DATA, 0, stream, body)].concat()).await;
        stream
    }

    /// The error code of a GOAWAY, if one comes before the answer to a PING.
    pub(crate) async fn goaway(&mut self) -> Option<[u8; 4]> {
        self.send(&frame(PING, 0, 0, &[0; 8])).await;
        loop {
            let frame = self.next_frame().await.expect("the connection stays open");
            if frame.answers_a_ping() || frame.goes_away().is_some() {
                return frame.goes_away();
            }
        }
    }

    /// The error code of a GOAWAY, if one has come once the connection is closed.
    pub(crate) async fn goaway_at_close(&mut self) -> Option<[u8; 4]> {
        let mut goes_away = None;
        while let Some(frame) = self.next_frame().await {
            goes_away = goes_away.or(frame.goes_away());
        }
        goes_away
    }

    /// Asks for an answer, which comes once all that was sent before was seen; whether it comes.
    pub(crate) async fn ping(&mut self) -> bool {
        self.send(&frame(PING, 0, 0, &[0; 8])).await;
        while let Some(frame) = self.next_frame().await {
            if frame.answers_a_ping() {
                return true;
            }
        }
        false
    }

    /// A whole call.
    pub(crate) async fn whole_call(&mut self, path: &str, more: &[(&str, &str)], body: &[u8]) -> u32 {
        let (stream, headers) = self.headers(path, more);
        self.send(&[headers, frame(DATA, END_STREAM, stream, body)].concat()).await;
        stream
    }

    /// The next frame, once what the server asks for is answered; `None` once the connection is closed.
    pub(crate) async fn next_frame(&mut self) -> Option<Frame> {
        let frame = self.receive().await?;
        match (frame.kind, frame.flags & ACK) {
            _ if !self.speaks => {}
            (SETTINGS, 0) => self.send(&self::frame(SETTINGS, ACK, 0, &[])).await,
            (PING, 0) => self.send(&self::frame(PING, ACK, 0, &frame.payload)).await,
            _ => {}
        }
        Some(frame)
    }

    async fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some((head, rest)) = self.unread.split_at_checked(9) {
                let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                if rest.len() >= length {
                    let frame = Frame { kind: head[3], flags: head[4], payload: rest[..length].to_vec() };
                    self.unread.drain(..9 + length);
                    return Some(frame);
                }
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.unread.extend_from_slice(&bytes[..length]),
            }
        }
    }

    /// Whether the connection is closed, as far as has been received.
    pub(crate) fn is_closed(&mut self) -> bool {
        loop {
            match self.next_frame().now_or_never() {
                Some(Some(_)) => {}
                Some(None) => return true,
                None => return false,
            }
        }
    }

    /// How long the connection stays open; `None`: longer than `most`.
    pub(crate) async fn closes_within(&mut self, most: Duration) -> Option<Duration> {
        let began = Instant::now();
        let closed = async { while self.next_frame().await.is_some() {} };
        timeout_at(began + most, closed).await.ok().map(|()| began.elapsed())
    }

    /// Waits until so many streams have ended.
    pub(crate) async fn until_ended(&mut self, streams: usize) {
        let ended = async {
            let mut ended = 0;
            while ended < streams {
                let frame = self.next_frame().await.expect("the connection stays open");
                ended += usize::from(frame.ends_its_stream());
            }
        };
        timeout_at(Instant::now() + PATIENCE, ended).await.expect("the streams end");
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// A message of which all that it says is there, or less.
pub(crate) fn message(claimed: usize, sent: usize) -> Vec<u8> {
    let length = u32::try_from(claimed).unwrap().to_be_bytes();
    [&[0][..], &length, &vec![0; sent]].concat()
}

/// A message, whole.
pub(crate) fn whole(of: &impl prost::Message) -> Vec<u8> {
    let bytes = of.encode_to_vec();
    [message(bytes.len(), 0), bytes].concat()
}

/// The headers of every call.
fn grpc(path: &str) -> [(&str, &str); 6] {
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
}

/// A header that is not indexed: RFC 7541, section 6.2.2.
fn literal(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

/// Section 5.2: a length of seven bits, or more, and the text.
fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    match text.len() {
        short @ ..127 => out.push(u8::try_from(short).unwrap()),
        long => {
            out.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                out.push(u8::try_from(rest % 128 + 128).unwrap());
                rest /= 128;
            }
            out.push(u8::try_from(rest).unwrap());
        }
    }
    out.extend_from_slice(text.as_bytes());
    out
}
