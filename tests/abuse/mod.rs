//! What a hostile or broken caller can do, over real sockets: the others do not notice it. The numbers are those of
//! docs/reliability.md.

mod connections;
mod deadlines;
mod http2;
mod memory;
mod processes;
mod shares;
