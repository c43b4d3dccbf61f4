//! The emulator's own controls, under `/_emulator/`.
//!
//! They take no token: the emulator holds no real secrets, and these calls show none.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiError, Call, CallResult, Feature, World};
use crate::emulator::{faults::NewFault, project::Team, world::Partition};

/// `POST /_emulator/faults`.
pub(super) fn add_fault(world: &mut World, call: &Call) -> CallResult {
    let fault = call.json::<NewFault>()?.build()?;
    world.faults.add(fault);
    Ok(Answer::created(json!({})))
}

/// `DELETE /_emulator/faults`.
pub(super) fn clear_faults(world: &mut World) -> Answer {
    world.faults.clear();
    Answer::ok(json!({}))
}

/// `GET /_emulator/requests`: the last 10,000, the oldest first.
pub(super) fn requests(world: &World) -> Answer {
    Answer::ok(world.requests.json())
}

/// `POST /_emulator/reset`: back to the start.
pub(super) fn reset(world: &mut World) -> Answer {
    world.reset();
    Answer::created(json!({}))
}

/// `PUT /_emulator/features`: switches what is named, in a region, for all projects.
pub(super) fn switch_features(world: &mut World, call: &Call) -> CallResult {
    let Features { region, conversion, screenshots } = call.json()?;
    let region = region.parse().map_err(|error| ApiError::invalid(format!("region {error}")))?;
    let wanted = [(Feature::Conversion, conversion), (Feature::Screenshots, screenshots)];
    if wanted.iter().all(|(_, on)| on.is_none()) {
        return Err(ApiError::invalid("conversion or screenshots must be given"));
    }
    for (feature, on) in wanted {
        if let Some(on) = on {
            world.switch(region, feature, on);
        }
    }
    Ok(Answer::ok(json!({})))
}

/// `PUT /_emulator/projects`: `disabled` is the key's whole project, `revoked` the key alone, and
/// `active` takes both back.
pub(super) fn set_project_state(world: &mut World, call: &Call) -> CallResult {
    let KeyStateChange { access_key, state } = call.json()?;
    let (team, key) = world
        .projects
        .iter_mut()
        .find_map(|team| {
            let index = team.keys.iter().position(|known| known.key.access_key() == access_key)?;
            Some((team, index))
        })
        .ok_or_else(|| ApiError::invalid("access_key is not known"))?;
    match state {
        State::Active => (team.disabled, team.keys[key].revoked) = (false, false),
        State::Disabled => team.disabled = true,
        State::Revoked => team.keys[key].revoked = true,
    }
    Ok(Answer::ok(json!({})))
}

/// `GET /_emulator/state`: projects, rooms and tasks, without secrets.
pub(super) fn state(world: &World, call: &Call) -> Answer {
    let mut partitions: Vec<_> = world.partitions.iter().collect();
    partitions.sort_unstable_by_key(|(partition_key, _)| **partition_key);
    let (mut rooms, mut tasks) = (Vec::new(), Vec::new());
    for (partition_key, Partition { rooms: here, conversions }) in partitions {
        let origin = |access_key: &str| {
            let project = &world.projects[partition_key.project].name;
            json!({"project": project, "region": partition_key.region.as_str(), "access_key": access_key})
        };
        for room in here.iter() {
            let room_json = with(room.json(), &room.scenes.json());
            rooms.push(with(room_json, &origin(&room.access_key)));
        }
        for task in conversions.iter() {
            let task_json = with(task.json(conversions.position(task, call.now)), &origin(&task.access_key));
            tasks.push(with(task_json, &json!({"resource": task.resource})));
        }
    }
    let projects: Value = world.projects.iter().map(project_json).collect();
    Answer::ok(json!({"projects": projects, "rooms": rooms, "tasks": tasks}))
}

fn project_json(team: &Team) -> Value {
    let state = |revoked| match (team.disabled, revoked) {
        (true, _) => "disabled",
        (false, true) => "revoked",
        (false, false) => "active",
    };
    let keys = team
        .keys
        .iter()
        .map(|known| json!({"access_key": known.key.access_key(), "state": state(known.revoked)}));
    json!({
        "name": team.name,
        "teamUUID": team.app.team_uuid,
        "appUUID": team.app.app_uuid,
        "keys": keys.collect::<Value>(),
    })
}

/// Adds the fields of another object.
fn with(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    object
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Features {
    region: String,
    conversion: Option<bool>,
    screenshots: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyStateChange {
    access_key: String,
    state: State,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Active,
    Disabled,
    Revoked,
}
