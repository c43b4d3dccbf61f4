//! `ConversionService`.

use std::{sync::Arc, time::Instant};

use futures_util::FutureExt;
use tonic::{Request, Response, Status, async_trait, codegen::BoxStream};

use super::{
    Caller, Error, House, convert, failures,
    house::Creation,
    record::{Created, Entry},
    start::Start,
    status::Missing,
    target::target,
    violations::Violations,
    watch::{self, Deadline},
};
use crate::{
    issuer::Ask,
    methods::Rpc,
    proto::{
        self, CancelConversionRequest, CancelConversionResponse, GetConversionRequest, GetConversionResponse,
        ListPendingConversionsRequest, ListPendingConversionsResponse, PendingConversion,
        PrioritizeConversionRequest, PrioritizeConversionResponse, StartConversionRequest,
        StartConversionResponse, WatchConversionRequest, WatchConversionResponse,
        conversion_service_server::ConversionService,
    },
    whiteboard::{self, Conversion, Page, Priority, Status as Progress},
};

pub(super) struct Conversions(pub(super) Arc<House>);

fn conversion_missing(error: whiteboard::Error) -> Error {
    Error::Upstream(error, Missing::Conversion)
}

async fn create(
    house: &House,
    caller: Caller,
    mut request: StartConversionRequest,
    start: Start,
) -> Result<StartConversionResponse, Error> {
    let Start { region, new, mint } = start;
    let rpc = Rpc::StartConversion;
    let ask = Ask { rpc, project: &request.project, access_key: "", region, mint };
    let (permit, access, _) = house.admit(&caller, &Entry::of(ask)).await?;
    let whiteboard = house.whiteboard.clone();
    let act = async move {
        let conversion = whiteboard.start_conversion(&access, &new).await?;
        Ok(describe(conversion, access.key.access_key()))
    };
    let request_id = std::mem::take(&mut request.request_id);
    let creation = Creation { caller, rpc, permit, request_id };
    let identity =
        |made: &proto::Conversion| Created { uuid: made.uuid.clone(), access_key: made.access_key.clone() };
    let (conversion, token) = house.create(creation, request, act.boxed(), identity).await?;
    Ok(StartConversionResponse { conversion: Some(conversion), token })
}

#[async_trait]
impl ConversionService for Conversions {
    async fn start_conversion(
        &self,
        request: Request<StartConversionRequest>,
    ) -> Result<Response<StartConversionResponse>, Status> {
        let (house, caller) = (self.0.clone(), Caller::of(&request));
        let request = request.into_inner();
        let start = Start::parse(&request)?;
        let work = async move { create(&house, caller, request, start).await };
        Ok(Response::new(self.0.to_its_end(work).await?))
    }

    async fn get_conversion(
        &self,
        request: Request<GetConversionRequest>,
    ) -> Result<Response<GetConversionResponse>, Status> {
        let body = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(body.uuid, &mut violations);
        let target = violations.unless_any(target)?;
        let (access, _) = self.0.access_to(Rpc::GetConversion, &request, &target).await?;
        let conversion =
            self.0.whiteboard.conversion(&access, target.uuid).await.map_err(conversion_missing)?;
        Ok(Response::new(GetConversionResponse { conversion: Some(describe(conversion, "")) }))
    }

    async fn watch_conversion(
        &self,
        request: Request<WatchConversionRequest>,
    ) -> Result<Response<BoxStream<WatchConversionResponse>>, Status> {
        let deadline = request.extensions().get::<Deadline>().copied();
        let body = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(body.uuid, &mut violations);
        let target = violations.unless_any(target)?;
        let (access, place) = self.0.access_to(Rpc::WatchConversion, &request, &target).await?;
        let watcher = &self.0.watcher;
        let longest = Instant::now() + watcher.max_duration();
        let watch = watcher.watch(&access, target.uuid);
        Ok(Response::new(watch::stream((watch, place), longest, deadline, self.0.stopping.clone())))
    }

