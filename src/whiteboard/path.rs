//! What the paths of the REST API say of a call.

use super::answer::Names;

/// A path without its query, and with `{uuid}` in place of a room's or task's: few names for many
/// calls.
pub(super) fn template(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    for collection in ["/v5/rooms/", "/v5/projector/tasks/"] {
        if let Some(rest) = path.strip_prefix(collection) {
            let after = rest.find('/').map_or("", |at| &rest[at..]);
            return format!("{collection}{{uuid}}{after}");
        }
    }
    path.to_owned()
}

/// What a path names, or the body that goes with it.
pub(super) fn names(path: &str) -> Names {
    let template = template(path);
    if template.contains("{uuid}/scene") || template.contains("{uuid}/screenshot") {
        Names::Scene
    } else if template.contains("{uuid}") || path.contains("beginUUID=") {
        Names::Something
    } else {
        Names::Nothing
    }
}
