//! inkpass, tested from outside: real sockets, real HTTP, the emulator as upstream.

mod token;
