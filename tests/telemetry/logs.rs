//! What the log says.

use super::{create_a_room, failures};
use crate::helpers::World;

#[tokio::test]
async fn a_failure_names_its_call_however_little_is_logged() {
    let world = World::on_the_system_s_clock().await;
    for level in ["warn", "info"] {
        let run = create_a_room(&world, &[], &format!("log_level = '{level}'")).await;
        let failures = failures(&run);
        assert_eq!(failures.len(), 2, "{}", run.stderr);
        for failure in failures {
            assert_eq!(failure["request_id"].as_str().map(str::len), Some(36), "{level}");
        }
    }
}
