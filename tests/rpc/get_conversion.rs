//! `ConversionService.GetConversion`.

use std::time::Duration;

use inkpass::proto::{
    Conversion,
    ConversionStatus::{self, Converting, Finished, Waiting},
    GetConversionRequest,
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::alike::{Call, Target, assert_sent};
use crate::helpers::{World, assert_refused, log::Log, scripted::Scripted};

async fn get(world: &World, target: Target) -> Result<Conversion, Status> {
    let Target { project, access_key, region, uuid } = target;
    let request = GetConversionRequest { project, access_key, region, uuid, ..Default::default() };
    world
        .client
        .conversions()
        .get_conversion(request)
        .await
        .map(|answer| answer.into_inner().conversion.unwrap())
}

fn of(uuid: &str) -> Target {
    Target { uuid: uuid.to_owned(), ..Target::default() }
}

#[tokio::test]
async fn a_conversion_is_read_from_waiting_to_finished_with_a_task_reader_s_token() {
    let world = World::start().await;
    let uuid = world.conversion("https://example.com/a.pptx").await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        let conversion = get(&world, of(&uuid)).await.unwrap();
        seen.push((conversion.status(), conversion.converted_percentage));
        world.clock.advance(Duration::from_secs(1));
    }
    let expected =
        [(Waiting, 0), (Converting, 0), (Converting, 33), (Converting, 66), (Finished, 100), (Finished, 100)];
    assert_eq!(seen, expected);
    assert_sent(&world, "GET", &format!("/v5/projector/tasks/{uuid}"), "us-sv", ("task", "reader")).await;
    let finished = get(&world, of(&uuid)).await.unwrap();
    assert!(finished.page_count > 0 && finished.prefix.contains("://") && finished.failure.is_none());
}

#[tokio::test]
async fn pixels_that_a_scale_made_fractions_are_rounded_and_nonsense_is_not_believed() {
    let task = |width: &str| {
        format!(
            r#"{{"uuid":"t1","type":"static","status":"Finished","pageCount":1.0,
                "images":{{"1":{{"url":"u","width":{width},"height":null}}}}}}"#
        )
    };
    let world = Scripted::new(200, task("863.5")).start().await;
    let conversion = get(&world, of("t1")).await.unwrap();
    assert_eq!(
        (conversion.images[0].width_px, conversion.images[0].height_px, conversion.page_count),
        (864, 0, 1)
    );
    for (width, expected) in [("-1", 0), ("1e10", 0), ("\"8\"", 8), ("[]", 0)] {
        let world = Scripted::new(200, task(width)).start().await;
        assert_eq!(get(&world, of("t1")).await.unwrap().images[0].width_px, expected, "{width}");
    }
    let world = Scripted::new(200, task("1")).start().await;
    let refused = get(&world, of("t2")).await.unwrap_err();
    assert_refused(&refused, Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);
}

#[tokio::test]
async fn a_failure_says_what_it_means_and_what_to_do() {
    let world = World::start().await;
    for (resource, code, message) in [
        ("https://example.com/fail-2060402.pptx", "2060402", "fonts are missing"),
        ("https://example.com/a.pdf", "2010202", "a dynamic conversion takes PPTX only"),
        ("https://example.com/fail-9999999.pptx", "9999999", "the vendor gives no reason that is documented"),
    ] {
        let uuid = world.conversion(resource).await;
        world.clock.advance(Duration::from_mins(1));
        let conversion = get(&world, of(&uuid)).await.unwrap();
        assert_eq!(conversion.status(), ConversionStatus::Failed, "{conversion:?}");
        let failure = conversion.failure.unwrap();
        assert_eq!((&*failure.code, &*failure.message), (code, message));
        assert!(!failure.advice.is_empty());
    }
}

