//! What `StartConversion` asks for.

use super::{
    describe,
    parse::{self, Violations},
    services::digest_of,
};
use crate::{
    creation::{Create, CreateParams},
    error::Error,
    issuing::Made,
    methods::Rpc,
    proto::{self, StartConversionRequest, start_conversion_request::Format as ProtoFormat},
    token::{Kind, Scope, Uuid},
    whiteboard::{self, Access, Format, NewConversion, OutputFormat, Whiteboard},
};

impl Create for NewConversion {
    const RPC: Rpc = Rpc::StartConversion;

    type Created = proto::Conversion;

    fn scope(uuid: Uuid<'_>) -> Scope<'_> {
        Scope::Task(uuid)
    }

    async fn send(
        self,
        whiteboard: &Whiteboard,
        access: &Access,
    ) -> Result<proto::Conversion, whiteboard::Error> {
        let conversion = whiteboard.start_conversion(access, &self).await?;
        let access_key = access.key.access_key().to_owned();
        Ok(proto::Conversion { access_key, ..describe::conversion(conversion) })
    }
}

impl Made for proto::Conversion {
    fn uuid(&self) -> &str {
        &self.uuid
    }

    fn access_key(&self) -> &str {
        &self.access_key
    }
}

pub(super) fn parse(mut request: StartConversionRequest) -> Result<(CreateParams, NewConversion), Error> {
    let mut violations = Violations::default();
    let region = parse::region(request.region, &mut violations);
    let resource = parse::url(&request.resource, "resource", &mut violations);
    let format = parse_format(&request, &mut violations);
    let webhook_endpoint = match &*request.webhook_endpoint {
        "" => None,
        endpoint => parse::url(endpoint, "webhook_endpoint", &mut violations),
    };
    let webhook_retry = request.webhook_retry;
    if webhook_retry.is_some_and(|retry| !(0..=10).contains(&retry)) {
        violations.add("webhook_retry", "must be 0 to 10");
    }
    let token_grant = parse::token_grant(request.token_grant.as_ref(), Kind::Task, &mut violations);
    parse::request_id(&request.request_id, &mut violations);
    let parsed = || {
        let new = NewConversion { resource: resource?, format: format?, webhook_endpoint, webhook_retry };
        Some((region?, token_grant?, new))
    };
    let (region, token_grant, new) = violations.unless_any(parsed())?;
    let request_id = std::mem::take(&mut request.request_id);
    let request_id = digest_of(request_id, &request);
    Ok((CreateParams { project: request.project, region, token_grant, request_id }, new))
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
