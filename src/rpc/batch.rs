//! The request of `BatchIssueTokens`, decoded in slices: half a megabyte of what a caller likes would hold a thread for some
//! milliseconds.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response};
use http_body::Body as HttpBody;
use prost::Message;
use tonic::{
    Status,
    body::Body,
    codegen::{BoxFuture, StdError},
    server::{Grpc, UnaryService},
};

use self::undecoded::BatchIssueTokensRequest as Undecoded;
use super::tokens::Tokens;
use crate::{
    codec::Codec,
    error::Error,
    methods::Rpc,
    proto::{
        BatchIssueTokensRequest, BatchIssueTokensResponse, IssueTokenRequest,
        token_service_server::TokenService,
    },
    turn::give_way,
};

/// So many bytes are decoded at once, at most.
const SLICE: usize = Rpc::IssueToken.row().largest_request;

/// What an element costs besides its bytes: about as much as so many of them.
const ELEMENT: usize = 64;

/// A request whose elements are not decoded.
mod undecoded {
    use bytes::Bytes;
    use prost::Message;

    /// It has the request's own name, because what is told of a broken one names it.
    #[derive(Clone, PartialEq, Message)]
    pub(super) struct BatchIssueTokensRequest {
        #[prost(bytes = "bytes", repeated, tag = "1")]
        pub(super) requests: Vec<Bytes>,
    }
}

impl Undecoded {
    /// Gives way to other tasks after each [`SLICE`]. An element may be as long as a request for one token.
    async fn decode_in_slices(self) -> Result<BatchIssueTokensRequest, Status> {
        let mut requests = Vec::with_capacity(self.requests.len());
        let mut slice = 0;
        for (index, request) in self.requests.into_iter().enumerate() {
            if request.len() > SLICE {
                return Err(Error::invalid(format!("requests[{index}]"), "must be at most 16 KiB").into());
            }
            let size = request.len() + ELEMENT;
            if slice > 0 && slice + size > SLICE {
                give_way().await;
                slice = 0;
            }
            slice += size;
            let request = IssueTokenRequest::decode(request);
            requests.push(request.map_err(|error| Status::internal(error.to_string()))?);
        }
        Ok(BatchIssueTokensRequest { requests })
    }
}

struct Handler(Arc<Tokens>);

impl UnaryService<Undecoded> for Handler {
    type Response = BatchIssueTokensResponse;
    type Future = BoxFuture<tonic::Response<BatchIssueTokensResponse>, Status>;

    fn call(&mut self, request: tonic::Request<Undecoded>) -> Self::Future {
        let tokens = self.0.clone();
        Box::pin(async move {
            let (metadata, extensions, batch) = request.into_parts();
            let batch = batch.decode_in_slices().await?;
            tokens.batch_issue_tokens(tonic::Request::from_parts(metadata, extensions, batch)).await
        })
    }
}

/// Hands a call to its handler, as tonic's service does for other calls. `longest_answer`: in bytes.
pub(super) fn call<B>(
    tokens: Arc<Tokens>,
    longest_answer: usize,
    request: Request<B>,
) -> BoxFuture<Response<Body>, Infallible>
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    Box::pin(async move {
        let mut grpc = Grpc::new(Codec::<BatchIssueTokensResponse, Undecoded>::default())
            .max_decoding_message_size(Rpc::BatchIssueTokens.row().largest_request)
            .max_encoding_message_size(longest_answer);
        Ok(grpc.unary(Handler(tokens), request).await)
    })
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Context};

    use bytes::Bytes;

    use super::*;
    use crate::proto::{RoomScope, issue_token_request::Scope};

    /// The request, and how often others went first.
    fn decode(undecoded: Undecoded) -> (Result<BatchIssueTokensRequest, Status>, usize) {
        let mut decoding = pin!(undecoded.decode_in_slices());
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut turns = 0;
        loop {
            match decoding.as_mut().poll(&mut context) {
                std::task::Poll::Ready(decoded) => return (decoded, turns),
                std::task::Poll::Pending => turns += 1,
            }
        }
    }

    #[test]
    fn a_batch_is_decoded_in_slices_to_what_it_is() {
        let scope = Some(Scope::Room(RoomScope { uuid: "u".repeat(100), access_key: String::new() }));
        let request = IssueTokenRequest { scope, role: 3, ..IssueTokenRequest::default() };
        let batch = BatchIssueTokensRequest { requests: vec![request; 1000] };
        let undecoded = Undecoded::decode(&*batch.encode_to_vec()).unwrap();
        let (decoded, turns) = decode(undecoded);
        assert_eq!(decoded.unwrap(), batch);
        assert!((9..=12).contains(&turns), "{turns}");
        assert_eq!(decode(Undecoded { requests: vec![Bytes::new(); 1000] }).1, 3);
    }

    #[test]
    fn an_element_is_no_longer_than_a_slice_and_must_be_a_request() {
        let fields = |bytes: usize| Undecoded { requests: vec![[0x0a, 0].repeat(bytes / 2).into()] };
        assert!(decode(fields(SLICE)).0.is_ok());
        let refused = decode(fields(SLICE + 2)).0.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused:?}");
        let refused = decode(Undecoded { requests: vec![vec![0xff].into()] }).0.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Internal, "{refused:?}");
    }

    #[test]
    fn a_broken_batch_is_told_by_the_name_that_callers_know() {
        // A number, where there is to be a message.
        let error = Undecoded::decode(&[8, 1][..]).unwrap_err().to_string();
        assert!(error.contains("BatchIssueTokensRequest.requests"), "{error}");
    }
}
