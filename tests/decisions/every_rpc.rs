//! A valid request for each RPC.

use inkpass::{
    client::Client,
    methods::Rpc,
    proto::{
        AddScenesRequest, BatchIssueTokensRequest, CancelConversionRequest, CaptureSceneDirRequest,
        CaptureSceneRequest, CreateRoomRequest, DisableRoomRequest, DynamicFormat, EnableRoomRequest,
        GetConversionRequest, GetRoomRequest, ListPendingConversionsRequest, ListRoomsRequest,
        ListScenesRequest, NewScene, PrioritizeConversionRequest, Priority, Role, StartConversionRequest,
        SwitchSceneRequest, VerifyTokenRequest, WatchConversionRequest,
        start_conversion_request::Format::DynamicFormat as Dynamic,
    },
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{TestService, room, sdk};
use crate::helpers::assert_refused;

/// Where a request goes, and its texts, which may be anything that is not refused as invalid.
#[derive(Clone, Copy, Default)]
pub(super) struct Texts<'a> {
    pub(super) project: &'a str,
    pub(super) access_key: &'a str,
    /// The room's or conversion's.
    pub(super) uuid: &'a str,
}

pub(super) async fn call(client: &Client, rpc: Rpc, texts: Texts<'_>) -> Result<(), Status> {
    let [project, access_key, uuid] = [texts.project, texts.access_key, texts.uuid].map(str::to_owned);
    let (room_uuid, path) = (uuid.clone(), "/deck/one".to_owned());
    macro_rules! send {
        ($service:ident.$method:ident($request:ident { $($field:ident $(: $value:expr)?),* })) => {{
            let request = $request { $($field $(: $value)?,)* ..Default::default() };
            client.$service().$method(request).await.map(|_| ())
        }};
    }
    match rpc {
        Rpc::IssueToken => {
            let request = inkpass::proto::IssueTokenRequest { project, ..sdk() };
            client.tokens().issue_token(request).await.map(|_| ())
        }
        Rpc::BatchIssueTokens => {
            let request = inkpass::proto::IssueTokenRequest { project, ..room(&uuid, Role::Reader) };
            client
                .tokens()
                .batch_issue_tokens(BatchIssueTokensRequest { requests: vec![request] })
                .await
                .map(|_| ())
        }
        Rpc::VerifyToken => {
            send!(tokens.verify_token(VerifyTokenRequest { project, token: "NETLESSSDK_x".into() }))
        }
        Rpc::CreateRoom => send!(rooms.create_room(CreateRoomRequest { project })),
        Rpc::GetRoom => send!(rooms.get_room(GetRoomRequest { project, access_key, uuid })),
        Rpc::ListRooms => send!(rooms.list_rooms(ListRoomsRequest { project })),
        Rpc::DisableRoom => send!(rooms.disable_room(DisableRoomRequest { project, access_key, uuid })),
        Rpc::EnableRoom => send!(rooms.enable_room(EnableRoomRequest { project, access_key, uuid })),
        Rpc::ListScenes => send!(scenes.list_scenes(ListScenesRequest { project, access_key, room_uuid })),
        Rpc::AddScenes => {
            let scenes = vec![NewScene { name: "one".into(), background: None }];
            let scene_dir = "/deck".to_owned();
            send!(scenes.add_scenes(AddScenesRequest { project, access_key, room_uuid, scene_dir, scenes }))
        }
        Rpc::SwitchScene => send!(scenes.switch_scene(SwitchSceneRequest {
            project,
            access_key,
            room_uuid,
            scene_path: path
        })),
        Rpc::CaptureScene => send!(scenes.capture_scene(CaptureSceneRequest {
            project,
            access_key,
            room_uuid,
            scene_path: path,
            width_px: 10,
            height_px: 10
        })),
        Rpc::CaptureSceneDir => send!(scenes.capture_scene_dir(CaptureSceneDirRequest {
            project,
            access_key,
            room_uuid,
            scene_dir: path,
            width_px: 10,
            height_px: 10
        })),
        Rpc::StartConversion => send!(conversions.start_conversion(StartConversionRequest {
            project,
            resource: "https://example.com/slides.pptx".into(),
            format: Some(Dynamic(DynamicFormat::default()))
        })),
        Rpc::GetConversion => {
            send!(conversions.get_conversion(GetConversionRequest { project, access_key, uuid }))
        }
        Rpc::WatchConversion => {
            send!(conversions.watch_conversion(WatchConversionRequest { project, access_key, uuid }))
        }
        Rpc::ListPendingConversions => {
            send!(conversions.list_pending_conversions(ListPendingConversionsRequest { project }))
        }
        Rpc::CancelConversion => {
            send!(conversions.cancel_conversion(CancelConversionRequest { project, access_key, uuid }))
        }
        Rpc::PrioritizeConversion => send!(conversions.prioritize_conversion(PrioritizeConversionRequest {
            project,
            access_key,
            uuid,
            priority: Priority::Highest.into()
        })),
    }
}

