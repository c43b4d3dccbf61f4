//! File conversions.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value, json};

use super::{
    access::{Access, PathUuid},
    answer::check_uuid,
    authority::Authority,
    call::Call,
    client::Whiteboard,
    error::Error,
    fields::{or_default, uuid},
};
use crate::{methods::Rpc, token::Permission};

/// A conversion to start. What is `None` is left to the upstream's default.
#[derive(Clone, Debug)]
pub struct NewConversion {
    /// The file's public URL.
    pub resource: String,
    /// What to convert it to.
    pub format: Format,
    /// What the upstream calls at the end.
    pub webhook_endpoint: Option<String>,
    /// How often the upstream retries it.
    pub webhook_retry: Option<i32>,
}

/// What a file is converted to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Format {
    /// Images.
    Static {
        /// Scale factor, 0.1 to 3.0.
        #[serde(skip_serializing_if = "Option::is_none")]
        scale: Option<f64>,
        /// The images' format.
        #[serde(skip_serializing_if = "Option::is_none")]
        output_format: Option<OutputFormat>,
    },
    /// Web pages.
    Dynamic {
        /// Whether previews are made.
        preview: bool,
        /// 0 (none) to 4.
        #[serde(skip_serializing_if = "Option::is_none")]
        image_compression_level: Option<i32>,
        /// Whether a stand-alone page is built.
        #[serde(skip_serializing_if = "Option::is_none")]
        build_spa: Option<bool>,
    },
}

/// The format of a static conversion's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// PNG.
    Png,
    /// JPG.
    Jpg,
    /// JPEG.
    Jpeg,
}

/// Where in its queue a conversion is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// To the head.
    Highest,
    /// To the tail.
    Lowest,
}

/// A conversion, as the upstream describes it. What it does not know yet is empty or zero.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversion {
    /// Its uuid, never re-formatted.
    #[serde(deserialize_with = "uuid")]
    pub uuid: String,
    /// `static` or `dynamic`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its status, as the upstream writes it: see [`Status`].
    pub status: String,
    /// 0 to 100.
    #[serde(default, deserialize_with = "or_default")]
    pub converted_percentage: f64,
    /// How many pages the file has.
    #[serde(default, deserialize_with = "whole")]
    pub page_count: i32,
    /// What the URLs of a dynamic conversion's pages begin with.
    #[serde(default, deserialize_with = "or_default")]
    pub prefix: String,
    /// The pages of a static conversion.
    #[serde(default, deserialize_with = "pages")]
    pub images: BTreeMap<i32, Page>,
    /// Previews of a dynamic conversion.
    #[serde(default, deserialize_with = "pages")]
    pub previews: BTreeMap<i32, Page>,
    /// The speaker's notes.
    #[serde(default, deserialize_with = "or_default")]
    pub note: String,
    /// The whole result as one archive.
    #[serde(default, deserialize_with = "or_default")]
    pub zip: String,
    /// What the pages need.
    #[serde(default, deserialize_with = "or_default")]
    pub resources: Vec<String>,
    /// Why it failed: digits.
    #[serde(default, deserialize_with = "digits")]
    pub error_code: String,
}

/// A page of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Page {
    /// Where its image is.
    pub url: String,
    /// In pixels; 0 if it is unknown.
    #[serde(default, deserialize_with = "whole")]
    pub width: i32,
    /// In pixels; 0 if it is unknown.
    #[serde(default, deserialize_with = "whole")]
    pub height: i32,
}

/// The status of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// In the queue.
    Waiting,
    /// Running.
    Converting,
    /// Done.
    Finished,
    /// Failed.
    Failed,
    /// Cancelled.
    Cancelled,
    /// A status of a newer upstream.
    Unknown,
}

impl Conversion {
    /// The status by its name.
    #[must_use]
    pub fn known_status(&self) -> Status {
        match &*self.status {
            "Waiting" => Status::Waiting,
            "Converting" => Status::Converting,
            "Finished" => Status::Finished,
            "Fail" => Status::Failed,
            "Abort" => Status::Cancelled,
            _ => Status::Unknown,
        }
    }
}

impl Status {
    /// Whether it is the last one.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Cancelled)
    }
}

/// A conversion that waits or runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PendingConversion {
    /// Its uuid.
    #[serde(rename = "taskId", deserialize_with = "uuid")]
    pub uuid: String,
    /// 0: waiting, 1: in progress.
    pub status: i64,
}

