//! One file an RPC, and what several of them do alike.

mod alike;

mod add_scenes;
mod batch_issue_tokens;
mod cancel_conversion;
mod capture_scene;
mod capture_scene_dir;
mod create_room;
mod disable_room;
mod enable_room;
mod get_conversion;
mod get_room;
mod issue_token;
mod list_pending_conversions;
mod list_rooms;
mod list_scenes;
mod prioritize_conversion;
mod start_conversion;
mod switch_scene;
mod verify_token;
mod watch_conversion;

mod access_keys;
mod pollers;
mod request_id;
mod shared_reads;
mod switched_off;
mod weakest_token;
