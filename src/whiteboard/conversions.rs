//! File conversions.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    access::{Access, PathUuid},
    answer::{self, Reading, Received, check_uuid},
    authority::Authority,
    call::Call,
    client::Whiteboard,
    error::Error,
    fields::{Fields, FromAnswer, number, whole},
    unread::Unread,
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

impl Format {
    /// As the upstream writes it.
    const fn name(self) -> &'static str {
        match self {
            Self::Static { .. } => "static",
            Self::Dynamic { .. } => "dynamic",
        }
    }
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
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// Its uuid, never re-formatted.
    pub uuid: String,
    /// `static` or `dynamic`.
    pub kind: String,
    /// Its status, as the upstream writes it: see [`Self::known_status`].
    pub status: String,
    /// What a status means that is not known: of a start, which was accepted, [`Status::Waiting`].
    pub otherwise: Status,
    /// 0 to 100.
    pub converted_percentage: f64,
    /// How many pages the file has.
    pub page_count: i32,
    /// What the URLs of a dynamic conversion's pages begin with.
    pub prefix: String,
    /// The pages of a static conversion.
    pub images: BTreeMap<i32, Page>,
    /// Previews of a dynamic conversion.
    pub previews: BTreeMap<i32, Page>,
    /// The speaker's notes.
    pub note: String,
    /// The whole result as one archive.
    pub zip: String,
    /// What the pages need.
    pub resources: Vec<String>,
    /// Why it failed.
    pub error_code: String,
}

impl FromAnswer for Conversion {
    fn from_answer(text: &str, unread: &mut Unread) -> Option<Self> {
        let mut fields = Fields::of(text, unread)?;
        Some(Self {
            uuid: fields.uuid("uuid").or_else(|| fields.uuid("taskId"))?,
            kind: fields.text("type"),
            status: fields.text("status"),
            otherwise: Status::Unknown,
            converted_percentage: fields.number("convertedPercentage").unwrap_or_default(),
            page_count: fields.whole("pageCount").unwrap_or_default(),
            prefix: fields.text("prefix"),
            images: fields.parts("images", pages),
            previews: fields.parts("previews", pages),
            note: fields.text("note"),
            zip: fields.text("zip"),
            resources: fields.texts("resources"),
            error_code: fields.text("errorCode").chars().filter(|c| in_code(*c)).take(LONGEST_CODE).collect(),
        })
    }
}

/// Where an error code is cut.
const LONGEST_CODE: usize = 32;

/// What of an error code cannot break a page or a line that shows it.
fn in_code(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.:".contains(c)
}

/// A page of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Where its image is.
    pub url: String,
    /// In pixels; 0 if it is unknown.
    pub width: i32,
    /// In pixels; 0 if it is unknown.
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
            _ => self.otherwise,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingConversion {
    /// Its uuid.
    pub uuid: String,
    /// 0: waiting, 1: in progress. `None`: the upstream does not say.
    pub status: Option<i32>,
}

impl FromAnswer for PendingConversion {
    fn from_answer(text: &str, unread: &mut Unread) -> Option<Self> {
        let mut fields = Fields::of(text, unread)?;
        let uuid = fields.uuid("taskId").or_else(|| fields.uuid("uuid"))?;
        Some(Self { uuid, status: fields.whole("status") })
    }
}

#[derive(Default)]
struct Done {
    is_refused: bool,
}

impl FromAnswer for Done {
    /// What does not say that it failed was done: the status says so.
    fn from_answer(text: &str, unread: &mut Unread) -> Option<Self> {
        let mut fields = Fields::of(text, unread)?;
        Some(Self { is_refused: fields.flag("success") == Some(false) })
    }
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
        let mut started: Conversion = self.transport.send(access, call.body(body)).await?;
        // It was accepted, whatever else can be read of the answer.
        started.otherwise = Status::Waiting;
        if started.status.is_empty() {
            "Waiting".clone_into(&mut started.status);
        }
        if !matches!(&*started.kind, "static" | "dynamic") {
            new.format.name().clone_into(&mut started.kind);
        }
        Ok(started)
    }

    /// `GET /v5/projector/tasks/{uuid}`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn conversion(&self, access: &Access, uuid: PathUuid<'_>) -> Result<Conversion, Error> {
        let authority = Authority::on(Permission::GetConversion, uuid);
        let call = Call::new(Rpc::GetConversion, Method::GET, TASK, authority).at(uuid);
        self.transport
            .read_about(access, call, |task: &Conversion| check_uuid(&task.uuid, uuid.as_str()))
            .await
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
        let read = |received: &Received, reading: &Reading<'_>| {
            let Done { is_refused } = answer::done(received, reading)?;
            if is_refused { Err(Error::NotWaiting) } else { Ok(()) }
        };
        self.transport.send_and(access, call, read).await
    }
}

/// Pages by their number, each an object with a URL or a URL alone. A list has them in order.
fn pages(value: Value, unread: &mut Unread) -> Option<Vec<Option<(i32, Page)>>> {
    let pages: Vec<(Option<i32>, Value)> = match value {
        Value::Object(pages) => pages.into_iter().map(|(number, page)| (number.parse().ok(), page)).collect(),
        Value::Array(pages) => (1..).map(Some).zip(pages).collect(),
        _ => return None,
    };
    Some(pages.into_iter().map(|(number, value)| Some((number?, page(&value, unread)?))).collect())
}

fn page(value: &Value, unread: &mut Unread) -> Option<Page> {
    let url = value.as_str().or_else(|| value.get("url")?.as_str())?.to_owned();
    let mut pixels = |name| {
        let value = value.get(name).filter(|value| !value.is_null())?;
        let pixels = number(value.clone()).and_then(whole);
        unread.add(name, usize::from(pixels.is_none()));
        pixels
    };
    let (width, height) = (pixels("width").unwrap_or_default(), pixels("height").unwrap_or_default());
    Some(Page { url, width, height })
}
