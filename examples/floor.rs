//! The least that a call can cost: tonic as it comes, and a constant answer.
//!
//! `floor ADDRESS [CERTIFICATE KEY]` answers `IssueToken` with as many bytes as inkpass does for a Room token; with a
//! certificate over TLS. It reads the request and looks at nothing. Built with inkpass's allocator and profile, it is
//! what `just bench-load` divides by. It also takes traces, and keeps none.

use std::{
    convert::Infallible,
    fs::read,
    future::{Ready, ready},
    net::SocketAddr,
    task::{Context, Poll},
};

use http::{Request, Response as HttpResponse};
use inkpass::proto::{IssueTokenRequest, IssueTokenResponse, Token};
use tonic::{
    Response, Status,
    body::Body,
    codegen::{BoxFuture, Service},
    server::{Grpc, NamedService, UnaryService},
    transport::{Identity, Server, ServerTlsConfig},
};
use tonic_prost::ProstCodec;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// With it the answer is as long as inkpass's.
const VALUE: usize = 357;

/// `TokenService`.
#[derive(Clone)]
struct Tokens(IssueTokenResponse);

impl NamedService for Tokens {
    const NAME: &'static str = "inkpass.v1.TokenService";
}

impl UnaryService<IssueTokenRequest> for Tokens {
    type Response = IssueTokenResponse;
    type Future = Ready<Result<Response<IssueTokenResponse>, Status>>;

    fn call(&mut self, _: tonic::Request<IssueTokenRequest>) -> Self::Future {
        ready(Ok(Response::new(self.0.clone())))
    }
}

/// OpenTelemetry's collector: every message decodes as `()`, and an empty one is its answer.
#[derive(Clone)]
struct Traces;

impl NamedService for Traces {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl UnaryService<()> for Traces {
    type Response = ();
    type Future = Ready<Result<Response<()>, Status>>;

    fn call(&mut self, _: tonic::Request<()>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

/// Both have one method each, so every path of theirs is it.
macro_rules! serve {
    ($service:ty) => {
        impl Service<Request<Body>> for $service {
            type Response = HttpResponse<Body>;
            type Error = Infallible;
            type Future = BoxFuture<HttpResponse<Body>, Infallible>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<Body>) -> Self::Future {
                let service = self.clone();
                Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(service, request).await) })
            }
        }
    };
}

serve!(Tokens);
serve!(Traces);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments.next().ok_or("floor ADDRESS [CERTIFICATE KEY]")?.parse()?;
    let mut server = Server::builder();
    if let (Some(certificate), Some(key)) = (arguments.next(), arguments.next()) {
        let identity = Identity::from_pem(read(certificate)?, read(key)?);
        server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
    }
    let token = Token { value: "x".repeat(VALUE), ..Token::default() };
    let tokens = Tokens(IssueTokenResponse { token: Some(token) });
    Ok(server.add_service(tokens).add_service(Traces).serve(address).await?)
}
