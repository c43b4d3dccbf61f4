//! `ConversionService`.

use std::{sync::Arc, time::Instant};

use tonic::{Request, Response, Status, async_trait, codegen::BoxStream};

use super::{
    Services, describe,
    parse::{self, Violations},
    services::{Opened, nothing_more},
    start_conversion, vendor_json, watch,
};
use crate::{
    call::CallContext,
    creation::Created,
    error::Error,
    methods::Rpc,
    proto::{
        self, CancelConversionRequest, CancelConversionResponse, GetConversionRequest, GetConversionResponse,
        ListPendingConversionsRequest, ListPendingConversionsResponse, PendingConversion,
        PrioritizeConversionRequest, PrioritizeConversionResponse, StartConversionRequest,
        StartConversionResponse, WatchConversionRequest, WatchConversionResponse,
        conversion_service_server::ConversionService,
    },
    whiteboard::Priority,
};

pub(super) struct Conversions(pub(super) Arc<Services>);

#[async_trait]
impl ConversionService for Conversions {
    async fn start_conversion(
        &self,
        request: Request<StartConversionRequest>,
    ) -> Result<Response<StartConversionResponse>, Status> {
        let call = CallContext::of(&request).clone();
        let (params, new) = start_conversion::parse(request.into_inner())?;
        let Created { made, token, replayed } = self.0.creator.create(call, params, new).await?;
        Ok(Response::new(StartConversionResponse { conversion: Some(made), token, replayed }))
    }

    async fn get_conversion(
        &self,
        request: Request<GetConversionRequest>,
    ) -> Result<Response<GetConversionResponse>, Status> {
        let rpc = Rpc::GetConversion;
        let Opened { access, uuid, .. } = self.0.open(rpc, &request, nothing_more).await?;
        let conversion = self.0.whiteboard.conversion(&access, uuid).await.map_err(Error::upstream(rpc))?;
        let wants_json = request.get_ref().include_vendor_json;
        let vendor_json = if wants_json { vendor_json::of(&conversion) } else { String::new() };
        let conversion = proto::Conversion { vendor_json, ..describe::conversion(conversion) };
        Ok(Response::new(GetConversionResponse { conversion: Some(conversion) }))
    }

    async fn watch_conversion(
        &self,
        request: Request<WatchConversionRequest>,
    ) -> Result<Response<BoxStream<WatchConversionResponse>>, Status> {
        let deadline = CallContext::of(&request).deadline;
        let opened = self.0.open(Rpc::WatchConversion, &request, nothing_more).await?;
        let watcher = &self.0.watcher;
        let longest = Instant::now() + watcher.max_duration();
        let watch = watcher.watch(&opened.access, opened.uuid);
        let stopping = self.0.stopping.clone();
        Ok(Response::new(watch::stream((watch, opened.slot), longest, deadline, stopping)))
    }

    async fn list_pending_conversions(
        &self,
        request: Request<ListPendingConversionsRequest>,
    ) -> Result<Response<ListPendingConversionsResponse>, Status> {
        let rpc = Rpc::ListPendingConversions;
        let ListPendingConversionsRequest { project, region } = request.get_ref();
        let mut violations = Violations::default();
        let region = parse::region(*region, &mut violations);
        let region = violations.unless_any(region)?;
        let permit = self.0.open_project(rpc, &request, project, region).await?;
        let pending = self.0.whiteboard.pending_conversions(&permit.access).await;
        let conversions = pending.map_err(Error::upstream(rpc))?.into_iter().map(|pending| {
            let status = match pending.status {
                Some(0) => proto::ConversionStatus::Waiting,
                Some(1) => proto::ConversionStatus::Converting,
                _ => proto::ConversionStatus::Unknown,
            };
            PendingConversion { uuid: pending.uuid, status: status.into() }
        });
        Ok(Response::new(ListPendingConversionsResponse { conversions: conversions.collect() }))
    }

    async fn cancel_conversion(
        &self,
        request: Request<CancelConversionRequest>,
    ) -> Result<Response<CancelConversionResponse>, Status> {
        let rpc = Rpc::CancelConversion;
        let Opened { access, uuid, .. } = self.0.open(rpc, &request, nothing_more).await?;
        self.0.whiteboard.cancel_conversion(&access, uuid).await.map_err(Error::upstream(rpc))?;
        self.0.watcher.changed(&access, uuid);
        Ok(Response::new(CancelConversionResponse {}))
    }

    async fn prioritize_conversion(
        &self,
        request: Request<PrioritizeConversionRequest>,
    ) -> Result<Response<PrioritizeConversionResponse>, Status> {
        let rpc = Rpc::PrioritizeConversion;
        let priority = |body: &PrioritizeConversionRequest, violations: &mut Violations| {
            parse_priority(body.priority, violations)
        };
        let Opened { access, uuid, more: priority, .. } = self.0.open(rpc, &request, priority).await?;
        let moved = self.0.whiteboard.prioritize_conversion(&access, uuid, priority).await;
        moved.map_err(Error::upstream(rpc))?;
        Ok(Response::new(PrioritizeConversionResponse {}))
    }
}

fn parse_priority(number: i32, violations: &mut Violations) -> Option<Priority> {
    match proto::Priority::try_from(number) {
        Ok(proto::Priority::Highest) => Some(Priority::Highest),
        Ok(proto::Priority::Lowest) => Some(Priority::Lowest),
        Ok(proto::Priority::Unspecified) | Err(_) => {
            violations.add("priority", "must be PRIORITY_HIGHEST or PRIORITY_LOWEST");
            None
        }
    }
}