#[tokio::test]
async fn pages_are_in_order_and_what_is_new_is_kept() {
    let page = |number: u32| json!({ "url": format!("https://e/{number}"), "width": number, "height": 7 });
    let body = json!({
        "uuid": "t1", "type": "static", "status": "Polishing", "convertedPercentage": 50, "note": null,
        "images": { "10": page(10), "2": page(2), "1": page(1) }, "previews": { "10": "https://p/10", "2": "https://p/2" },
        "something": { "new": true },
    });
    let upstream = Scripted::new(200, body.to_string());
    let world = upstream.start().await;
    let conversion = get(&world, of("t1")).await.unwrap();
    assert_eq!((conversion.status(), &*conversion.upstream_status), (ConversionStatus::Unknown, "Polishing"));
    let pages: Vec<_> = conversion.images.iter().map(|page| (page.page, &*page.url, page.width_px)).collect();
    assert_eq!(pages, [(1, "https://e/1", 1), (2, "https://e/2", 2), (10, "https://e/10", 10)]);
    let previews: Vec<_> = conversion.previews.iter().map(|page| (page.page, &*page.url)).collect();
    assert_eq!(previews, [(2, "https://p/2"), (10, "https://p/10")]);

    for (status, expected) in [("Abort", ConversionStatus::Cancelled), ("Fail", ConversionStatus::Failed)] {
        let body = json!({ "uuid": "t1", "type": "dynamic", "status": status, "errorCode": 2_010_201 });
        *upstream.body.lock().unwrap() = body.to_string().into();
        let conversion = get(&world, of("t1")).await.unwrap();
        assert_eq!(conversion.status(), expected);
        assert_eq!(conversion.failure.is_some(), status == "Fail");
    }
    // What can be read is told, whatever cannot.
    for (odd, status) in [
        (json!({ "uuid": "t1" }), ConversionStatus::Unknown),
        (json!({ "uuid": "t1", "type": 7, "status": 1 }), ConversionStatus::Unknown),
        (json!({ "uuid": "t1", "status": "Finished", "images": { "one": page(1) } }), Finished),
        (json!({ "uuid": "t1", "status": "Finished", "previews": [] }), Finished),
        (json!({ "uuid": "t1", "status": "Fail", "errorCode": "<script>" }), ConversionStatus::Failed),
        (json!({ "uuid": "t1", "status": "Fail", "errorCode": { "a": 1 } }), ConversionStatus::Failed),
    ] {
        *upstream.body.lock().unwrap() = odd.to_string().into();
        let conversion = get(&world, of("t1")).await.unwrap();
        assert_eq!(conversion.status(), status, "{odd}");
        assert!(conversion.failure.is_none_or(|failure| !failure.code.contains('<')), "{odd}");
    }
    for broken in [json!({ "status": "Waiting" }), json!({ "uuid": "", "status": "Waiting" }), json!([])] {
        *upstream.body.lock().unwrap() = broken.to_string().into();
        let refused = get(&world, of("t1")).await.unwrap_err();
        assert_refused(&refused, Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);
    }
}

#[tokio::test]
async fn a_part_that_cannot_be_read_is_named_and_takes_no_other_with_it() {
    let body = json!({
        "uuid": "t1", "status": "Finished", "resources": ["https://r/1", null, {}, "https://r/2"],
        "images": { "1": null, "2": 5, "x": { "url": "u" }, "3": { "url": "https://e/3", "width": [] } },
    });
    let world = Scripted::new(200, body.to_string()).start().await;
    let log = Log::start();
    let conversion = get(&world, of("t1")).await.unwrap();
    assert_eq!(conversion.resources, ["https://r/1", "https://r/2"]);
    let pages: Vec<_> = conversion.images.iter().map(|page| (page.page, &*page.url)).collect();
    assert_eq!(pages, [(3, "https://e/3")]);
    let named = r#"fields="images (3 times), resources (2 times), width""#;
    assert_eq!(log.count(named), 1, "{}", log.text());
}

