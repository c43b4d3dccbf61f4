//! The vendor's error codes of file conversions, and what to do about them.
//! Source: "File conversion", section "Error codes", of the Interactive Whiteboard REST API.

use crate::proto::ConversionFailure;

/// Codes, what they mean, and what to do.
const FAILURES: [(&[&str], &str, &str); 20] = [
    (&["2010201"], "the file format is not supported", USE_ANOTHER_FORMAT),
    (
        &["2010202"],
        "a dynamic conversion takes PPTX only",
        "save the file as PPTX, or start a static conversion",
    ),
    (&["2010203"], "too many conversions are waiting", TRY_LATER),
    (&["2010605", "2011301"], "the conversion does not exist", "start it again"),
    (&["2010606"], "the project was not found, or conversions are off in this region", ASK_OPERATOR),
    (&["2011201", "2040005"], "the conversion took too long", "split the file, or try again later"),
    (&["2030100"], "the file could not be downloaded from storage", CHECK_URL),
    (&["2030101"], "the file could not be unpacked", REPAIR),
    (&["2030102"], "a media file that the presentation uses is missing", "embed the media in the file"),
    (&["2030200"], "the presentation's XML could not be read", REPAIR),
    (&["2030201", "2030202"], "a formula in an animation could not be read", "remove that animation"),
    (&["2050100", "2110100", "2110108"], "the file type is not supported", USE_ANOTHER_FORMAT),
    (&["2050101", "2110101", "2120301"], "the file could not be downloaded", CHECK_URL),
    (&["2050102", "2110102", "2120201"], "the file is empty", "upload the file again"),
    (&["2050107", "2110107"], "the file's URL could not be encoded", "use a URL of plain ASCII"),
    (&["2050201", "2110201", "2050299", "2110202"], "the file could not be parsed", REPAIR),
    (&["2050401"], "the previews could not be made", "start the conversion without previews"),
    (&["2060402"], "fonts are missing", "embed the fonts in the file"),
    (&["2090304"], "the result could not be uploaded to the project's storage", ASK_OPERATOR),
    (&["2090305"], "the storage provider is not supported", ASK_OPERATOR),
];

const USE_ANOTHER_FORMAT: &str = "use PPT, PPTX, DOC, DOCX or PDF";
const TRY_LATER: &str = "try again later";
const ASK_OPERATOR: &str =
    "ask the project's owner to look at its storage and features in the vendor's console";
const CHECK_URL: &str = "check that the URL is public and answers quickly";
const REPAIR: &str = "open the file, repair it, save it again, and start again";

/// What a code means.
pub(super) fn describe(code: String) -> ConversionFailure {
    let known = FAILURES.iter().find(|(codes, ..)| codes.contains(&&*code));
    let (message, advice) = known
        .map_or(("the vendor gives no reason that is documented", TRY_LATER), |(_, message, advice)| {
            (*message, *advice)
        });
    ConversionFailure { code, message: message.to_owned(), advice: advice.to_owned() }
}
