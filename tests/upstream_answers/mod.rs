//! The emulator's own answers with one thing changed at a time, through the whole service: no uuid is lost, and only
//! what is indispensable is missed.

mod broken;
mod calls;
mod damage;
mod mutations;

use inkpass::token::Role;
use serde_json::{Value, json};
use tonic::Status;
use tonic_types::StatusExt;

use self::{
    calls::{Kept, Row},
    mutations::{mutations, places},
};
use crate::{
    emulator::{Whiteboard, sdk},
    helpers::scripted::Scripted,
};

/// The emulator's own answer to each row, and what the row's call names.
async fn answers(rows: Vec<Row>) -> Vec<(Row, String, Value)> {
    let board = Whiteboard::start().await;
    let room = board.room().await;
    board.room().await;
    let order = json!({"resource": "https://files.example/a.pptx", "type": "dynamic", "preview": true});
    let images = |name: &str| json!({"resource": format!("https://files.example/{name}"), "type": "static"});
    let named = [
        ("{room}", room),
        ("{dynamic}", board.task(order.clone()).await),
        ("{converting}", board.task(order.clone()).await),
        ("{waiting}", board.task(order).await),
        ("{static}", board.task(images("a.pdf")).await),
        ("{failed}", board.task(images("a.exe")).await),
    ];
    board.advance(5_000);
    let mut answers = Vec::new();
    for row in rows {
        let of = named.iter().find(|(place, _)| row.path.contains(place));
        let (place, uuid) = of.map_or(("{}", ""), |(place, uuid)| (*place, uuid));
        let path = row.path.replace(place, uuid);
        let answer = board.call(row.method, &path, &sdk(Role::Admin), row.body.clone()).await.body;
        answers.push((row, uuid.to_owned(), answer));
    }
    answers
}

impl Row {
    /// Where the texts are that must not be lost.
    fn kept<'v>(&self, answer: &'v Value) -> Vec<(String, &'v str)> {
        let is_kept = |place: &str| match self.kept {
            Kept::Nothing => false,
            Kept::Field(name) => place.ends_with(&format!("/{name}")),
            Kept::Items => place.matches('/').count() == 1,
        };
        let texts = places(answer, "").into_iter().filter(|(place, _)| is_kept(place));
        texts.map(|(place, text)| (place, text.as_str().unwrap())).collect()
    }

    /// Whether an answer with a change there may be refused for this reason.
    fn may_refuse(&self, changed: &str, all_kept_is_lost: bool, reason: &str) -> bool {
        let is_post = self.method == "POST";
        let unusable = if is_post { "UPSTREAM_OUTCOME_UNKNOWN" } else { "UPSTREAM_UNEXPECTED_ANSWER" };
        let objects = |(field, objection)| changed.starts_with(field) && reason == objection;
        (reason == unusable && (changed.is_empty() || all_kept_is_lost))
            || self.objection.is_some_and(objects)
    }
}

fn all_rows() -> Vec<Row> {
    let rows = calls::rooms().into_iter().chain(calls::scenes()).chain(calls::conversions());
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows.len(), 16, "fourteen REST calls, and one of them on three conversions");
    rows
}

fn reason(refused: &Status) -> String {
    let details = refused.get_error_details();
    details.error_info().map_or("none".to_owned(), |info| info.reason.clone())
}

#[tokio::test]
async fn no_change_of_an_answer_loses_what_stands_in_it() {
    let upstream = Scripted::new(201, "");
    let world = upstream.start().await;
    for (row, uuid, answer) in answers(all_rows()).await {
        let kept = row.kept(&answer);
        assert_eq!(kept.is_empty(), row.kept == Kept::Nothing, "{answer}");
        for (changed, mutated) in mutations(&answer) {
            let what = format!("{} {} {changed}: {mutated}", row.method, row.path);
            *upstream.body.lock().unwrap() = mutated.to_string().into();
            let stays = |place: &str| place != changed && !place.starts_with(&format!("{changed}/"));
            let stay: Vec<_> = kept.iter().filter(|(place, _)| stays(place)).map(|(_, text)| *text).collect();
            match (row.send)(world.client.clone(), uuid.clone()).await {
                Ok(found) => {
                    for text in stay {
                        assert!(found.iter().any(|found| found == text), "{what}: {text} is lost");
                    }
                }
                Err(refused) => {
                    let reason = reason(&refused);
                    let all_is_lost = stay.is_empty() && !kept.is_empty();
                    assert!(row.may_refuse(&changed, all_is_lost, &reason), "{what}: {reason}");
                }
            }
        }
    }
}

#[tokio::test]
async fn no_damage_beside_it_loses_what_stands_in_an_answer() {
    let upstream = Scripted::new(201, "");
    let world = upstream.start().await;
    let send = async |row: &Row, uuid: &str, body: &[u8]| {
        *upstream.body.lock().unwrap() = body.to_vec().into();
        let what = format!("{} {}: {}", row.method, row.path, String::from_utf8_lossy(body));
        ((row.send)(world.client.clone(), uuid.to_owned()).await, what)
    };
    for (row, uuid, answer) in answers(all_rows()).await {
        let text = answer.to_string();
        let kept: Vec<_> = row.kept(&answer).into_iter().map(|(_, text)| text).collect();
        let field = if let Kept::Field(name) = row.kept { name } else { "aNewField" };
        for body in damage::beside(&text, field) {
            let (found, what) = send(&row, &uuid, &body).await;
            let found = found.unwrap_or_else(|refused| panic!("{what}: {refused:?}"));
            for text in &kept {
                assert!(found.iter().any(|found| found == text), "{what}: {text} is lost");
            }
        }
        for (at, body) in damage::bytes(&text) {
            let is_lost = kept.iter().any(|kept| damage::place_of(&text, field, kept).contains(&at));
            let (found, what) = send(&row, &uuid, &body).await;
            match found {
                Ok(found) => {
                    let all_found = kept.iter().all(|kept| found.iter().any(|found| found == kept));
                    assert!(is_lost || all_found, "{what}: {at} loses one of {kept:?}");
                }
                Err(refused) => {
                    let objects = row.objection.is_some_and(|(_, objection)| reason(&refused) == objection);
                    let may_refuse = row.may_refuse("", true, &reason(&refused));
                    let may_refuse = objects || ((is_lost || kept.is_empty()) && may_refuse);
                    assert!(may_refuse, "{what}: {at}: {refused:?}");
                }
            }
        }
        if let Some(body) = damage::with_a_code(&text) {
            // A uuid proves what was made or read, and of a change it says nothing.
            let is_proof = !kept.is_empty() && row.method != "PATCH";
            let (found, what) = send(&row, &uuid, &body).await;
            match found {
                Ok(found) => assert!(is_proof && kept == found, "{what}: {found:?}"),
                Err(refused) => {
                    assert!(!is_proof, "{what}: {refused:?}");
                    assert_eq!(reason(&refused), "UPSTREAM_FEATURE_DISABLED", "{what}");
                }
            }
        }
        let (found, what) = send(&row, &uuid, br#"{"code":2010606}"#).await;
        assert_eq!(reason(&found.unwrap_err()), "UPSTREAM_FEATURE_DISABLED", "{what}");
    }
}