/// Everything but one RPC, for a caller that is named after it.
fn grant_of_all_but(rpc: Rpc) -> String {
    let others = Rpc::ALL.into_iter().filter(|other| *other != rpc);
    let others: Vec<_> = others.map(|other| format!("{:?}", other.name())).collect();
    let kinds = ["sdk", "room", "task"];
    let tokens = kinds.map(|kind| format!("{{ kind = '{kind}', strongest_role = 'admin' }}"));
    format!(
        "[[grants]]\nname = 'but-{rpc:?}'\nprincipals = ['{}']\nrpcs = [{}]\nprojects = ['default']\n\
         regions = ['us-sv']\ntokens = [{}]\n",
        all_but(rpc),
        others.join(", "),
        tokens.join(", ")
    )
}

fn all_but(rpc: Rpc) -> String {
    format!("key:all-but-{rpc:?}")
}

#[tokio::test]
async fn every_rpc_needs_a_grant_of_its_own_and_nothing_is_sent_without_one() {
    let policy: String = Rpc::ALL.into_iter().map(grant_of_all_but).collect();
    let callers: Vec<_> = Rpc::ALL.into_iter().map(all_but).chain(["key:ungranted".to_owned()]).collect();
    let callers: Vec<_> = callers.iter().map(String::as_str).collect();
    let service = TestService::with(&policy, &callers, None).await;
    let ungranted = service.client("key:ungranted").await;
    let texts = Texts { uuid: "r1", ..Texts::default() };
    let mut clients = Vec::new();
    for rpc in Rpc::ALL {
        let client = service.client(&all_but(rpc)).await;
        let refused = call(&client, rpc, texts).await.unwrap_err();
        assert_refused(&refused, Code::PermissionDenied, "POLICY_DENIED", &[]);
        assert_eq!(refused.get_error_details().error_info().unwrap().metadata["missing"], "rpc");
        // Without a grant a caller cannot tell an existing project from a missing one.
        for (client, project) in
            [(&ungranted, "default"), (&ungranted, "nobody"), (&client, "other"), (&client, "nobody")]
        {
            let refused = call(client, rpc, Texts { project, ..texts }).await.unwrap_err();
            assert_refused(&refused, Code::PermissionDenied, "PROJECT_UNKNOWN", &[]);
        }
        clients.push(client);
    }
    assert_eq!(service.sent().await, 0);

    // With the grant each of these very requests gets past the policy.
    for (index, rpc) in Rpc::ALL.into_iter().enumerate() {
        let other = &clients[(index + 1) % clients.len()];
        if let Err(status) = call(other, rpc, texts).await {
            assert_eq!(status.code(), Code::NotFound, "{rpc:?}: {status:?}");
        }
    }
    let upstream = Rpc::ALL.into_iter().filter(|rpc| rpc.goes_upstream()).count();
    assert!(service.sent().await >= upstream - 2, "reads at once share a call");
}
