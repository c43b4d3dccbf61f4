//! One file an RPC.

mod create_room;
mod issue_token;
mod start_conversion;
mod verify_token;