    async fn list_pending_conversions(
        &self,
        request: Request<ListPendingConversionsRequest>,
    ) -> Result<Response<ListPendingConversionsResponse>, Status> {
        let caller = Caller::of(&request);
        let request = request.get_ref();
        let mut violations = Violations::default();
        let region = convert::region(request.region, &mut violations);
        let region = violations.unless_any(region)?;
        let rpc = Rpc::ListPendingConversions;
        let ask = Ask { rpc, project: &request.project, access_key: "", region, mint: None };
        let (_, access, _) = self.0.admit(&caller, &Entry::of(ask)).await?;
        let pending = self.0.whiteboard.pending_conversions(&access).await;
        let pending = pending.map_err(|error| Error::Upstream(error, Missing::Nothing))?;
        let conversions = pending.into_iter().map(|conversion| PendingConversion {
            uuid: conversion.uuid,
            status: match conversion.status {
                0 => proto::ConversionStatus::Waiting.into(),
                1 => proto::ConversionStatus::Converting.into(),
                _ => proto::ConversionStatus::Unknown.into(),
            },
        });
        Ok(Response::new(ListPendingConversionsResponse { conversions: conversions.collect() }))
    }

    async fn cancel_conversion(
        &self,
        request: Request<CancelConversionRequest>,
    ) -> Result<Response<CancelConversionResponse>, Status> {
        let body = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(body.uuid, &mut violations);
        let target = violations.unless_any(target)?;
        let (access, _) = self.0.access_to(Rpc::CancelConversion, &request, &target).await?;
        self.0.whiteboard.cancel_conversion(&access, target.uuid).await.map_err(conversion_missing)?;
        self.0.watcher.changed(&access, target.uuid);
        Ok(Response::new(CancelConversionResponse {}))
    }

    async fn prioritize_conversion(
        &self,
        request: Request<PrioritizeConversionRequest>,
    ) -> Result<Response<PrioritizeConversionResponse>, Status> {
        let body = request.get_ref();
        let mut violations = Violations::default();
        let target = target!(body.uuid, &mut violations);
        let priority = priority(body.priority, &mut violations);
        let (target, priority) = violations.unless_any(target.zip(priority))?;
        let (access, _) = self.0.access_to(Rpc::PrioritizeConversion, &request, &target).await?;
        let moved = self.0.whiteboard.prioritize_conversion(&access, target.uuid, priority).await;
        moved.map_err(conversion_missing)?;
        Ok(Response::new(PrioritizeConversionResponse {}))
    }
}

fn priority(number: i32, violations: &mut Violations) -> Option<Priority> {
    match proto::Priority::try_from(number) {
        Ok(proto::Priority::Highest) => Some(Priority::Highest),
        Ok(proto::Priority::Lowest) => Some(Priority::Lowest),
        Ok(proto::Priority::Unspecified) | Err(_) => {
            violations.add("priority", "must be PRIORITY_HIGHEST or PRIORITY_LOWEST");
            None
        }
    }
}

/// `access_key`: of the key that started it, where this call did.
pub(super) fn describe(conversion: Conversion, access_key: &str) -> proto::Conversion {
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
        failure: (status == Progress::Failed).then(|| failures::describe(conversion.error_code)),
        access_key: access_key.to_owned(),
    }
}

fn status_to_proto(status: Progress) -> proto::ConversionStatus {
    match status {
        Progress::Waiting => proto::ConversionStatus::Waiting,
        Progress::Converting => proto::ConversionStatus::Converting,
        Progress::Finished => proto::ConversionStatus::Finished,
        Progress::Failed => proto::ConversionStatus::Failed,
        Progress::Cancelled => proto::ConversionStatus::Cancelled,
        Progress::Unknown => proto::ConversionStatus::Unknown,
    }
}

fn page((number, page): (i32, Page)) -> proto::ConversionPage {
    proto::ConversionPage { page: number, url: page.url, width_px: page.width, height_px: page.height }
}

#[expect(clippy::cast_possible_truncation, reason = "0 to 100")]
fn percentage(percentage: f64) -> i32 {
    percentage.clamp(0.0, 100.0) as i32
}
