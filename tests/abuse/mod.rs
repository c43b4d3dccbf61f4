//! What a hostile or broken caller can do, over real sockets: the others do not notice it. The numbers are those of
//! docs/reliability.md.

mod connections;
mod deadlines;
mod http2;
mod limits;
mod memory;
mod network;
mod processes;
mod request_ids;
mod shares;
