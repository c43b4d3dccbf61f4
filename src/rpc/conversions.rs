//! `ConversionService`.

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use super::{Error, House, convert, grant, status::Missing, violations::Violations};
use crate::{
    issuer::Grant,
    proto::{
        self, OutputFormat as ProtoOutputFormat, StartConversionRequest, StartConversionResponse,
        conversion_service_server::ConversionService, start_conversion_request::Format as ProtoFormat,
    },
    region::Region,
    token::Kind,
    whiteboard::{Conversion, Format, NewConversion, OutputFormat},
};

pub(super) struct Conversions(pub(super) Arc<House>);

#[async_trait]
impl ConversionService for Conversions {
    async fn start_conversion(
        &self,
        request: Request<StartConversionRequest>,
    ) -> Result<Response<StartConversionResponse>, Status> {
        let house = &self.0;
        let start = Start::parse(request.get_ref())?;
        let permit = house.permit(&request.get_ref().project, start.region, start.grant)?;
        let started = house.whiteboard.start_conversion(permit.access(), &start.new).await;
        let conversion = started.map_err(|error| Error::Upstream(error, Missing::Nothing))?;
        let token = house.token_for(&permit, Kind::Task, &conversion.uuid);
        let conversion = describe(conversion, permit.key.access_key());
        Ok(Response::new(StartConversionResponse { conversion: Some(conversion), token }))
    }
}

/// A `StartConversionRequest` that says nothing wrong.
struct Start {
    region: Option<Region>,
    new: NewConversion,
    grant: Option<Grant>,
}

impl Start {
    fn parse(request: &StartConversionRequest) -> Result<Self, Error> {
        let mut violations = Violations::default();
        let region = convert::region(request.region, &mut violations);
        let resource = convert::url(&request.resource, "resource", &mut violations);
        let format = parse_format(request, &mut violations);
        let webhook_endpoint = match &*request.webhook_endpoint {
            "" => None,
            endpoint => convert::url(endpoint, "webhook_endpoint", &mut violations),
        };
        if request.webhook_retry.is_some_and(|retry| !(0..=10).contains(&retry)) {
            violations.add("webhook_retry", "must be 0 to 10");
        }
        let grant = grant(request.token_grant.as_ref(), Kind::Task, &mut violations);
        convert::request_id(&request.request_id, &mut violations);
        let parsed = || {
            let webhook_retry = request.webhook_retry;
            let new = NewConversion { resource: resource?, format: format?, webhook_endpoint, webhook_retry };
            Some(Self { region: region?, new, grant })
        };
        violations.unless_any(parsed())
    }
}

fn parse_format(request: &StartConversionRequest, violations: &mut Violations) -> Option<Format> {
    match &request.format {
        Some(ProtoFormat::StaticFormat(format)) => {
            if request.preview {
                violations.add("preview", "goes with dynamic_format only");
            }
            if format.scale.is_some_and(|scale| !(0.1..=3.0).contains(&scale)) {
                violations.add("static_format.scale", "must be 0.1 to 3.0");
            }
            let output_format = match ProtoOutputFormat::try_from(format.output_format) {
                Ok(ProtoOutputFormat::Unspecified) => None,
                Ok(ProtoOutputFormat::Png) => Some(OutputFormat::Png),
                Ok(ProtoOutputFormat::Jpg) => Some(OutputFormat::Jpg),
                Ok(ProtoOutputFormat::Jpeg) => Some(OutputFormat::Jpeg),
                Err(_) => {
                    violations.add("static_format.output_format", "is not a format that this server knows");
                    None
                }
            };
            Some(Format::Static { scale: format.scale, output_format })
        }
        Some(ProtoFormat::DynamicFormat(format)) => {
            let image_compression_level = format.image_compression_level;
            if image_compression_level.is_some_and(|level| !(0..=4).contains(&level)) {
                violations.add("dynamic_format.image_compression_level", "must be 0 to 4");
            }
            let build_spa = format.build_spa;
            Some(Format::Dynamic { preview: request.preview, image_compression_level, build_spa })
        }
        None => {
            violations.add("format", "is required: static_format or dynamic_format");
            None
        }
    }
}

/// `access_key`: of the key that started it.
fn describe(conversion: Conversion, access_key: &str) -> proto::Conversion {
    let kind = match &*conversion.kind {
        "static" => proto::ConversionType::Static,
        "dynamic" => proto::ConversionType::Dynamic,
        _ => proto::ConversionType::Unspecified,
    };
    let status = match &*conversion.status {
        "Waiting" => proto::ConversionStatus::Waiting,
        "Converting" => proto::ConversionStatus::Converting,
        "Finished" => proto::ConversionStatus::Finished,
        "Fail" => proto::ConversionStatus::Failed,
        "Abort" => proto::ConversionStatus::Cancelled,
        _ => proto::ConversionStatus::Unknown,
    };
    proto::Conversion {
        uuid: conversion.uuid,
        r#type: kind.into(),
        status: status.into(),
        upstream_status: conversion.status,
        access_key: access_key.to_owned(),
        ..proto::Conversion::default()
    }
}
