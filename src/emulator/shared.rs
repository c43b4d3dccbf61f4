//! The state that all calls share, behind one lock, and the clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{conversions::Notice, settings::Settings, world::World};
use crate::clock::{Clock, UnixMillis};

/// Its clones share one state.
#[derive(Clone)]
pub(super) struct Shared {
    clock: Arc<dyn Clock>,
    world: Arc<Mutex<World>>,
}

impl Shared {
    pub(super) fn new(clock: Arc<dyn Clock>, world: World) -> Self {
        Self { clock, world: Arc::new(Mutex::new(world)) }
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The state. After a panic under the lock it is still used: only the call that panicked fails.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn settings(&self) -> Settings {
        self.world().settings.clone()
    }

    /// Ends when a task with a webhook was started.
    pub(super) async fn webhook_expected(&self) {
        let expected = Arc::clone(&self.world().webhook_expected);
        expected.notified().await;
    }

    /// The notices that are due now, and whether more will come.
    pub(super) fn take_notices(&self) -> (Vec<Notice>, bool) {
        let mut world = self.world();
        world.settle(self.now());
        let mut due = Vec::new();
        let mut more = false;
        for partition in world.partitions.values_mut() {
            due.append(&mut partition.conversions.take_notices());
            more |= partition.conversions.expects_notice();
        }
        (due, more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SystemClock, emulator::settings::Settings, entropy::SystemEntropy};

    #[test]
    fn a_panic_under_the_lock_does_not_take_the_emulator_down() {
        let world = World::new(Vec::new(), Arc::new(SystemEntropy), Settings::default());
        let shared = Shared::new(Arc::new(SystemClock), world);
        let clone = shared.clone();
        let panicked = std::thread::spawn(move || {
            let _world = clone.world();
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert!(shared.world().projects.is_empty());
    }
}
