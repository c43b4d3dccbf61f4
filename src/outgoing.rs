//! How this process calls others over HTTP: through which proxy, and whom it trusts.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Certificate, Client, ClientBuilder, redirect, retry};
use rustls::RootCertStore;
use url::Url;

use crate::{clock::UnixMillis, document::Mistake, tls};

/// For the name, the connection, the proxy's tunnel and the TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Which way calls leave.
#[derive(Clone, Debug, Default)]
pub enum Route {
    /// Through no proxy.
    Direct,
    /// As `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say, in upper or lower case.
    #[default]
    Environment,
    /// Through this proxy, whatever the variables say.
    Proxy(Proxy),
}

/// A proxy that is spoken to by HTTP, or by HTTPS. What is called through it is HTTPS within a tunnel.
#[derive(Clone)]
pub struct Proxy(Url);

impl FromStr for Proxy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let url = Url::parse(text).map_err(|_| ())?;
        let is_proxy = matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/";
        let is_plain = url.query().is_none() && url.fragment().is_none();
        if is_proxy && is_plain { Ok(Self(url)) } else { Err(()) }
    }
}

impl fmt::Debug for Proxy {
    /// Without its user and password, which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        write!(
            f,
            "Proxy({}://{host}:{})",
            self.0.scheme(),
            self.0.port_or_known_default().unwrap_or_default()
        )
    }
}

/// The variable by which this URL is called through a proxy of SOCKS, which no client here speaks to.
pub(crate) fn unspoken_proxy(environment: &[(OsString, OsString)], url: &Url) -> Option<&'static str> {
    let variable = |names: &[&'static str]| {
        names.iter().find_map(|&name| {
            let (_, value) = environment.iter().find(|(known, _)| known == name)?;
            Some((name, value.to_str()?))
        })
    };
    if variable(&["REQUEST_METHOD"]).is_some() {
        return None;
    }
    let (_, direct) = variable(&["NO_PROXY", "no_proxy"]).unwrap_or_default();
    let url = url.as_str().parse().ok()?;
    // The first that names any proxy counts, as it does for the clients.
    let named =
        [&["HTTPS_PROXY", "https_proxy"], &["ALL_PROXY", "all_proxy"]].into_iter().find_map(|names| {
            let (name, proxy) = variable(names)?;
            let proxy = Matcher::builder().https(proxy).no(direct).build().intercept(&url)?;
            Some((name, proxy.uri().scheme_str()?.starts_with("socks")))
        });
    named.filter(|(_, is_socks)| *is_socks).map(|(name, _)| name)
}

/// The CAs of a file.
#[derive(Clone, Debug)]
pub struct Roots {
    file: PathBuf,
    certificates: Vec<Certificate>,
}

impl Roots {
    /// Reads a file of CAs in PEM form.
    ///
    /// # Errors
    /// It cannot be read, holds what is no CA, or none that is valid now.
    pub fn load(file: &Path, now: UnixMillis) -> Result<Self, Mistake> {
        let certificates = tls::read_certificates(file)?;
        let mistake = |what: String| Mistake::in_file(file, what);
        for certificate in &certificates {
            let added = RootCertStore::empty().add(certificate.clone());
            added.map_err(|error| mistake(format!("holds no CA: {error}")))?;
        }
        // A file may keep a CA that is over beside the one that follows it.
        let mut valid = certificates.iter().map(|certificate| tls::validity(certificate, now));
        if let Some(Err(why)) = valid.next()
            && valid.all(|other| other.is_err())
        {
            return Err(mistake(why));
        }
        let certificates = certificates.iter().map(|certificate| Certificate::from_der(certificate));
        let certificates =
            certificates.collect::<Result<_, _>>().map_err(|_| mistake("cannot be read".to_owned()))?;
        Ok(Self { file: file.to_owned(), certificates })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn certificates(&self) -> Vec<Certificate> {
        self.certificates.clone()
    }
}

/// A client for a URL's host: it follows no redirect, and sends nothing a second time by itself. Calls set their own
/// time limit.
pub(crate) fn client(url: &Url, route: &Route) -> reqwest::Result<ClientBuilder> {
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("inkpass/", env!("CARGO_PKG_VERSION")));
    Ok(match route {
        // Plaintext is for what is nearby: it needs no CA roots, which an image may not have, and must not go
        // through a proxy.
        _ if url.scheme() == "http" => builder.tls_certs_only([]).no_proxy(),
        Route::Direct => builder.no_proxy(),
        Route::Environment => builder,
        Route::Proxy(Proxy(proxy)) => builder.proxy(reqwest::Proxy::all(proxy.clone())?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_url_of_http_alone_and_does_not_show_its_password() {
        for proxy in ["http://proxy:3128", "https://proxy", "http://user:secret@[::1]:3128/"] {
            let shown = format!("{:?}", Route::Proxy(proxy.parse().unwrap()));
            assert!(!shown.contains("user") && !shown.contains("secret"), "{shown}");
        }
        for wrong in
            ["", "proxy", "proxy:3128", "socks5://proxy", "http://", "http://proxy/path", "http://proxy?q"]
        {
            assert!(wrong.parse::<Proxy>().is_err(), "{wrong}");
        }
    }
}
