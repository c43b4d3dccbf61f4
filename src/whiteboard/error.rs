//! Why an upstream call failed, by what its caller can do about it.

use std::time::Duration;

use crate::{
    methods::{Repeat, Resource, Rpc},
    reason::Reason,
    shares::Refused,
};

/// Whether a call may have changed something upstream although it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing, or the same call again would change nothing more.
    None,
    /// It may have acted, and would act again.
    Possible,
}

impl Effect {
    /// The effect of the call that an RPC makes.
    #[must_use]
    pub const fn of(rpc: Rpc) -> Self {
        match rpc.row().repeat {
            Repeat::Safe => Self::None,
            Repeat::WithRequestId | Repeat::Never => Self::Possible,
        }
    }
}

/// Why an upstream call failed. The details are for the log alone.
#[derive(Clone, Debug)]
pub enum Error {
    /// It had no effect, or the same call again has no further one: it can be retried.
    Unreachable {
        /// What happened.
        detail: String,
    },
    /// The same, where the upstream says how long to wait.
    Paused {
        /// What happened.
        detail: String,
        /// How long.
        retry_after: Duration,
    },
    /// It may have taken effect, and must not be retried.
    OutcomeUnknown {
        /// What happened.
        detail: String,
    },
    /// The upstream rejects our token: the keys are wrong, or the clock is.
    CredentialsRejected {
        /// What the upstream said.
        detail: String,
    },
    /// The upstream refuses a request that it understood.
    Refused {
        /// What the upstream said.
        detail: String,
    },
    /// There is no such room or task in that region.
    NotFound,
    /// There is no such scene in that room.
    SceneNotFound,
    /// The room is disabled.
    RoomDisabled,
    /// The conversion is no longer waiting.
    NotWaiting,
    /// The feature is off in that region.
    FeatureDisabled,
    /// Too many conversions wait already.
    QueueFull,
    /// Too many calls.
    RateLimited {
        /// How long to wait, if the upstream said so.
        retry_after: Option<Duration>,
    },
    /// The upstream fails, so that nothing is sent until then.
    CircuitOpen {
        /// When a call is tried again.
        retry_after: Duration,
    },
    /// The clock is unstable, so no token can be signed: nothing was sent.
    ClockUnstable,
    /// There is no place for one more call, or for one more of its caller: nothing was sent.
    NoShare(Refused),
    /// Its caller leaves too soon for its answer: nothing was sent.
    TooLate,
    /// A response that the documentation does not allow. It has no effect.
    UnexpectedAnswer {
        /// What was wrong with it.
        detail: String,
    },
}

impl Error {
    /// What its caller and the log are told. `missing`: what a 404 means.
    #[must_use]
    pub fn reason(&self, missing: Resource) -> Reason {
        match self {
            Self::Unreachable { .. } | Self::Paused { .. } => Reason::UpstreamUnreachable,
            Self::OutcomeUnknown { .. } => Reason::UpstreamOutcomeUnknown,
            Self::CredentialsRejected { .. } => Reason::UpstreamCredentialsRejected,
            Self::Refused { .. } => Reason::UpstreamRefused,
            Self::NotFound => match missing {
                Resource::Room | Resource::Scene => Reason::RoomNotFound,
                Resource::Conversion => Reason::ConversionNotFound,
                Resource::Project => Reason::UpstreamUnexpectedAnswer,
            },
            Self::SceneNotFound => Reason::SceneNotFound,
            Self::RoomDisabled => Reason::RoomDisabled,
            Self::NotWaiting => Reason::ConversionNotWaiting,
            Self::FeatureDisabled => Reason::UpstreamFeatureDisabled,
            Self::QueueFull => Reason::UpstreamQueueFull,
            Self::RateLimited { .. } => Reason::UpstreamRateLimited,
            Self::CircuitOpen { .. } => Reason::UpstreamCircuitOpen,
            Self::ClockUnstable => Reason::ClockUnstable,
            Self::NoShare(refused) => Reason::from(*refused),
            Self::TooLate => Reason::DeadlineExceeded,
            Self::UnexpectedAnswer { .. } => Reason::UpstreamUnexpectedAnswer,
        }
    }

    /// A short name, for traces.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Paused { .. } => "paused",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::CredentialsRejected { .. } => "credentials_rejected",
            Self::Refused { .. } => "refused",
            Self::NotFound => "not_found",
            Self::SceneNotFound => "scene_not_found",
            Self::RoomDisabled => "room_disabled",
            Self::NotWaiting => "not_waiting",
            Self::FeatureDisabled => "feature_disabled",
            Self::QueueFull => "queue_full",
            Self::RateLimited { .. } => "rate_limited",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::ClockUnstable => "clock_unstable",
            Self::NoShare(_) => "no_share",
            Self::TooLate => "too_late",
            Self::UnexpectedAnswer { .. } => "unexpected_answer",
        }
    }

    /// What to write to the log, where the fault is not the caller's.
    pub(super) fn detail(&self) -> Option<&str> {
        match self {
            Self::Unreachable { detail }
            | Self::Paused { detail, .. }
            | Self::OutcomeUnknown { detail }
            | Self::CredentialsRejected { detail }
            | Self::Refused { detail }
            | Self::UnexpectedAnswer { detail } => Some(detail),
            Self::NotFound
            | Self::SceneNotFound
            | Self::RoomDisabled
            | Self::NotWaiting
            | Self::FeatureDisabled
            | Self::QueueFull
            | Self::RateLimited { .. }
            | Self::CircuitOpen { .. }
            | Self::ClockUnstable
            | Self::NoShare(_)
            | Self::TooLate => None,
        }
    }
}
