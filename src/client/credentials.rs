//! The credential that each call presents, read from a file that may change.

use std::{
    fmt, fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use super::connect_error::ConnectError;

/// How long a credential is used before its file is read again.
const CACHE_TIME: Duration = Duration::from_secs(1);

/// A file that holds a credential; one newline at its end is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialFile {
    /// A JWT, such as a projected Kubernetes service account token.
    Token(PathBuf),
    /// An API key, as `inkpass api-key new` prints it.
    ApiKey(PathBuf),
}

impl CredentialFile {
    const fn header(&self) -> &'static str {
        match self {
            Self::Token(_) => "authorization",
            Self::ApiKey(_) => "x-api-key",
        }
    }

    const fn path(&self) -> &PathBuf {
        match self {
            Self::Token(path) | Self::ApiKey(path) => path,
        }
    }

    /// The header's value, marked sensitive: logs do not show it, and HPACK does not index it.
    fn read(&self) -> io::Result<MetadataValue<Ascii>> {
        let text = fs::read_to_string(self.path())?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let value = match self {
            Self::Token(_) => format!("Bearer {text}"),
            Self::ApiKey(_) => text.to_owned(),
        };
        let not_one = |_| io::Error::new(io::ErrorKind::InvalidData, "it does not hold a credential alone");
        let mut value = MetadataValue::try_from(value).map_err(not_one)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// A connection that presents a credential with each call.
pub type Connection = InterceptedService<Channel, Credentials>;

/// Adds the credential, if there is one, to each call. Cloning it is cheap.
#[derive(Clone)]
pub struct Credentials(Option<Arc<CachedCredential>>);

struct CachedCredential {
    file: CredentialFile,
    last: Mutex<(Instant, MetadataValue<Ascii>)>,
}

impl Credentials {
    pub(super) fn new(file: Option<CredentialFile>) -> Result<Self, ConnectError> {
        let Some(file) = file else { return Ok(Self(None)) };
        let value = file.read().map_err(|error| ConnectError::File(file.path().clone(), error))?;
        let last = Mutex::new((Instant::now(), value));
        Ok(Self(Some(Arc::new(CachedCredential { file, last }))))
    }
}

impl CachedCredential {
    /// The file's credential; the last known good one while the file cannot be read.
    fn value(&self) -> MetadataValue<Ascii> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0.elapsed() >= CACHE_TIME {
            let value = self.file.read().unwrap_or_else(|_| last.1.clone());
            *last = (Instant::now(), value);
        }
        last.1.clone()
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(cached) = &self.0 {
            request.metadata_mut().insert(cached.file.header(), cached.value());
        }
        Ok(request)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.0.as_ref().map(|cached| &cached.file)).finish()
    }
}