#[tokio::test]
async fn an_error_code_in_an_answer_of_success_means_the_same_as_in_one_of_failure() {
    for status in [200, 404] {
        let world = Scripted::new(status, r#"{"code":2010605,"message":"task not found"}"#).start().await;
        let refused = get(&world, of("t1")).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "CONVERSION_NOT_FOUND", &[]);
    }
}

#[tokio::test]
async fn a_failure_s_code_is_told_as_it_was_received_up_to_32_characters() {
    for (code, expected) in
        [("conv-7.1_x", "conv-7.1_x"), ("2010201", "2010201"), (&*"9".repeat(99), &*"9".repeat(32))]
    {
        let body = json!({ "uuid": "t1", "status": "Fail", "errorCode": code });
        let world = Scripted::new(200, body.to_string()).start().await;
        assert_eq!(get(&world, of("t1")).await.unwrap().failure.unwrap().code, expected);
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let world = World::start().await;
    let uuid = world.conversion("https://example.com/a.pptx").await;
    let call =
        Call { world: &world, uuid: &uuid, field: "uuid", missing: "CONVERSION_NOT_FOUND", is_post: false };
    call.refuses_alike(async |target| get(&world, target).await.map(|_| ())).await;
    world.clock.advance(Duration::from_hours(7 * 24 + 1));
    let refused = get(&world, of(&uuid)).await.unwrap_err();
    assert_refused(&refused, Code::NotFound, "CONVERSION_NOT_FOUND", &[]);
    world.upstream.put("features", json!({ "region": "us-sv", "conversion": false })).await;
    let refused = get(&world, of(&uuid)).await.unwrap_err();
    assert_refused(&refused, Code::FailedPrecondition, "UPSTREAM_FEATURE_DISABLED", &[]);
}

#[tokio::test]
async fn the_vendor_s_sdks_get_the_task_as_the_vendor_writes_it_if_it_is_asked_for() {
    let as_json = async |world: &World| {
        let request =
            GetConversionRequest { uuid: "t1".into(), include_vendor_json: true, ..Default::default() };
        let answer = world.client.conversions().get_conversion(request).await.unwrap();
        serde_json::from_str::<Value>(&answer.into_inner().conversion.unwrap().vendor_json).unwrap()
    };
    let page = |number: u32| json!({ "width": number, "height": 7, "url": format!("https://e/{number}") });
    let still = json!({
        "uuid": "t1", "type": "static", "status": "Finished", "convertedPercentage": 100, "prefix": "https://e", "pageCount": 2,
        "images": { "1": page(1), "10": page(10) },
    });
    let moving = json!({
        "uuid": "t1", "type": "dynamic", "status": "Finished", "convertedPercentage": 100, "prefix": "https://e",
        "pageCount": 1, "previews": { "1": "https://p/1" }, "note": "https://n", "zip": "https://z", "resources": ["https://r"],
    });
    let waiting = json!({ "uuid": "t1", "type": "dynamic", "status": "Waiting" });
    let begun = json!({ "uuid": "t1", "type": "dynamic", "status": "Converting", "convertedPercentage": 0 });
    let upstream = Scripted::new(200, "");
    let world = upstream.start().await;
    for task in [still, moving, waiting, begun] {
        *upstream.body.lock().unwrap() = task.to_string().into();
        assert_eq!(as_json(&world).await, task);
    }
    // The prose of a failure is our own.
    let failed = json!({ "uuid": "t1", "type": "dynamic", "status": "Fail", "errorCode": 2_060_402, "errorMessage": "host-7" });
    *upstream.body.lock().unwrap() = failed.to_string().into();
    let expected = json!({ "uuid": "t1", "type": "dynamic", "status": "Fail", "errorCode": "2060402", "errorMessage": "fonts are missing" });
    assert_eq!(as_json(&world).await, expected);
    assert_eq!(get(&world, of("t1")).await.unwrap().vendor_json, "", "nobody asked for it");
}
