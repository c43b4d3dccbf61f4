//! A file conversion as the vendor shows it: its parameters and its result.
//!
//! It does not know the queue: an unfinished task's position is passed in.

use std::time::Duration;

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::queue::Position;
use crate::{clock::UnixMillis, region::Region};

/// How many pages every document has.
const PAGES: u8 = 3;
const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;

/// A conversion.
pub(super) struct Task {
    pub(super) uuid: String,
    /// Of the token that started it.
    pub(super) access_key: String,
    pub(super) created_at: UnixMillis,
    pub(super) region: Region,
    pub(super) resource: String,
    pub(super) format: Format,
    /// Whether small images of the pages are wanted too.
    pub(super) preview: bool,
    pub(super) webhook: Option<Webhook>,
    /// `None` while it is not finished.
    pub(super) ended: Option<(UnixMillis, Ending)>,
}

/// What a document is converted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Web pages.
    Dynamic,
    /// Images with this extension.
    Static(&'static str),
}

/// The receiver of the notice of the end.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    pub(super) endpoint: Url,
    /// How often a failed notice is retried.
    pub(super) retries: u8,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Finished,
    Fail(u32),
    Abort,
}

impl Format {
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Static(_) => "static",
        }
    }
}

impl Task {
    /// How the conversion will end, and whether it ends before it runs: an extension that the type
    /// does not take is found out at once. `fail-<digits>` in the resource makes any other failure.
    pub(super) fn planned_ending(&self, converting: Duration) -> (Ending, Duration) {
        let path = self.resource.split(['?', '#']).next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        let (taken, refusal): (&[&str], _) = match self.format {
            Format::Dynamic => (&["ppt", "pptx"], 2_010_202),
            Format::Static(_) => (&["ppt", "pptx", "doc", "docx", "pdf"], 2_010_201),
        };
        match wanted_failure(path) {
            Some(code) => (Ending::Fail(code), converting),
            None if taken.contains(&extension.as_str()) => (Ending::Finished, converting),
            None => (Ending::Fail(refusal), Duration::ZERO),
        }
    }

    /// The status by name.
    pub(super) fn status(&self, position: Option<Position>) -> &'static str {
        match (self.ended, position) {
            (Some((_, Ending::Finished)), _) => "Finished",
            (Some((_, Ending::Fail(_))), _) => "Fail",
            (Some((_, Ending::Abort)), _) => "Abort",
            (None, Some(Position::Running { .. })) => "Converting",
            (None, _) => "Waiting",
        }
    }

    /// The task as a query shows it; what is not known yet is absent.
    pub(super) fn json(&self, position: Option<Position>) -> Value {
        let mut task = Map::new();
        let mut set = |name: &str, value: Value| task.insert(name.to_owned(), value);
        set("uuid", self.uuid.clone().into());
        set("type", self.format.type_name().into());
        set("status", self.status(position).into());
        match self.ended {
            None => {
                if let Some(Position::Running { percentage }) = position {
                    set("convertedPercentage", percentage.into());
                    set("prefix", self.prefix().into());
                }
            }
            Some((_, Ending::Abort)) => {}
            Some((_, Ending::Fail(code))) => {
                set("errorCode", code.to_string().into());
                set("errorMessage", describe(code).into());
            }
            Some((_, Ending::Finished)) => {
                set("convertedPercentage", 100.into());
                set("prefix", self.prefix().into());
                let image = |url| json!({"width": WIDTH, "height": HEIGHT, "url": url});
                for (name, value) in self.results(image) {
                    set(name, value);
                }
                if self.format == Format::Dynamic {
                    set("zip", self.url("document.zip").into());
                    set("resources", json!([self.url("resources/1.zip")]));
                }
            }
        }
        task.into()
    }

    /// The notice that a webhook gets; `None`: there is none of a cancelled task.
    pub(super) fn notice(&self) -> Option<Value> {
        let (at, code) = match self.ended? {
            (at, Ending::Finished) => (at, 0),
            (at, Ending::Fail(code)) => (at, code),
            (_, Ending::Abort) => return None,
        };
        let mut data = json!({
            "taskId": self.uuid,
            "taskType": format!("{}_conversion", self.format.type_name()),
            "noticeTimestamp": at.get(),
        });
        if code == 0 {
            data["prefixUrl"] = self.prefix().into();
            for (name, value) in self.results(Value::from) {
                data[name] = value;
            }
        }
        let message = if code == 0 { "success" } else { describe(code) };
        Some(json!({"code": code, "message": message, "data": data}))
    }

    /// What a query and a notice both show. They differ in what they tell of an image beside its url.
    fn results(&self, image: impl Fn(String) -> Value) -> Vec<(&'static str, Value)> {
        let mut results = vec![("pageCount", PAGES.into())];
        if let Format::Static(extension) = self.format {
            let image = |page| image(self.url(&format!("{page}.{extension}")));
            results.push(("images", by_page(image)));
            return results;
        }
        results.push(("note", self.url("note.json").into()));
        if self.preview {
            let preview = |page| self.url(&format!("preview/{page}.png")).into();
            results.push(("previews", by_page(preview)));
        }
        results
    }

    fn url(&self, file: &str) -> String {
        format!("{}/{}Convert/{}/{file}", self.storage(), self.format.type_name(), self.uuid)
    }

    /// What a player adds the task's uuid to. That of a static task is the storage's root.
    fn prefix(&self) -> String {
        match self.format {
            Format::Dynamic => format!("{}/dynamicConvert", self.storage()),
            Format::Static(_) => self.storage(),
        }
    }

    /// A host that exists nowhere.
    fn storage(&self) -> String {
        format!("https://conversions-{}.emulator.invalid", self.region)
    }
}

