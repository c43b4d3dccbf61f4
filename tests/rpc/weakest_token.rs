//! The weakest token that suffices goes with each call: the emulator takes it, and refuses the next
//! weaker one, and one of another room or task.

use inkpass::{
    clock::UnixMillis,
    token::{Claims, Nonce, Role, Scope, Uuid},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::helpers::{NOW, World, key};

/// What a token opens, and its role.
type Holder<'a> = (Scope<'a>, Role);

fn token(scope: Scope<'_>, role: Role) -> String {
    let expire_at = UnixMillis::new(NOW + 60_000);
    key("active-key").sign(&Claims { scope, role, expire_at }, &Nonce::random([4; 16])).expose().to_owned()
}

#[tokio::test]
async fn each_call_of_the_upstream_is_refused_to_the_next_weaker_token() {
    let world = World::start().await;
    let (room, task) = (world.room().await, world.conversion("https://example.com/a.pptx").await);
    let to_cancel = world.conversion("https://example.com/a.pptx").await;
    let (r, t) = (format!("/v5/rooms/{room}"), format!("/v5/projector/tasks/{task}"));
    let uuid = |text| Uuid::new(text).unwrap();
    let (of_room, elsewhere) = (Scope::Room(uuid(&room)), Scope::Room(uuid("another-room")));
    let (of_task, another) = (Scope::Task(uuid(&task)), Scope::Task(uuid("another-task")));
    let sdk = Scope::Sdk;
    let convert = json!({ "resource": "https://example.com/a.pdf", "type": "static" });
    let picture = json!({ "width": 4, "height": 3 });
    let scenes = json!({ "path": "/a", "scenes": [{ "name": "1" }] });
    let (writer, reader) = (Role::Writer, Role::Reader);
    let calls: Vec<(Method, String, Value, Holder<'_>, Holder<'_>)> = vec![
        (Method::POST, "/v5/rooms".into(), json!({}), (sdk, writer), (sdk, reader)),
        (Method::GET, "/v5/rooms".into(), Value::Null, (sdk, writer), (sdk, reader)),
        (Method::GET, r.clone(), Value::Null, (of_room, writer), (of_room, reader)),
        (Method::PATCH, r.clone(), json!({ "isBan": false }), (of_room, Role::Admin), (of_room, writer)),
        (Method::GET, format!("{r}/scenes"), Value::Null, (of_room, writer), (of_room, reader)),
        (Method::POST, format!("{r}/scenes"), scenes, (of_room, writer), (of_room, reader)),
        (
            Method::PATCH,
            format!("{r}/scene-state"),
            json!({ "scenePath": "/init" }),
            (of_room, writer),
            (of_room, reader),
        ),
        (Method::POST, format!("{r}/screenshots"), picture.clone(), (of_room, writer), (of_room, reader)),
        (Method::POST, format!("{r}/screenshot-list"), picture, (of_room, writer), (of_room, reader)),
        (Method::POST, "/v5/projector/tasks".into(), convert, (sdk, writer), (sdk, reader)),
        (Method::GET, "/v5/projector/tasks".into(), Value::Null, (sdk, writer), (sdk, reader)),
        (Method::GET, t.clone(), Value::Null, (of_task, reader), (of_room, Role::Admin)),
        (
            Method::PUT,
            format!("{t}/priority"),
            json!({ "priority": "highest" }),
            (sdk, writer),
            (sdk, reader),
        ),
        (
            Method::DELETE,
            format!("/v5/projector/tasks/{to_cancel}"),
            Value::Null,
            (sdk, writer),
            (sdk, reader),
        ),
    ];
    let http = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    for (method, path, body, enough, weaker) in calls {
        let other = match enough.0 {
            Scope::Sdk => of_room,
            Scope::Room(_) => elsewhere,
            Scope::Task(_) => another,
        };
        for ((scope, role), is_enough) in [(weaker, false), ((other, Role::Admin), false), (enough, true)] {
            let answer = http
                .request(method.clone(), format!("{}{path}", world.upstream.base_url()))
                .header("region", "us-sv")
                .header("token", token(scope, role))
                .body(if body.is_null() { String::new() } else { body.to_string() })
                .send()
                .await
                .unwrap();
            let status = answer.status();
            assert_eq!(
                (status.is_success(), status == 403),
                (is_enough, !is_enough),
                "{method} {path} {status}"
            );
        }
    }
}
