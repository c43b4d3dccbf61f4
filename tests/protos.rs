//! The .proto files, as far as their comments bind the code.

use std::fmt::Debug;

use inkpass::proto::{DESCRIPTORS, Token, VerifyTokenRequest};
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Value, prost::Message};

const CANARY: &str = "canary-of-the-secret";

/// Each field whose comment begins with `Secret:`.
fn secrets(pool: &DescriptorPool) -> Vec<FieldDescriptor> {
    let fields = pool.all_messages().flat_map(|message| message.fields().collect::<Vec<_>>());
    let is_secret = |field: &FieldDescriptor| {
        let file = field.parent_file();
        let info = file.file_descriptor_proto().source_code_info.as_ref().unwrap();
        let comment = info.location.iter().find(|location| location.path == field.path()).unwrap();
        comment.leading_comments().trim_start().starts_with("Secret:")
    };
    fields.filter(|field| field.parent_file().package_name() == "inkpass.v1" && is_secret(field)).collect()
}

/// The `Debug` of a message that holds the canary, through its bytes.
fn shown<M: Message + Default + Debug>(message: &DynamicMessage) -> String {
    let message = M::decode(&*message.encode_to_vec()).unwrap();
    format!("{message:?} {message:#?}")
}

#[test]
fn every_secret_field_is_masked_in_debug() {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let mut names = Vec::new();
    for field in secrets(&pool) {
        let message = field.parent_message();
        let mut filled = DynamicMessage::new(message.clone());
        filled.set_field(&field, Value::String(CANARY.to_owned()));
        let shown = match message.name() {
            "Token" => shown::<Token>(&filled),
            "VerifyTokenRequest" => shown::<VerifyTokenRequest>(&filled),
            other => panic!("{other} holds a secret: show its Debug here"),
        };
        assert!(shown.contains("\"***\"") && !shown.contains(CANARY), "{shown}");
        names.push(field.full_name().to_owned());
    }
    names.sort_unstable();
    assert_eq!(names, ["inkpass.v1.Token.value", "inkpass.v1.VerifyTokenRequest.token"]);
}

#[test]
fn a_masked_message_shows_its_other_fields_as_prost_does() {
    let token = Token { value: CANARY.to_owned(), kind: 2, role: 3, uuid: "u".into(), ..Token::default() };
    assert_eq!(
        format!("{token:?}"),
        "Token { value: \"***\", kind: Room, role: Reader, uuid: \"u\", access_key: \"\", expire_time: None, \
         fingerprint: \"\" }"
    );
}
