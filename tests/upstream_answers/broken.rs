//! Answers that break off, after each call that changes something: row 26 of the fault cases.

use super::{all_rows, reason};
use crate::upstream::{
    peer::{Answer, Peer},
    world,
};

const HALF_A_HEAD: Answer = Answer::Text(b"HTTP/1.1 201 Created\r\ncontent-le");
const NO_BODY: Answer = Answer::Text(b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n");
const HALF_A_BODY: Answer =
    Answer::Text(b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{\"uuid\":\"r1\",\"teamUUID\":");
const NO_LAST_CHUNK: Answer =
    Answer::Text(b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n");
const NO_GATEWAY: Answer =
    Answer::Text(b"HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
const TOO_LATE: Answer =
    Answer::Text(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");

#[tokio::test]
async fn what_changes_something_is_sent_once_however_its_answer_breaks_off() {
    let answers = [
        Answer::Close,
        Answer::Reset,
        HALF_A_HEAD,
        NO_BODY,
        HALF_A_BODY,
        NO_LAST_CHUNK,
        NO_GATEWAY,
        TOO_LATE,
    ];
    for answer in answers {
        let peer = Peer::start(answer).await;
        let world = world(peer.address, |settings| settings).await;
        // Fewer than open the circuit.
        for row in all_rows().into_iter().filter(|row| row.method != "GET") {
            let sent = peer.requests();
            let what = format!("{} {}: {answer:?}", row.method, row.path);
            let refused = (row.send)(world.client.clone(), "r1".to_owned()).await.expect_err(&what);
            let is_post = row.method == "POST";
            let expected = if is_post { "UPSTREAM_OUTCOME_UNKNOWN" } else { "UPSTREAM_UNREACHABLE" };
            assert_eq!(reason(&refused), expected, "{what}");
            assert_eq!(refused.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1", "{what}");
            assert_eq!(peer.requests(), sent + 1, "{what}");
        }
    }
}
