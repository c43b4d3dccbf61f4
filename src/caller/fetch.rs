//! One fetch of an issuer's keys over HTTP. Nothing is kept from fetch to fetch, so a CA or token
//! file that has changed needs no restart.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderValue, StatusCode, header::AUTHORIZATION};
use reqwest::{Certificate, Client};
use tokio::task::spawn_blocking;
use url::Url;
use zeroize::Zeroizing;

use super::jwk::{self, Key};
use crate::{
    error_chain::Causes,
    file,
    outgoing::{self, Route},
    own_thread::OwnThread,
};

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_ANSWER: usize = 256 * 1024;
const LONGEST_FILE: u64 = 1024 * 1024;

/// # Errors
/// What failed, in a sentence.
pub(super) async fn keys(
    url: Url,
    route: Route,
    ca_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
) -> Result<Vec<Key>, String> {
    let read = spawn_blocking(move || {
        let request = client(&url, &route, ca_file.as_deref())?.get(url);
        let thread = OwnThread::start("issuer").map_err(|error| format!("no thread for it: {error}"))?;
        Ok::<_, String>((thread, request, token_file.as_deref().map(bearer).transpose()?))
    });
    let (thread, mut request, bearer) = read.await.map_err(|_| "reading files broke off".to_owned())??;
    if let Some(bearer) = bearer {
        request = request.header(AUTHORIZATION, bearer);
    }
    let mut response = thread.connect(request.send()).await.map_err(describe)?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is {}", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(describe)? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(format!("the answer is longer than {LONGEST_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    jwk::parse(&body)
}

/// A client that trusts the CAs in a file instead of those of the system, if there is one.
///
/// # Errors
/// What is wrong with the file, in a sentence.
pub(super) fn client(url: &Url, route: &Route, ca_file: Option<&Path>) -> Result<Client, String> {
    let builder = outgoing::client(url, route).map_err(describe)?.timeout(FETCH_TIMEOUT);
    let builder = match ca_file {
        Some(path) => {
            let text = read(path)?;
            let certificates = Certificate::from_pem_bundle(&text).unwrap_or_default();
            if certificates.is_empty() {
                return Err(format!("{} holds no certificate in PEM form", path.display()));
            }
            builder.tls_certs_only(certificates)
        }
        None => builder,
    };
    builder.build().map_err(describe)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    file::read(path, LONGEST_FILE).map_err(|error| format!("{} {error}", path.display()))
}

fn bearer(path: &Path) -> Result<HeaderValue, String> {
    let header = Zeroizing::new([b"Bearer ", read(path)?.trim_ascii()].concat());
    let mut value =
        HeaderValue::from_bytes(&header).map_err(|_| format!("{} holds no token", path.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// An error with its causes. The URL is in the settings; it need not be in every line.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    format!("{error}{}", Causes(&error))
}
