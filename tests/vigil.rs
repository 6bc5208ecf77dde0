//! The bucket's rules while the daemon runs: one that is added after the start is seen within a day, stops the sending, and
//! is forgiven once it is gone. A daemon in this process, on a real server and a clock moved by hand; a test takes the
//! steps of its workers.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;
#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;

use machine::Machine;
use panicroom::clock::{Clock, ManualClock, SystemClock};
use panicroom::config;
use panicroom::daemon::gate::Gate;
use panicroom::daemon::home::Home;
use panicroom::daemon::open::House;
use panicroom::daemon::run::{Daemon, Step, Watching, steps};
use panicroom::daemon::vigil::{self, Vigil};
use panicroom::error::{Error, Kind};
use panicroom::seal::SystemEntropy;
use panicroom::worker::{Faults, Stop};
use servers::Server;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_rule_that_is_added_while_the_daemon_runs_stops_the_sending_within_a_day_until_it_is_gone() {
    let Some(server) = Server::moto() else { return };
    server.make_bucket("box");
    let machine = Machine::bare();
    let text = format!(
        "[[root]]\npath = \"{}\"\nquiet = \"0s\"\n[[vault]]\nname = \"main\"\nurl = \"s3://box/nas?{}\"\n\
         credentials_file = \"{}\"\ngather = \"0s\"\n[state]\ndir = \"{}\"\n[http]\nlisten = \"off\"\n",
        machine.data().display(),
        server.query(),
        server.credentials().display(),
        machine.state().display()
    );
    fs::write(machine.config(), &text).unwrap();
    machine.init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let settings = config::parse(&machine.config(), &text, &mut |_| Err(Error::path("none"))).unwrap();
    let clock = ManualClock::at(SystemClock::shared().wall());
    let house = House {
        home: Home::new(&settings.state_dir),
        settings: Arc::new(settings),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        entropy: Arc::new(SystemEntropy),
        stop: Stop::new(),
        faults: Faults::default(),
        runtime: runtime.handle().clone(),
        gate: Gate::default(),
    };
    let daemon = Daemon::new(house, Watching::Off).unwrap();
    daemon.open_idle();
    let vault = Arc::clone(&daemon.vaults[0]);
    let engine = vault.engine().expect("it opens");
    let mut vigil = Vigil::of(&vault, &daemon.house.gate, clock.steady());
    let mut look = || vigil::step(&vault, &engine, &mut vigil);
    let gets = || engine.store.requests().get;
    let begun = gets();
    assert!(matches!(look(), Ok(Step::Wait(_))));
    assert_eq!(gets(), begun, "the start has asked");
    clock.advance(DAY);
    for _ in 0..3 {
        assert!(matches!(look(), Ok(Step::Wait(_))));
    }
    assert_eq!(gets(), begun + 1, "one call a day");

    server.boto3(
        "s3.put_bucket_lifecycle_configuration(Bucket='box', LifecycleConfiguration={'Rules': [{'ID': 'tidy-up', \
         'Status': 'Enabled', 'Filter': {'Prefix': ''}, 'Expiration': {'Days': 365}}]})",
    );
    assert!(look().is_ok(), "it is not time yet");
    clock.advance(DAY);
    let red = look().unwrap_err();
    assert!(red.kind() == Kind::Operator && red.to_string().contains("'tidy-up' deletes data_*"), "{red}");
    let send = || {
        while engine.walk_due(None).unwrap() > 0 {}
        clock.advance(Duration::from_secs(60));
        steps::capture_step(&vault, &engine).unwrap();
        steps::upload_step(&vault, &engine, 0).unwrap();
        server.boto3("print(s3.list_objects_v2(Bucket='box', Prefix='nas/data_')['KeyCount'])")
    };
    assert_eq!(send(), "0", "nothing is sent");
    vault.paused.store(true, Ordering::SeqCst);
    let (still, asked) = (look().unwrap_err(), gets());
    assert_eq!((still.to_string(), gets()), (red.to_string(), asked), "a pause asks nothing and forgives nothing");
    vault.paused.store(false, Ordering::SeqCst);

    server.boto3("s3.delete_bucket_lifecycle(Bucket='box')");
    assert!(look().is_ok());
    assert_ne!(send(), "0");
    let events = engine.catalog.events(9).unwrap();
    assert!(events.iter().any(|event| event.2.contains("no rule of the bucket harms")), "{events:?}");
    drop(engine);
    daemon.close_idle();
}
