//! Changes of an answer, one at a time.

use serde_json::{Value, json};

/// How many changed answers each call gets.
const COUNT: usize = 200;

/// Values of every type, each alone, in a list, in an object and as a text. Null is the first.
fn values() -> Vec<Value> {
    let plain = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(-1),
        json!(7),
        json!(2_010_203),
        json!(1.5),
        json!(-1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!(" "),
        json!("x"),
        json!("0"),
        json!("../a"),
        json!("a\u{0}b"),
        json!("é"),
        json!("x".repeat(1_000)),
        json!("https://files.example/1"),
        json!("2026-01-02T03:04:05.678Z"),
        json!([]),
        json!({}),
    ];
    let nested = |value: Value| [json!([value]), json!({"a": value}), json!(value.to_string())];
    plain.iter().cloned().chain(plain.iter().cloned().flat_map(nested)).collect()
}

/// All places of an answer, as JSON pointers, with what stands there; the whole is the first.
pub(super) fn places<'v>(value: &'v Value, place: &str) -> Vec<(String, &'v Value)> {
    let parts: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, part)| (name.clone(), part)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, part)| (index.to_string(), part)).collect()
        }
        _ => Vec::new(),
    };
    let below = parts.into_iter().flat_map(|(name, part)| places(part, &format!("{place}/{name}")));
    std::iter::once((place.to_owned(), value)).chain(below).collect()
}

/// [`COUNT`] answers with one change each, and where it is: everything once dropped and once null, then a mixture.
pub(super) fn mutations(answer: &Value) -> Vec<(String, Value)> {
    let mut with_one_more = answer.clone();
    if let Some(fields) = with_one_more.as_object_mut() {
        fields.insert("aNewField".into(), json!(1));
    }
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for (place, _) in places(&with_one_more, "") {
        if let Some((parent, name)) = place.rsplit_once('/') {
            let mut dropped = with_one_more.clone();
            match dropped.pointer_mut(parent).unwrap() {
                Value::Object(fields) => drop(fields.remove(name)),
                list => drop(list.as_array_mut().unwrap().remove(name.parse().unwrap())),
            }
            first.push((place.clone(), dropped));
        }
        for value in values() {
            let mut replaced = with_one_more.clone();
            let list = if value.is_null() { &mut first } else { &mut rest };
            *replaced.pointer_mut(&place).unwrap() = value;
            list.push((place.clone(), replaced));
        }
    }
    // A prime that does not divide their number visits each of them once.
    let mixed = (0..rest.len()).map(|index| rest[index * 7919 % rest.len()].clone());
    let all: Vec<_> = first.into_iter().chain(mixed).take(COUNT).collect();
    assert_eq!(all.len(), COUNT);
    all
}
