//! Pages of rooms.
//!
//! The upstream's list begins at a uuid, that one included, and has no mark of a next page: so a
//! page asks for one room more than it gives, and drops the first of them, which the page before
//! ended with.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::parse::Violations;
use crate::{
    error::{Error, Reason},
    methods::Rpc,
    region::Region,
    whiteboard::{Access, Error as Upstream, PathUuid, Room, RoomList, Whiteboard},
};

/// The most that the upstream gives at once.
const LARGEST_PAGE: usize = 1000;

/// The page size that a request means.
pub(super) fn size(asked: i32, violations: &mut Violations) -> Option<usize> {
    match usize::try_from(asked) {
        Ok(0) => Some(100),
        Ok(size) => Some(size.min(LARGEST_PAGE)),
        Err(_) => {
            violations.add("page_size", "must not be negative; 0 is 100");
            None
        }
    }
}

/// What is wrong with a page token that no page of this list gave.
pub(super) fn foreign_token() -> Error {
    Error::invalid("page_token", "must be the next_page_token of a page with the same project and region")
}

/// The list that a page token belongs to.
#[derive(Clone, Copy)]
pub(super) struct List<'a> {
    pub(super) project: &'a str,
    pub(super) region: Region,
}

impl List<'_> {
    /// Where the page begins; the first page's token is empty.
    pub(super) fn open(self, page_token: &str) -> Result<Option<String>, Error> {
        if page_token.is_empty() {
            return Ok(None);
        }
        let last = BASE64_URL_SAFE_NO_PAD
            .decode(page_token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| Some(text.strip_prefix(&self.mark())?.to_owned()))
            .filter(|uuid| PathUuid::new(uuid).is_some());
        last.map(Some).ok_or_else(foreign_token)
    }

    fn seal(self, last: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(format!("{}{last}", self.mark()))
    }

    fn mark(self) -> String {
        format!("1/{}/{}/", self.project, self.region)
    }

    /// A page, and the token of the next one, empty after the last.
    pub(super) async fn page(
        self,
        whiteboard: &Whiteboard,
        access: &Access,
        after: Option<&str>,
        size: usize,
    ) -> Result<(Vec<Room>, String), Upstream> {
        let begin = after.and_then(PathUuid::new);
        let asked = (size + 1 + usize::from(begin.is_some())).min(LARGEST_PAGE);
        let RoomList { mut rooms, received } = whiteboard.rooms(access, begin, asked).await?;
        // One that cannot be read counts: there may be more after it.
        let is_full = received >= asked;
        if begin.is_some() && rooms.len() > 1 && rooms.last().is_some_and(|room| Some(&*room.uuid) == after) {
            return Err(strange(access, "a list that ends where it should begin"));
        }
        if rooms.first().is_some_and(|room| Some(&*room.uuid) == after) {
            rooms.remove(0);
        }
        let more = rooms.len() > size || is_full;
        rooms.truncate(size);
        let next = match rooms.last() {
            Some(last) if more => self.seal(&last.uuid),
            // Where none of so many can be read, there is no mark to go on from.
            None if is_full => return Err(strange(access, "a page without a room that can be read")),
            _ => String::new(),
        };
        Ok((rooms, next))
    }
}

/// An answer that is read, and whose pages are none.
fn strange(access: &Access, detail: &str) -> Upstream {
    tracing::warn!(
        reason = Reason::UpstreamUnexpectedAnswer.name(),
        rpc = Rpc::ListRooms.name(),
        project = &*access.project,
        region = access.region.as_str(),
        access_key = access.key.access_key(),
        upstream.detail = detail,
        "an upstream call failed"
    );
    Upstream::UnexpectedAnswer { detail: detail.to_owned() }
}
