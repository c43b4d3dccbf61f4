//! The emulator's own answers with one thing changed at a time, through the whole service: no uuid is lost, and only
//! what is indispensable is missed.

mod calls;
mod mutations;

use inkpass::token::Role;
use serde_json::{Value, json};
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

#[tokio::test]
async fn no_change_of_an_answer_loses_what_stands_in_it() {
    let rows =
        calls::rooms().into_iter().chain(calls::scenes()).chain(calls::conversions()).collect::<Vec<_>>();
    assert_eq!(rows.len(), 16, "fourteen REST calls, and one of them on three conversions");
    let upstream = Scripted::new(201, "");
    let world = upstream.start().await;
    for (row, uuid, answer) in answers(rows).await {
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
                    let details = refused.get_error_details();
                    let reason = details.error_info().map_or("none", |info| &info.reason);
                    let all_is_lost = stay.is_empty() && !kept.is_empty();
                    assert!(row.may_refuse(&changed, all_is_lost, reason), "{what}: {reason}");
                }
            }
        }
    }
}
