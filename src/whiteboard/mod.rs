//! The client of the whiteboard's REST API.
//!
//! Every call names a region and carries the weakest token that suffices, made for that call and
//! valid for one minute. A POST of which a byte was sent is never sent again: the upstream has no idempotency
//! keys. The upstream's text never leaves this module.
//!
//! Source: the vendor's "Interactive Whiteboard REST API".

mod access;
mod answer;
mod attempt;
mod authority;
mod breaker;
mod call;
mod circuit;
mod client;
mod conversions;
mod error;
mod error_body;
mod failures;
mod fault;
mod fields;
mod gate;
mod hosts;
mod lenient;
mod pacing;
mod rooms;
mod scenes;
mod settings;
mod single_flight;
mod transport;
mod unread;

pub use self::{
    access::{Access, PathUuid},
    circuit::Circuit,
    client::Whiteboard,
    conversions::{
        Conversion, Format, NewConversion, OutputFormat, Page, PendingConversion, Priority, Status,
    },
    error::{Effect, Error},
    rooms::{Room, RoomList},
    scenes::{Background, NewScene, Screenshot},
    settings::Settings,
};
