//! `ConversionService.StartConversion`.

use inkpass::{
    emulator,
    proto::{
        ConversionStatus, ConversionType, DynamicFormat, OutputFormat, Region, Role, StartConversionRequest,
        StartConversionResponse, StaticFormat, TokenGrant, TokenKind, start_conversion_request::Format,
    },
    token::Presented,
};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::alike::{Call, url_of};
use crate::helpers::{Setup, World, assert_refused, key, scripted::Scripted};

fn request(format: Format) -> StartConversionRequest {
    let resource = "https://example.com/a%20b.pptx?sig=a+b".into();
    StartConversionRequest { resource, format: Some(format), ..Default::default() }
}

fn dynamic() -> Format {
    Format::DynamicFormat(DynamicFormat::default())
}

async fn start(world: &World, request: StartConversionRequest) -> Result<StartConversionResponse, Status> {
    world.client.conversions().start_conversion(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_conversion_is_started_with_an_sdk_writer_token_and_only_what_was_said() {
    let world = World::start().await;
    let answer = start(&world, request(dynamic())).await.unwrap();
    let conversion = answer.conversion.unwrap();
    assert!(!conversion.uuid.is_empty());
    assert_eq!(
        (conversion.r#type(), conversion.status()),
        (ConversionType::Dynamic, ConversionStatus::Waiting)
    );
    assert_eq!((&*conversion.upstream_status, &*conversion.access_key), ("Waiting", "active-key"));
    assert!(answer.token.is_none());

    let full = StartConversionRequest {
        region: Region::Sg.into(),
        webhook_endpoint: "https://example.com/hook".into(),
        webhook_retry: Some(0),
        ..request(Format::StaticFormat(StaticFormat {
            scale: Some(0.1),
            output_format: OutputFormat::Jpeg.into(),
        }))
    };
    start(&world, full).await.unwrap();
    let spa = DynamicFormat { image_compression_level: Some(4), build_spa: Some(false) };
    start(&world, StartConversionRequest { preview: true, ..request(Format::DynamicFormat(spa)) })
        .await
        .unwrap();

    let sent = world.upstream.requests().await;
    let resource = "https://example.com/a%20b.pptx?sig=a+b";
    assert_eq!(sent[0]["body"], json!({ "resource": resource, "type": "dynamic", "preview": false }));
    assert_eq!(
        sent[1]["body"],
        json!({ "resource": resource, "type": "static", "scale": 0.1, "outputFormat": "jpeg",
                "webhookEndpoint": "https://example.com/hook", "webhookRetry": 0 })
    );
    assert_eq!(
        sent[2]["body"],
        json!({ "resource": resource, "type": "dynamic", "preview": true, "imageCompressionLevel": 4, "buildSpa": false })
    );
    for (call, region) in sent.iter().zip(["us-sv", "sg", "us-sv"]) {
        assert_eq!((&call["method"], &call["path"]), (&json!("POST"), &json!("/v5/projector/tasks")));
        assert_eq!(call["region"], region);
        assert_eq!((&call["token_kind"], &call["token_role"]), (&json!("sdk"), &json!("writer")));
    }
}

#[tokio::test]
async fn a_granted_token_opens_the_new_conversion() {
    let world = World::start().await;
    let grant = TokenGrant { role: Role::Reader.into(), validity: None };
    let answer = start(&world, StartConversionRequest { token_grant: Some(grant), ..request(dynamic()) })
        .await
        .unwrap();
    let token = answer.token.unwrap();
    assert_eq!((token.kind(), token.role()), (TokenKind::Task, Role::Reader));
    assert_eq!(token.uuid, answer.conversion.unwrap().uuid);
    assert!(Presented::parse(&token.value).unwrap().is_signed_by(&key("active-key")));
}

#[tokio::test]
async fn what_an_answer_says_oddly_is_taken_from_the_request_and_its_status_is_told_as_received() {
    for (body, upstream_status) in [
        (json!({ "uuid": "t1", "type": 5, "status": "Queued" }), "Queued"),
        (json!({ "uuid": "t1", "type": "other" }), "Waiting"),
        (json!({ "uuid": "t1", "status": {} }), "Waiting"),
    ] {
        let world = Scripted::new(201, body.to_string()).start().await;
        let conversion = start(&world, request(dynamic())).await.unwrap().conversion.unwrap();
        assert_eq!(conversion.r#type(), ConversionType::Dynamic, "{body}");
        assert_eq!(conversion.status(), ConversionStatus::Waiting, "{body}");
        assert_eq!(conversion.upstream_status, upstream_status, "{body}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_whole_and_not_sent() {
    let world = World::start().await;
    let wrong = StartConversionRequest {
        region: -1,
        resource: "ftp://example.com/a.pptx".into(),
        webhook_endpoint: "hook".into(),
        webhook_retry: Some(11),
        request_id: "1".into(),
        ..Default::default()
    };
    let fields = ["region", "resource", "format", "webhook_endpoint", "webhook_retry", "request_id"];
    let status = start(&world, wrong).await.unwrap_err();
    assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &fields);

    for scale in [0.09, 3.01, -1.0, f64::NAN, f64::INFINITY] {
        let format = Format::StaticFormat(StaticFormat { scale: Some(scale), output_format: 9 });
        let status =
            start(&world, StartConversionRequest { preview: true, ..request(format) }).await.unwrap_err();
        let fields = ["preview", "static_format.scale", "static_format.output_format"];
        assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &fields);
    }
    for level in [-1, 5] {
        let format = DynamicFormat { image_compression_level: Some(level), build_spa: None };
        let status = start(&world, request(Format::DynamicFormat(format))).await.unwrap_err();
        let fields = ["dynamic_format.image_compression_level"];
        assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &fields);
    }
    for resource in [
        "",
        "/a.pptx",
        "https://",
        "javascript:alert(1)",
        "file:///etc/passwd",
        " https://a",
        "https://a\n/b",
        "https://a/\0",
        "http:a",
        "https:\\\\a",
    ] {
        let request = StartConversionRequest { resource: resource.into(), ..request(dynamic()) };
        let status = start(&world, request).await.unwrap_err();
        assert_refused(&status, Code::InvalidArgument, "INVALID_REQUEST", &["resource"]);
    }
    assert!(world.upstream.requests().await.is_empty());
}

#[tokio::test]
async fn a_url_of_2048_bytes_is_taken_and_a_longer_one_refused() {
    let world = World::start().await;
    let (longest, too_long) = (url_of(2048), url_of(2049));
    let with_urls = |resource: &str, webhook_endpoint: &str| StartConversionRequest {
        resource: resource.to_owned(),
        webhook_endpoint: webhook_endpoint.to_owned(),
        ..request(dynamic())
    };
    start(&world, with_urls(&longest, &longest)).await.unwrap();
    assert_eq!(world.upstream.last().await["body"]["resource"], *longest);
    for (urls, field) in [((&too_long, &longest), "resource"), ((&longest, &too_long), "webhook_endpoint")] {
        let refused = start(&world, with_urls(urls.0, urls.1)).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, "INVALID_REQUEST", &[field]);
    }
}

#[tokio::test]
async fn a_scale_at_its_limits_is_taken() {
    let world = World::start().await;
    for scale in [0.1, 1.2, 3.0] {
        let format = Format::StaticFormat(StaticFormat { scale: Some(scale), output_format: 0 });
        start(&world, request(format)).await.unwrap();
    }
}

#[tokio::test]
async fn each_failure_of_the_upstream_has_its_reason_and_a_post_is_sent_once() {
    let world = World::start().await;
    let call = Call { world: &world, uuid: "", field: "", missing: "", is_post: true };
    call.refuses_failures(&async |_| start(&world, request(dynamic())).await.map(drop)).await;
}

#[tokio::test]
async fn a_full_queue_is_one_region_s_and_says_to_wait() {
    let emulator = emulator::Settings { queue_limit: 1, ..emulator::Settings::default() };
    let world = Setup { emulator, ..Setup::default() }.start().await;
    start(&world, request(dynamic())).await.unwrap();
    let refused = start(&world, request(dynamic())).await.unwrap_err();
    assert_refused(&refused, Code::ResourceExhausted, "UPSTREAM_QUEUE_FULL", &[]);
    assert!(refused.get_error_details().retry_info().is_some());
    let elsewhere = StartConversionRequest { region: Region::Eu.into(), ..request(dynamic()) };
    start(&world, elsewhere).await.unwrap();
}
