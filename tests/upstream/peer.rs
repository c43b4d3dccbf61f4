//! An upstream made by hand, which can do what no HTTP server would.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::oneshot,
    time::sleep,
};

use crate::helpers::ANY_PORT;

/// What it does with every request that it has read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// Closes the connection.
    Close,
    /// Resets it.
    Reset,
    /// Says this, and closes.
    Text(&'static [u8]),
    /// Says the first, and then the second again and again.
    Endless(&'static str, &'static str),
    /// The same, slowly.
    Slow(&'static str, &'static str),
}

#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    written: AtomicUsize,
}

impl Peer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let peer = Self { address: listener.local_addr().unwrap(), counts: Arc::default() };
        let counts = peer.counts.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer, counts.clone()));
            }
        });
        peer
    }

    /// Says `100 Continue` without an end, on a thread of its own: it writes while it is read.
    pub(crate) async fn flood_of_1xx() -> Self {
        let flood: &str = "HTTP/1.1 100 Continue\r\n\r\n".repeat(4000).leak();
        let (started, peer) = oneshot::channel();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let peer = Self::start(Answer::Endless("", flood)).await;
                started.send(peer).unwrap_or_else(|_| unreachable!());
                pending::<()>().await;
            });
        });
        peer.await.unwrap()
    }

    /// How many requests it has read whole.
    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(SeqCst)
    }

    /// How many bytes of answers were taken off its hands.
    pub(super) fn written(&self) -> usize {
        self.counts.written.load(SeqCst)
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, counts: Arc<Counts>) {
    if read_request(&mut stream).await.is_none() {
        return;
    }
    counts.requests.fetch_add(1, SeqCst);
    let (head, more, pause) = match answer {
        Answer::Close => return,
        Answer::Reset => return stream.set_zero_linger().unwrap(),
        Answer::Text(text) => (text, "", Duration::ZERO),
        Answer::Endless(head, more) => (head.as_bytes(), more, Duration::ZERO),
        Answer::Slow(head, more) => (head.as_bytes(), more, Duration::from_millis(20)),
    };
    let mut next = head;
    while stream.write_all(next).await.is_ok() && (!more.is_empty() || !pause.is_zero()) {
        counts.written.fetch_add(next.len(), SeqCst);
        next = more.as_bytes();
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
}

/// The request's head, if all of it came, and its body too.
pub(super) async fn read_request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).await.ok().filter(|length| *length > 0)?;
        text.extend_from_slice(&bytes[..length]);
        let read = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = read.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(head.to_owned());
        }
    }
}
