//! Projects: as an application's test gives them, and as the vendor knows them.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{hex, token::SigningKey};

/// A project, whose keys all open the same rooms and tasks.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its `teamUUID` and `appUUID` are derived from it.
    pub name: String,
    /// Its access keys, each with its secret key.
    pub keys: Vec<Arc<SigningKey>>,
}

/// A project as the vendor knows it: a team with one app.
pub(super) struct Team {
    pub(super) name: String,
    pub(super) app: Arc<App>,
    pub(super) disabled: bool,
    pub(super) keys: Vec<AccessKey>,
}

/// The two halves of an app identifier.
pub(super) struct App {
    pub(super) team_uuid: String,
    pub(super) app_uuid: String,
}

/// A project's access key.
pub(super) struct AccessKey {
    pub(super) key: Arc<SigningKey>,
    pub(super) revoked: bool,
}

impl Team {
    /// Both uuids are derived from the name, so that they are the same after a restart.
    pub(super) fn new(project: Project) -> Self {
        let digest = hex::encode(&Sha256::digest(&project.name).into());
        let (team, app) = digest.split_at(32);
        Self {
            name: project.name,
            app: Arc::new(App { team_uuid: team.to_owned(), app_uuid: app.to_owned() }),
            disabled: false,
            keys: project.keys.into_iter().map(|key| AccessKey { key, revoked: false }).collect(),
        }
    }
}
