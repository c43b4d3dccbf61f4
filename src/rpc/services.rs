//! What the handlers share, and the one way of a call on a room or conversion that exists.

use std::sync::Arc;

use prost::Message;
use sha2::{Digest, Sha256};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Request;

use super::parse::{self, Violations};
use crate::{
    call::CallContext,
    creation::Creator,
    error::Error,
    idempotency::Arguments,
    issuing::{Authorizer, Record, UpstreamParams, UpstreamPermit},
    methods::Rpc,
    policy::WatchSlot,
    proto,
    region::Region,
    watcher::Watcher,
    whiteboard::{Access, PathUuid, Whiteboard},
};

/// What the handlers share.
pub struct Services {
    /// Authorizes, mints and records.
    pub authorizer: Arc<Authorizer>,
    /// Creates rooms and conversions.
    pub creator: Creator,
    /// The upstream.
    pub whiteboard: Whiteboard,
    /// Follows conversions.
    pub watcher: Arc<Watcher>,
    /// Owns every task that outlives its call.
    pub tasks: TaskTracker,
    /// Cancelled when the server is asked to stop: ends the watches.
    pub stopping: CancellationToken,
}

/// A request on a room or conversion that exists.
pub(super) trait Targeted {
    fn target(&self) -> Target<'_>;
}

/// The fields that such requests have alike.
pub(super) struct Target<'a> {
    project: &'a str,
    access_key: &'a str,
    region: i32,
    uuid: &'a str,
    /// The name of the uuid's field.
    field: &'static str,
}

macro_rules! targeted {
    ($($message:ident . $uuid:ident),* $(,)?) => {$(
        impl Targeted for proto::$message {
            fn target(&self) -> Target<'_> {
                let Self { project, access_key, region, $uuid: uuid, .. } = self;
                Target { project, access_key, region: *region, uuid, field: stringify!($uuid) }
            }
        }
    )*};
}

targeted! {
    GetRoomRequest.uuid,
    DisableRoomRequest.uuid,
    EnableRoomRequest.uuid,
    ListScenesRequest.room_uuid,
    AddScenesRequest.room_uuid,
    SwitchSceneRequest.room_uuid,
    CaptureSceneRequest.room_uuid,
    CaptureSceneDirRequest.room_uuid,
    GetConversionRequest.uuid,
    WatchConversionRequest.uuid,
    CancelConversionRequest.uuid,
    PrioritizeConversionRequest.uuid,
}

/// A call on what exists: parsed, authorized and recorded.
pub(super) struct Opened<'a, T> {
    pub(super) access: Access,
    pub(super) uuid: PathUuid<'a>,
    /// What else the request says.
    pub(super) more: T,
    /// The watch slot of the quota. It is kept for as long as the call watches.
    pub(super) slot: WatchSlot,
}

impl Services {
    /// Parses a request on what exists, authorizes the call and records the decision. `parse` reads
    /// what else the request says.
    pub(super) async fn open<'a, M: Targeted, T>(
        &self,
        rpc: Rpc,
        request: &'a Request<M>,
        parse: impl FnOnce(&'a M, &mut Violations) -> Option<T>,
    ) -> Result<Opened<'a, T>, Error> {
        let Target { project, access_key, region, uuid, field } = request.get_ref().target();
        let mut violations = Violations::default();
        let region = parse::region(region, &mut violations);
        let uuid = PathUuid::new(uuid);
        if uuid.is_none() {
            violations.add(field, "must be 1 to 128 of 0-9 A-Z a-z _ and -");
        }
        let more = parse(request.get_ref(), &mut violations);
        let parsed = || Some((region?, uuid?, more?));
        let (region, uuid, more) = violations.unless_any(parsed())?;
        let call = CallContext::of(request);
        let record = Record::new(call, rpc, uuid.as_str());
        let params = UpstreamParams { project, access_key, region, token_grant: None };
        let (permit, slot) = self.authorizer.authorize(&record, &params).await?;
        Ok(Opened { access: permit.access, uuid, more, slot })
    }

    /// Authorizes a call on a project as a whole.
    pub(super) async fn open_project<T>(
        &self,
        rpc: Rpc,
        request: &Request<T>,
        project: &str,
        region: Option<Region>,
    ) -> Result<UpstreamPermit, Error> {
        let call = CallContext::of(request);
        let params = UpstreamParams { project, access_key: "", region, token_grant: None };
        let (permit, _) = self.authorizer.authorize(&Record::new(call, rpc, ""), &params).await?;
        Ok(permit)
    }
}

/// For requests that say nothing else.
#[expect(clippy::unnecessary_wraps, reason = "other requests can have violations")]
pub(super) fn nothing_more<M>(_: &M, _: &mut Violations) -> Option<()> {
    Some(())
}

/// The idempotency key of a creating request: its `request_id`, and a digest of all else that it says.
pub(super) fn digest_of(request_id: String, rest: &impl Message) -> Option<(String, Arguments)> {
    (!request_id.is_empty()).then(|| (request_id, Sha256::digest(rest.encode_to_vec()).into()))
}
