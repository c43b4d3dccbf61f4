//! A conversion in JSON as the vendor's query writes it, for the vendor's client SDKs.
//! Source: "File conversion", section "Query the conversion progress", of the Interactive Whiteboard REST API.

use serde_json::{Map, Value, json};

use super::conversion_failures;
use crate::whiteboard::{Conversion, Page, Status};

/// What is not known is absent, as in the vendor's own answer.
pub(super) fn of(conversion: &Conversion) -> String {
    let status = conversion.known_status();
    let percentage = conversion.converted_percentage.clamp(0.0, 100.0);
    let has_percentage = percentage > 0.0 || status == Status::Converting;
    let code = (status == Status::Failed).then(|| conversion.error_code.clone());
    let failure = code.map(conversion_failures::describe);
    let previews = conversion.previews.iter().map(|(number, page)| (*number, json!(page.url)));
    let images = conversion.images.iter().map(|(number, page)| (*number, image(page)));
    let task = known([
        ("uuid", json!(conversion.uuid)),
        ("type", json!(conversion.kind)),
        ("status", json!(conversion.status)),
        ("convertedPercentage", json!(has_percentage.then(|| number(percentage)))),
        ("prefix", json!(conversion.prefix)),
        ("pageCount", positive(conversion.page_count)),
        ("previews", by_page(previews)),
        ("note", json!(conversion.note)),
        ("images", by_page(images)),
        ("zip", json!(conversion.zip)),
        ("resources", json!(conversion.resources)),
        ("errorCode", json!(failure.as_ref().map(|failure| &failure.code))),
        // The vendor's own may name its hosts.
        ("errorMessage", json!(failure.as_ref().map(|failure| &failure.message))),
    ]);
    task.to_string()
}

fn image(page: &Page) -> Value {
    known([("width", positive(page.width)), ("height", positive(page.height)), ("url", json!(page.url))])
}

fn by_page(pages: impl Iterator<Item = (i32, Value)>) -> Value {
    pages.map(|(number, page)| (number.to_string(), page)).collect::<Map<_, _>>().into()
}

/// An object of the fields that say something.
fn known<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(pages) => pages.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    fields.into_iter().filter(|(_, value)| !says_nothing(value)).collect()
}

fn positive(number: i32) -> Value {
    json!((number > 0).then_some(number))
}

/// A whole number where it is one.
fn number(percentage: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "0 to 100")]
    if percentage.fract() == 0.0 { json!(percentage as i32) } else { json!(percentage) }
}
