//! A partition's file conversions: the tasks, and the lanes that they run in.
//!
//! Tasks advance when they are read: call [`Conversions::settle`] first.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{
    queue::{End, Job, Lane, Position},
    settings::Settings,
    task::{Ending, Format, Task, Webhook},
};
use crate::clock::UnixMillis;

/// How long a task can be queried, from its creation.
const RETENTION: Duration = Duration::from_hours(7 * 24);

/// The conversions of a project in a region.
#[derive(Default)]
pub(super) struct Conversions {
    tasks: HashMap<String, Task>,
    /// The tasks' uuids in the order of their creation.
    oldest_first: VecDeque<String>,
    dynamic_lane: Lane,
    static_lane: Lane,
    /// How the unfinished tasks will end.
    endings: HashMap<String, Ending>,
    /// The notices that webhooks still have to get.
    notices: Vec<Notice>,
}

/// What a webhook gets.
pub(super) struct Notice {
    pub(super) webhook: Webhook,
    pub(super) body: String,
}

/// The type's lane is full.
pub(super) struct QueueFull;

impl Conversions {
    /// Queues a task at the time of its creation.
    pub(super) fn start(&mut self, task: Task, settings: &Settings) -> Result<(), QueueFull> {
        let lane = self.lane(&task.format);
        if lane.len() >= settings.queue_limit {
            return Err(QueueFull);
        }
        let (ending, length) = task.planned_ending(settings.converting);
        let ready_at = task.created_at.checked_add(settings.waiting).unwrap_or(UnixMillis::MAX);
        lane.push(Job { id: task.uuid.clone(), ready_at, length });
        let now = task.created_at;
        self.endings.insert(task.uuid.clone(), ending);
        self.oldest_first.push_back(task.uuid.clone());
        self.tasks.insert(task.uuid.clone(), task);
        self.settle(now);
        Ok(())
    }

    /// Lets everything happen that is due by `now`.
    pub(super) fn settle(&mut self, now: UnixMillis) {
        let mut ended = self.dynamic_lane.settle(now);
        ended.extend(self.static_lane.settle(now));
        for (uuid, at) in ended {
            let (Some(task), Some(ending)) = (self.tasks.get_mut(&uuid), self.endings.remove(&uuid)) else {
                continue;
            };
            task.ended = Some((at, ending));
            if let (Some(webhook), Some(body)) = (&task.webhook, task.notice()) {
                self.notices.push(Notice { webhook: webhook.clone(), body: body.to_string() });
            }
        }
        self.forget(now);
    }

    /// A task that is still remembered.
    pub(super) fn get(&self, uuid: &str) -> Option<&Task> {
        self.tasks.get(uuid)
    }

    /// A task's position in its queue; `None`: it has ended.
    pub(super) fn position(&self, task: &Task, now: UnixMillis) -> Option<Position> {
        match task.format {
            Format::Dynamic => self.dynamic_lane.position(&task.uuid, now),
            Format::Static(_) => self.static_lane.position(&task.uuid, now),
        }
    }

    /// The tasks that have not ended, in each lane in the order in which they run.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = &Task> {
        self.dynamic_lane.ids().chain(self.static_lane.ids()).filter_map(|uuid| self.tasks.get(uuid))
    }

    /// All tasks, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.oldest_first.iter().filter_map(|uuid| self.tasks.get(uuid))
    }

    /// Cancels a task. `false`: it has ended already.
    pub(super) fn cancel(&mut self, uuid: &str, now: UnixMillis) -> bool {
        if !self.dynamic_lane.remove(uuid, now) && !self.static_lane.remove(uuid, now) {
            return false;
        }
        self.endings.remove(uuid);
        if let Some(task) = self.tasks.get_mut(uuid) {
            task.ended = Some((now, Ending::Abort));
        }
        true
    }

    /// Moves a waiting task to an end of its queue. `false`: it does not wait.
    pub(super) fn prioritize(&mut self, uuid: &str, end: End) -> bool {
        self.dynamic_lane.move_to(uuid, end) || self.static_lane.move_to(uuid, end)
    }

    /// The notices of the tasks that ended since the last time.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Whether there will be a notice, unless the task is cancelled.
    pub(super) fn expects_notice(&self) -> bool {
        self.unfinished().any(|task| task.webhook.is_some())
    }

    fn lane(&mut self, format: &Format) -> &mut Lane {
        match format {
            Format::Dynamic => &mut self.dynamic_lane,
            Format::Static(_) => &mut self.static_lane,
        }
    }

    fn forget(&mut self, now: UnixMillis) {
        while let Some(uuid) = self.oldest_first.front() {
            let age = self.tasks.get(uuid).map(|task| now.saturating_since(task.created_at));
            if age.is_some_and(|age| age < RETENTION) {
                return;
            }
            if let Some(uuid) = self.oldest_first.pop_front() {
                self.cancel(&uuid, now);
                self.tasks.remove(&uuid);
            }
        }
    }
}
