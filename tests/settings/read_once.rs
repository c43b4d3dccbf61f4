//! Each file is opened once, and what a service is made of is in the `Config`.

use std::{fs, mem::MaybeUninit, sync::Arc};

use inkpass::{
    caller::Callers,
    clock::{ManualClock, UnixMillis},
    config::Sources,
    telemetry::Metrics,
};
use rustix::fs::inotify;

use super::{Files, GOOD, load};
use crate::{helpers::NOW, policy::CLASSROOM};

#[test]
fn each_file_is_opened_once_and_not_needed_again() {
    let settings = "[identity]\napi_keys_file = 'DIR/callers.toml'\n[policy]\nfile = 'DIR/policy.toml'\n\
                    [server]\nlisten = '127.0.0.1:1'\n[audit]\nsalt_file = 'DIR/salt'\n";
    let files = Files::new(&format!("{settings}{GOOD}"));
    let digest = "0".repeat(64);
    files.write("callers.toml", format!("[[api_keys]]\nprincipal = 'key:a'\nsha256 = '{digest}'\n"), 0o440);
    files.write("policy.toml", CLASSROOM, 0o440);
    files.write("salt", "a-salt-of-some-length", 0o440);
    let directory = files.directory.path().to_owned();

    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    // With only one kind of event, two of one file in a row would be told as one.
    let kinds = inotify::WatchFlags::OPEN | inotify::WatchFlags::CLOSE;
    inotify::add_watch(&watch, &directory, kinds).unwrap();
    let file = Some(directory.join("inkpass.toml"));
    let config = load(&Sources { file, ..Sources::default() }).unwrap();
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    let mut opened = Vec::new();
    while let Ok(event) = events.next() {
        let is_open = event.events().contains(inotify::ReadFlags::OPEN);
        opened.extend(event.file_name().filter(|_| is_open).map(|name| name.to_str().unwrap().to_owned()));
    }
    opened.sort();
    assert_eq!(opened, ["access", "callers.toml", "inkpass.toml", "policy.toml", "salt", "secret"]);

    for name in opened {
        fs::remove_file(directory.join(name)).unwrap();
    }
    let clock = Arc::new(ManualClock::new(UnixMillis::new(NOW).unwrap()));
    let callers = Callers::new(config.identity.unwrap(), clock, &Metrics::new([]).unwrap());
    assert_eq!(callers.reloads().len(), 1);
}