#[derive(Deserialize)]
struct Done {
    success: bool,
}

const TASKS: &str = "/v5/projector/tasks";
const TASK: &str = "/v5/projector/tasks/{uuid}";
const PRIORITY: &str = "/v5/projector/tasks/{uuid}/priority";

/// Starting, listing, cancelling and prioritizing are one permission.
const START: Authority<'_> = Authority::of(Permission::StartConversion);

impl Whiteboard {
    /// `POST /v5/projector/tasks`. It is sent once.
    ///
    /// # Errors
    /// [`Error`]; after [`Error::OutcomeUnknown`] the conversion may have started.
    pub async fn start_conversion(&self, access: &Access, new: &NewConversion) -> Result<Conversion, Error> {
        let mut body = json!(new.format);
        body["resource"] = json!(new.resource);
        if let Some(endpoint) = &new.webhook_endpoint {
            body["webhookEndpoint"] = json!(endpoint);
        }
        if let Some(retry) = new.webhook_retry {
            body["webhookRetry"] = json!(retry);
        }
        let call = Call::new(Rpc::StartConversion, Method::POST, TASKS, START);
        self.transport.send(access, call.body(body)).await
    }

    /// `GET /v5/projector/tasks/{uuid}`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn conversion(&self, access: &Access, uuid: PathUuid<'_>) -> Result<Conversion, Error> {
        let authority = Authority::on(Permission::GetConversion, uuid);
        let call = Call::new(Rpc::GetConversion, Method::GET, TASK, authority).at(uuid);
        let conversion: Conversion = self.transport.read(access, call).await?;
        check_uuid(&conversion.uuid, uuid)?;
        Ok(conversion)
    }

    /// `GET /v5/projector/tasks`: what waits and runs.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn pending_conversions(&self, access: &Access) -> Result<Vec<PendingConversion>, Error> {
        let call = Call::new(Rpc::ListPendingConversions, Method::GET, TASKS, START);
        self.transport.read(access, call).await
    }

    /// `DELETE /v5/projector/tasks/{uuid}`.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotWaiting`] if the upstream did not do it.
    pub async fn cancel_conversion(&self, access: &Access, uuid: PathUuid<'_>) -> Result<(), Error> {
        self.change(access, Call::new(Rpc::CancelConversion, Method::DELETE, TASK, START).at(uuid)).await
    }

    /// `PUT /v5/projector/tasks/{uuid}/priority`.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotWaiting`] if the upstream did not do it.
    pub async fn prioritize_conversion(
        &self,
        access: &Access,
        uuid: PathUuid<'_>,
        priority: Priority,
    ) -> Result<(), Error> {
        let call = Call::new(Rpc::PrioritizeConversion, Method::PUT, PRIORITY, START).at(uuid);
        self.change(access, call.body(json!({ "priority": priority }))).await
    }

    async fn change(&self, access: &Access, call: Call<'_>) -> Result<(), Error> {
        let done: Done = self.transport.send(access, call).await?;
        if done.success { Ok(()) } else { Err(Error::NotWaiting) }
    }
}

/// Pages by their number, each an object with a URL or a URL alone.
fn pages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<i32, Page>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Page(Page),
        Url(String),
    }
    let pages: BTreeMap<String, Either> = or_default(deserializer)?;
    let numbered = pages.into_iter().map(|(number, page)| {
        let number = number.parse().map_err(|_| de::Error::custom("a page without a number"))?;
        let page = match page {
            Either::Page(page) => page,
            Either::Url(url) => Page { url, ..Page::default() },
        };
        Ok((number, page))
    });
    numbered.collect()
}

/// A number of pixels or pages; what a scale makes of pixels may be a fraction.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    let number: f64 = or_default(deserializer)?;
    let is_one = (0.0..=f64::from(i32::MAX)).contains(&number);
    #[expect(clippy::cast_possible_truncation, reason = "it is within bounds")]
    let whole = number.round() as i32;
    if is_one { Ok(whole) } else { Err(de::Error::custom("no number of pixels or pages")) }
}

/// A code, as a string of digits or as a number.
fn digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let code = match Value::deserialize(deserializer)? {
        Value::Null => String::new(),
        Value::String(code) => code,
        Value::Number(code) => code.to_string(),
        _ => return Err(de::Error::custom("an error code that is none")),
    };
    if code.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(code)
    } else {
        Err(de::Error::custom("not digits"))
    }
}
