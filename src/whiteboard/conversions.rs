//! File conversions.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Access, Error, Whiteboard, transport::Call};
use crate::token::Permission;

/// A conversion to start. What is `None` is left to the upstream's default.
#[derive(Clone, Debug)]
pub struct NewConversion {
    /// The file's public URL.
    pub resource: String,
    /// What to convert it to.
    pub format: Format,
    /// What the upstream calls at the end.
    pub webhook_endpoint: Option<String>,
    /// How often it tries that again.
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

/// A conversion, as the upstream describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversion {
    /// Its uuid, never re-formatted.
    pub uuid: String,
    /// `static` or `dynamic`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `Waiting`, `Converting`, `Finished`, `Fail`, `Abort`, or what a newer upstream says.
    pub status: String,
}

impl Whiteboard {
    /// `POST /v5/projector/tasks`. It is sent once.
    ///
    /// # Errors
    /// [`Error`]; after [`Error::OutcomeUnknown`] the conversion may have started.
    pub async fn start_conversion(
        &self,
        access: Access<'_>,
        new: &NewConversion,
    ) -> Result<Conversion, Error> {
        let mut body = json!(new.format);
        body["resource"] = json!(new.resource);
        if let Some(endpoint) = &new.webhook_endpoint {
            body["webhookEndpoint"] = json!(endpoint);
        }
        if let Some(retry) = new.webhook_retry {
            body["webhookRetry"] = json!(retry);
        }
        let call = Call {
            method: Method::POST,
            path: "/v5/projector/tasks".to_owned(),
            body: Some(body),
            permission: Permission::StartConversion,
            uuid: None,
        };
        self.transport.send(access, call).await
    }
}
