//! Any call of the contract, with any content.

use std::{fmt::Write, time::Duration};

use bytes::{Buf, BufMut, Bytes};
use inkpass::client::Client;
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, ReflectMessage, Value,
};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::helpers::canary::CANARY;

/// Every message as it is on the wire.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(bytes.copy_to_bytes(bytes.remaining())))
    }
}

/// What a request is filled with.
#[derive(Clone, Copy)]
pub(super) enum Filling<'a> {
    Nothing,
    /// What may well succeed, for this room or task.
    Good(&'a str),
    Hostile,
}

fn fill(message: &mut DynamicMessage, filling: Filling<'_>) {
    for field in message.descriptor().fields() {
        if let Some(value) = value(&field, filling) {
            let value = if field.is_list() { Value::List(vec![value]) } else { value };
            message.set_field(&field, value);
        }
    }
}

fn value(field: &FieldDescriptor, filling: Filling<'_>) -> Option<Value> {
    let is_hostile = matches!(filling, Filling::Hostile);
    Some(match (field.kind(), filling) {
        (_, Filling::Nothing) => return None,
        // The last of a oneof counts, and a lifetime has no parts of a second.
        (_, Filling::Good(_)) if ["permanent", "nanos"].contains(&field.name()) => return None,
        (Kind::String, Filling::Hostile) => Value::String("x\r\n\u{1b}[2J\u{2028}{\"a\":1}".repeat(20)),
        (Kind::String, Filling::Good(uuid)) => Value::String(match field.name() {
            "project" | "access_key" | "page_token" | "webhook_endpoint" => return None,
            "resource" | "src" => "https://example.com/slides.pptx".to_owned(),
            "scene_dir" | "scene_path" => "/init".to_owned(),
            "name" => "a-scene".to_owned(),
            "request_id" => "6fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11".to_owned(),
            _ => uuid.to_owned(),
        }),
        (Kind::Enum(_), _) => Value::EnumNumber(if is_hostile { 99 } else { 1 }),
        (Kind::Int32, _) => Value::I32(if is_hostile { i32::MIN } else { 1 }),
        (Kind::Int64, _) => Value::I64(if is_hostile { i64::MIN } else { 60 }),
        (Kind::Double, _) => Value::F64(if is_hostile { f64::NAN } else { 1.0 }),
        (Kind::Bool, _) => Value::Bool(!is_hostile),
        (Kind::Message(message), _) => {
            let mut inner = DynamicMessage::new(message);
            fill(&mut inner, filling);
            Value::Message(inner)
        }
        _ => return None,
    })
}

/// Every RPC.
pub(super) fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(inkpass::proto::DESCRIPTORS).unwrap();
    pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// What a caller was told.
pub(super) async fn call(client: &Client, method: &MethodDescriptor, filling: Filling<'_>) -> String {
    let mut request = DynamicMessage::new(method.input());
    fill(&mut request, filling);
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let mut grpc = Grpc::new(client.channel());
    grpc.ready().await.unwrap();
    let mut request = Request::new(request.encode_to_vec());
    request.set_timeout(Duration::from_secs(5));
    // What a caller sends beside the message is no more for a log than the message is.
    for name in ["authorization", "x-api-key", "x-note"] {
        request.metadata_mut().insert(name, CANARY.parse().unwrap());
    }
    let mut told = String::new();
    match grpc.server_streaming(request, path.parse().unwrap(), Raw).await {
        Err(status) => write!(told, "{status:?}").unwrap(),
        Ok(answer) => {
            let mut messages = answer.into_inner();
            loop {
                match messages.message().await {
                    Ok(None) => break,
                    // As text too: what is in a message may be found in neither form alone.
                    Ok(Some(bytes)) => writeln!(told, "{}", String::from_utf8_lossy(&bytes)).unwrap(),
                    Err(status) => {
                        writeln!(told, "{status:?}").unwrap();
                        break;
                    }
                }
            }
        }
    }
    told
}
