//! The calls that start, query, list, cancel and order file conversions.

use reqwest::Url;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, ApiError, Call, CallResult, Caller, World};
use crate::{
    emulator::{
        conversions::Conversions,
        queue::{End, Position},
        task::{Format, Task, Webhook},
    },
    token::TokenError,
};

/// `POST /v5/projector/tasks`.
pub(super) fn start(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let wanted = call.json::<NewTask>()?;
    wanted.check()?;
    let webhook = wanted.webhook()?;
    let format = match wanted.r#type {
        TypeName::Dynamic => Format::Dynamic,
        TypeName::Static => Format::Static(wanted.output_format.extension()),
    };
    let uuid = world.new_uuid();
    let task = Task {
        uuid: uuid.clone(),
        access_key: caller.key.access_key().to_owned(),
        created_at: call.now,
        region: caller.partition_key.region,
        resource: wanted.resource,
        format,
        preview: wanted.preview,
        webhook,
        ended: None,
    };
    if task.webhook.is_some() {
        world.webhook_expected.notify_one();
    }
    let conversions = &mut world.partitions.entry(caller.partition_key).or_default().conversions;
    conversions
        .start(task, &world.settings)
        .map_err(|_| ApiError::denied("number of tasks exceeds limit").with_code(2_010_203))?;
    let task = conversions.get(&uuid).ok_or_else(missing)?;
    let status = task.status(conversions.position(task, call.now));
    Ok(Answer::created(json!({"uuid": uuid, "type": task.format.type_name(), "status": status})))
}

/// `GET /v5/projector/tasks/{uuid}`.
pub(super) fn get(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let conversions = find(world, call, caller)?;
    let task = conversions.get(call.task()).ok_or_else(missing)?;
    Ok(Answer::ok(task.json(conversions.position(task, call.now))))
}

/// `GET /v5/projector/tasks`: those that have not ended.
pub(super) fn list(world: &mut World, call: &Call, caller: &Caller) -> Answer {
    let conversions = &world.partition(caller.partition_key).conversions;
    let entry = |task: &Task| {
        let running = matches!(conversions.position(task, call.now), Some(Position::Running { .. }));
        json!({"taskId": task.uuid, "status": u8::from(running)})
    };
    Answer::ok(conversions.unfinished().map(entry).collect())
}

/// `DELETE /v5/projector/tasks/{uuid}`.
pub(super) fn cancel(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let success = find(world, call, caller)?.cancel(call.task(), call.now);
    Ok(Answer::ok(json!({"taskId": call.task(), "success": success})))
}

/// `PUT /v5/projector/tasks/{uuid}/priority`.
pub(super) fn prioritize(world: &mut World, call: &Call, caller: &Caller) -> CallResult {
    let PriorityChange { priority } = call.json()?;
    let end = match priority {
        Priority::Highest => End::Front,
        Priority::Lowest => End::Back,
    };
    let success = find(world, call, caller)?.prioritize(call.task(), end);
    // The page's example has one name, and its table the other.
    Ok(Answer::ok(json!({"taskId": call.task(), "uuid": call.task(), "success": success})))
}

/// The conversions that have the task of the path.
fn find<'w>(world: &'w mut World, call: &Call, caller: &Caller) -> Result<&'w mut Conversions, ApiError> {
    let same_key = world.settings.same_key;
    let conversions = &mut world.partition(caller.partition_key).conversions;
    let task = conversions.get(call.task()).ok_or_else(missing)?;
    if !caller.opens(&task.access_key, same_key) {
        return Err(TokenError::Task.into());
    }
    Ok(conversions)
}

fn missing() -> ApiError {
    ApiError::not_found("task not found").with_code(2_010_605)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewTask {
    resource: String,
    r#type: TypeName,
    #[serde(default)]
    preview: bool,
    #[serde(default = "default_scale")]
    scale: f64,
    #[serde(default)]
    output_format: OutputFormat,
    webhook_endpoint: Option<String>,
    #[serde(default = "default_retries")]
    webhook_retry: u8,
    #[serde(default)]
    image_compression_level: u8,
    #[expect(dead_code, reason = "its type is checked; it changes nothing here")]
    build_spa: Option<bool>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TypeName {
    Dynamic,
    Static,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OutputFormat {
    #[default]
    Png,
    Jpg,
    Jpeg,
}

#[derive(Deserialize)]
struct PriorityChange {
    priority: Priority,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Priority {
    Highest,
    Lowest,
}

const fn default_scale() -> f64 {
    1.2
}

const fn default_retries() -> u8 {
    3
}

impl NewTask {
    fn check(&self) -> Result<(), ApiError> {
        web_url(&self.resource).ok_or_else(|| ApiError::invalid("resource must be a public URL"))?;
        if !(0.1..=3.0).contains(&self.scale) {
            return Err(ApiError::invalid("scale must be in 0.1-3.0"));
        }
        if self.webhook_retry > 10 {
            return Err(ApiError::invalid("webhookRetry must be in 0-10"));
        }
        if self.image_compression_level > 4 {
            return Err(ApiError::invalid("imageCompressionLevel must be in 0-4"));
        }
        Ok(())
    }

    fn webhook(&self) -> Result<Option<Webhook>, ApiError> {
        let Some(endpoint) = &self.webhook_endpoint else { return Ok(None) };
        let endpoint = web_url(endpoint).ok_or_else(|| ApiError::invalid("webhookEndpoint must be a URL"))?;
        Ok(Some(Webhook { endpoint, retries: self.webhook_retry }))
    }
}

impl OutputFormat {
    const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpg => "jpg",
            Self::Jpeg => "jpeg",
        }
    }
}

fn web_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}
