//! Callers of another TLS stack: Python's grpcio.

use std::{ffi::OsString, process::Command};

use super::{ID, TlsService};
use crate::helpers::skipped::not_installed;

/// Speaks gRPC without generated code: an `IssueTokenRequest` is made by hand.
const CALLER: &str = r#"
import sys, grpc
target, ca, kind = sys.argv[1:4]
read = lambda path: open(path, "rb").read()
pair = sys.argv[4:6] if kind == "certificate" else None
credentials = grpc.ssl_channel_credentials(read(ca), read(pair[1]) if pair else None, read(pair[0]) if pair else None)
metadata = [("x-api-key", read(sys.argv[4]).decode().strip())] if kind == "key" else []
with grpc.secure_channel(target, credentials) as channel:
    call = channel.unary_unary("/inkpass.v1.TokenService/IssueToken", lambda m: m, lambda m: m)
    request = bytes([0x12, 0, 0x28, 3])  # sdk {}, role READER
    try:
        answer = call(request, metadata=metadata, timeout=20)
        print("OK" if b"NETLESSSDK_" in answer else answer)
    except grpc.RpcError as error:
        print(error.code().name)
"#;

/// `INKPASS_PYTHON`, or the first in PATH.
pub(crate) fn python() -> OsString {
    std::env::var_os("INKPASS_PYTHON").unwrap_or_else(|| "python3".into())
}

pub(crate) fn has_grpcio() -> bool {
    Command::new(python()).args(["-c", "import grpc"]).output().is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn python_s_grpcio_is_let_in_by_certificate_and_by_api_key_and_not_without() {
    if !has_grpcio() {
        not_installed("Python with grpcio, as INKPASS_PYTHON or python3");
        return;
    }
    let service = TlsService::start().await;
    let (certificate, key) = service.ca.sign_caller(ID);
    let path = |name: &str| service.ca.path(name).to_str().unwrap().to_owned();
    let server = format!("localhost:{}", service.grpc.port());
    let (certificate, key) = (certificate.to_str().unwrap().to_owned(), key.to_str().unwrap().to_owned());
    for (arguments, expected) in [
        (vec!["certificate".to_owned(), certificate, key], "OK"),
        (vec!["key".to_owned(), path("api-key")], "OK"),
        (vec!["nothing".to_owned()], "UNAUTHENTICATED"),
    ] {
        let mut command = tokio::process::Command::new(python());
        let output = command.args(["-c", CALLER, &server, &path("ca.crt")]).args(&arguments).output().await;
        let output = output.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.trim(), expected, "{}", String::from_utf8_lossy(&output.stderr));
    }
}
