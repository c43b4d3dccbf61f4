//! Certificates in PEM form.

use rustls_pki_types::{
    CertificateDer,
    pem::{self, PemObject},
};

/// What a certificate begins with, as it is meant or as other tools write it.
const BEGINS: [&[u8]; 3] = [
    b"-----BEGIN CERTIFICATE-----",
    b"-----BEGIN X509 CERTIFICATE-----",
    b"-----BEGIN TRUSTED CERTIFICATE-----",
];

const IN_PAIRS: &str =
    "is not PEM: each -----BEGIN and each -----END must be on a line of its own, and in pairs";

/// All certificates of a text, one at least. The parser passes over what stands between them, and so over one whose
/// beginning it does not see: joined files may lack the end of a line, or have a byte order mark.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let read = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let read = read.map_err(|error| in_our_words(&error))?;
    let begun: usize = text.split(|byte| b"\r\n".contains(byte)).map(begun).sum();
    match (read.len(), begun) {
        (0, 0) => Err("holds no certificate in PEM form"),
        (read, begun) if read < begun => Err(UNSEEN),
        _ => Ok(read),
    }
}

const UNSEEN: &str = "holds a certificate that would be passed over: each must begin with \
                      -----BEGIN CERTIFICATE----- on a line of its own, without a byte order mark";

/// How many certificates a line seems to begin. One may be left out on purpose.
fn begun(line: &[u8]) -> usize {
    let count = |begin: &[u8]| line.windows(begin.len()).filter(|part| *part == begin).count();
    if line.trim_ascii_start().starts_with(b"#") { 0 } else { BEGINS.map(count).into_iter().sum() }
}

/// The parser's message quotes the file, which may hold a private key.
pub(crate) const fn in_our_words(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "holds no PEM item of the expected kind",
        pem::Error::IllegalSectionStart { .. } | pem::Error::MissingSectionEnd { .. } => IN_PAIRS,
        pem::Error::Base64Decode(_) => "is not PEM: the text between BEGIN and END is not base64",
        _ => "cannot be read as PEM",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn no_certificate_of_a_text_is_passed_over() {
        let other = ONE.replace("AAAA", "BBBB");
        let ended = ONE.trim_end();
        for (text, count) in [
            (ONE.to_owned(), 1),
            (format!("{ONE}{other}"), 2),
            (format!("a subject\n\n{ONE}# the next \u{fc}\n{other}the end"), 2),
            (ONE.replace('\n', "\r\n"), 1),
            (format!("{ONE}-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n"), 1),
            (format!("{ONE}#{}", other.replace('\n', "\n# ")), 1),
        ] {
            assert_eq!(certificates(text.as_bytes()).map(|read| read.len()), Ok(count), "{text:?}");
        }
        for text in [
            format!("{ended}{other}"),
            format!("\u{feff}{ONE}"),
            format!("\u{feff}{ONE}{other}"),
            format!("{ONE} {other}"),
            format!("{ONE}{}", other.replace("CERTIFICATE", "TRUSTED CERTIFICATE")),
            ONE.replace("CERTIFICATE", "X509 CERTIFICATE"),
        ] {
            assert_eq!(certificates(text.as_bytes()), Err(UNSEEN), "{text:?}");
        }
        assert_eq!(certificates(b"{}"), Err("holds no certificate in PEM form"));
        assert_eq!(certificates(&ended.as_bytes()[..40]), Err(IN_PAIRS));
    }
}
