//! A thread of its own for the connections to whom this process calls.
//!
//! The HTTP client reads on in one turn of a task, for as long as what comes is no answer yet: a flood of `100 Continue` takes
//! up to 50 MB of it, and holds the thread as long. No call may need that thread.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::context::TokioContext;

/// The thread. It ends when this is dropped, and nobody waits for it.
#[derive(Debug)]
pub(crate) struct OwnThread {
    handle: Handle,
    /// `None`: it is being dropped.
    runtime: Option<Runtime>,
}

impl OwnThread {
    /// # Errors
    /// The system has no thread or descriptor left.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// The connections that this future makes are on the thread, as is all that it spawns. It is itself polled where it is
    /// awaited. A limit of its time must not be one of its own timers, which may be late.
    pub(crate) fn connect<F: Future>(&self, future: F) -> TokioContext<F> {
        TokioContext::new(future, self.handle.clone())
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
