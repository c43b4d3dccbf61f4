//! What `StartConversion` asks for.

use super::{Error, convert, house::grant, violations::Violations};
use crate::{
    policy::Mint,
    proto::{self, StartConversionRequest, start_conversion_request::Format as ProtoFormat},
    region::Region,
    token::Kind,
    whiteboard::{Format, NewConversion, OutputFormat},
};

/// A `StartConversionRequest` that says nothing wrong.
pub(super) struct Start {
    pub(super) region: Option<Region>,
    pub(super) new: NewConversion,
    pub(super) mint: Option<Mint>,
}

impl Start {
    pub(super) fn parse(request: &StartConversionRequest) -> Result<Self, Error> {
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
        let mint = grant(request.token_grant.as_ref(), Kind::Task, &mut violations);
        convert::request_id(&request.request_id, &mut violations);
        let parsed = || {
            let webhook_retry = request.webhook_retry;
            let new = NewConversion { resource: resource?, format: format?, webhook_endpoint, webhook_retry };
            Some(Self { region: region?, new, mint })
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
            let output_format = match proto::OutputFormat::try_from(format.output_format) {
                Ok(proto::OutputFormat::Unspecified) => None,
                Ok(proto::OutputFormat::Png) => Some(OutputFormat::Png),
                Ok(proto::OutputFormat::Jpg) => Some(OutputFormat::Jpg),
                Ok(proto::OutputFormat::Jpeg) => Some(OutputFormat::Jpeg),
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
