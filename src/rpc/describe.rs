//! From conversions to proto.

use super::conversion_failures;
use crate::{
    proto,
    whiteboard::{Conversion, Page, Status},
};

/// Without the access key, which only the answer that starts it has, and without the vendor's JSON.
pub(super) fn conversion(conversion: Conversion) -> proto::Conversion {
    let kind = match &*conversion.kind {
        "static" => proto::ConversionType::Static,
        "dynamic" => proto::ConversionType::Dynamic,
        _ => proto::ConversionType::Unspecified,
    };
    let status = conversion.known_status();
    proto::Conversion {
        uuid: conversion.uuid,
        r#type: kind.into(),
        status: status_to_proto(status).into(),
        upstream_status: conversion.status,
        converted_percentage: percentage(conversion.converted_percentage),
        page_count: conversion.page_count,
        prefix: conversion.prefix,
        images: conversion.images.into_iter().map(page).collect(),
        previews: conversion.previews.into_iter().map(page).collect(),
        note: conversion.note,
        zip: conversion.zip,
        resources: conversion.resources,
        failure: (status == Status::Failed).then(|| conversion_failures::describe(conversion.error_code)),
        access_key: String::new(),
        vendor_json: String::new(),
    }
}

fn status_to_proto(status: Status) -> proto::ConversionStatus {
    match status {
        Status::Waiting => proto::ConversionStatus::Waiting,
        Status::Converting => proto::ConversionStatus::Converting,
        Status::Finished => proto::ConversionStatus::Finished,
        Status::Failed => proto::ConversionStatus::Failed,
        Status::Cancelled => proto::ConversionStatus::Cancelled,
        Status::Unknown => proto::ConversionStatus::Unknown,
    }
}

fn page((number, page): (i32, Page)) -> proto::ConversionPage {
    proto::ConversionPage { page: number, url: page.url, width_px: page.width, height_px: page.height }
}

#[expect(clippy::cast_possible_truncation, reason = "0 to 100")]
fn percentage(percentage: f64) -> i32 {
    percentage.clamp(0.0, 100.0) as i32
}