/// A value for each page, by the page's number, from 1.
fn by_page(value: impl Fn(u8) -> Value) -> Value {
    (1..=PAGES).map(|page| (page.to_string(), value(page))).collect::<Map<_, _>>().into()
}

/// The code that the path asks for; zero is a success and no failure.
fn wanted_failure(path: &str) -> Option<u32> {
    path.match_indices("fail-").find_map(|(at, marker)| {
        let rest = &path[at + marker.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
        digits.parse().ok().filter(|code| *code != 0)
    })
}

/// Source: the vendor's "File conversion", error codes.
fn describe(code: u32) -> &'static str {
    match code {
        2_010_201 => "unsupported file format",
        2_010_202 => "dynamic conversion only supports pptx",
        2_011_201 | 2_040_005 => "task timeout",
        2_030_100 => "download from storage failed",
        2_030_101 => "unzip failed",
        2_030_102 => "media file missing",
        2_030_200 => "read xml failed",
        2_030_201 | 2_030_202 => "formula in an animation",
        2_050_100 | 2_110_100 => "unsupported file type",
        2_050_101 | 2_110_101 | 2_120_301 => "download failed",
        2_050_102 | 2_110_102 | 2_120_201 => "file is empty",
        2_050_107 | 2_110_107 => "url encode failed",
        2_050_201 | 2_110_201 => "presentation parser",
        2_050_299 => "parsing",
        2_050_401 => "preview failed",
        2_060_402 => "fonts missing",
        2_090_304 => "upload to custom storage failed",
        2_090_305 => "storage provider not supported",
        2_110_108 => "file extension",
        2_110_202 => "word parser",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(resource: &str, format: Format) -> (Ending, Duration) {
        let task = Task {
            uuid: "t".into(),
            access_key: "k".into(),
            created_at: UnixMillis::MAX,
            region: Region::Eu,
            resource: resource.into(),
            format,
            preview: false,
            webhook: None,
            ended: None,
        };
        task.planned_ending(Duration::from_secs(1))
    }

    #[test]
    fn the_resource_decides_how_a_task_ends() {
        const RUN: Duration = Duration::from_secs(1);
        const PNG: Format = Format::Static("png");
        for (resource, format, ending, length) in [
            ("https://a.example/b.pptx", Format::Dynamic, Ending::Finished, RUN),
            ("https://a.example/B.PPTX?x=a.exe", Format::Dynamic, Ending::Finished, RUN),
            ("https://a.example/b.pdf", PNG, Ending::Finished, RUN),
            ("https://a.example/b.pdf", Format::Dynamic, Ending::Fail(2_010_202), Duration::ZERO),
            ("https://a.example/b.exe", PNG, Ending::Fail(2_010_201), Duration::ZERO),
            ("https://a.example/fail-0.pdf", PNG, Ending::Finished, RUN),
            ("https://a.example/b", PNG, Ending::Fail(2_010_201), Duration::ZERO),
            ("https://a.example/fail-over/fail-2060402.pdf", PNG, Ending::Fail(2_060_402), RUN),
        ] {
            assert_eq!(fate(resource, format), (ending, length), "{resource}");
        }
    }
}
