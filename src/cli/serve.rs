//! The daemon with all its faces, and the pass that ends by itself. The start order: lock, engines, control socket,
//! page, timetable; the stop order is the reverse, within systemd's deadline.

use super::args::Line;
use super::{Answer, Exit, Failure, settings};
use crate::alert::{self, Alarm, Alerter};
use crate::clock::SystemClock;
use crate::config::Settings;
use crate::daemon::console::{Console, Mood, Overall, Status};
use crate::daemon::desk::Desk;
use crate::daemon::gate::Gate;
use crate::daemon::home::Home;
use crate::daemon::kind::step_back;
use crate::daemon::mistake;
use crate::daemon::open::House;
use crate::daemon::run::{Daemon, Watching};
use crate::error::{Error, Kind, Result};
use crate::model::{Rate, Size};
use crate::seal::{SystemEntropy, random};
use crate::web::ask::Ask;
use crate::web::control::{self, Control};
use crate::worker::{Faults, Stop};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_cron_scheduler::{Job, JobScheduler};

pub fn house(settings: &Arc<Settings>, runtime: &tokio::runtime::Runtime) -> House {
    House {
        home: Home::new(&settings.state_dir),
        settings: Arc::clone(settings),
        clock: SystemClock::shared(),
        entropy: Arc::new(SystemEntropy),
        stop: Stop::new(),
        faults: Faults::default(),
        runtime: runtime.handle().clone(),
        gate: Gate::default(),
    }
}

pub fn run(line: &Line) -> Answer {
    let settings = Arc::new(settings::load(line)?);
    serve(&settings, &mut |_| Looking::Away)
}

/// Whether somebody sees how it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looking {
    /// Every second is news.
    Closely,
    /// Nobody does: what alarms need is enough.
    Away,
}

/// Runs until a signal. `shown` sees a status, and says how closely the next ones are looked at.
pub fn serve(settings: &Arc<Settings>, shown: &mut dyn FnMut(&Status) -> Looking) -> Answer {
    step_back(settings.cpu);
    let runtime = super::runtime()?;
    let house = house(settings, &runtime);
    let _lock = house.home.lock()?;
    mistake::is_left_in(&house.home);
    let mut alerter = Alerter::start(
        alert::Settings::new(settings.alert.command.clone(), settings.alert.ping_url.clone()),
        Arc::clone(&house.clock),
    )?;
    let daemon = Daemon::new(house.clone(), Watching::On)?;
    let threads = daemon.start()?;
    let desk = Desk::new(Arc::clone(&daemon));
    let console: Arc<dyn Console> = Arc::clone(&desk) as _;
    let stop = house.stop.clone();
    runtime.block_on(async {
        let control = Control::bind(&house.home.socket())?;
        tokio::spawn(control.serve(Arc::clone(&console), stop.clone()));
        page(settings, &console, &stop).await;
        tokio::spawn(signals(stop.clone()));
        timetable(&daemon).await
    })?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    watch_over(&desk, settings, &mut alerter, shown);
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    daemon.end(threads);
    daemon.keep_lessons();
    runtime.shutdown_timeout(Duration::from_secs(2));
    Ok(Exit::Done)
}

/// A taken port never stops the backup: it is said, and the page is missing.
async fn page(settings: &Settings, console: &Arc<dyn Console>, stop: &Stop) {
    let Some(address) = settings.http_listen else { return };
    match tokio::net::TcpListener::bind(address).await {
        Ok(listener) => {
            let face = crate::web::Face {
                console: Arc::clone(console),
                clock: SystemClock::shared(),
                names: settings.http_hosts.clone(),
                secret: random(&SystemEntropy),
            };
            let stop = stop.clone();
            tokio::spawn(async move {
                if let Err(e) = crate::web::serve(listener, face, stop).await {
                    tracing::error!("{e}");
                }
            });
            tracing::info!("the page is at http://{address}/");
        }
        Err(e) => tracing::error!(
            "open the page on {address}: {e}; the backup runs without it: set another address under [http]"
        ),
    }
}

async fn signals(stop: Stop) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    stop.ask();
}

/// Walks that come due, and lessons learnt, once a minute. Missed ones need no catching up: every start walks every root.
async fn timetable(daemon: &Arc<Daemon>) -> Result<()> {
    let trouble = |e: tokio_cron_scheduler::JobSchedulerError| Error::retry("start the timetable").because(e);
    let scheduler = JobScheduler::new().await.map_err(trouble)?;
    let mine = Arc::clone(daemon);
    let job = Job::new_repeated(Duration::from_secs(60), move |_, _| {
        mine.walks_due();
        mine.keep_lessons();
    })
    .map_err(trouble)?;
    scheduler.add(job).await.map_err(trouble)?;
    scheduler.start().await.map_err(trouble)?;
    // It runs until the runtime ends.
    std::mem::forget(scheduler);
    Ok(())
}

/// How often alarms are looked for, seconds. Between that no status is made, unless somebody looks: it costs processor.
const ALARMS_EVERY_S: u64 = 10;

/// The main thread's watch: alarms, who looks, the watchdog; until stop.
fn watch_over(desk: &Arc<Desk>, settings: &Settings, alerter: &mut Alerter, shown: &mut dyn FnMut(&Status) -> Looking) {
    let daemon = desk.daemon();
    let mut pulse = Pulse::default();
    let (mut seconds, mut looking) = (0_u64, Looking::Away);
    loop {
        let is_due = seconds.is_multiple_of(ALARMS_EVERY_S);
        if is_due || looking == Looking::Closely {
            let status = desk.status();
            looking = shown(&status);
            if is_due {
                tell_alarms(desk, &status, settings, alerter);
            }
        }
        if pulse.moves(daemon) {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        }
        seconds += 1;
        if daemon.house.stop.wait(Duration::from_secs(1)) {
            return;
        }
    }
}

fn tell_alarms(desk: &Desk, status: &Status, settings: &Settings, alerter: &mut Alerter) {
    // "All is well" is not said before every root was looked at: a daemon that keeps dying must not sound well.
    let looked = !matches!(status.state, Overall::Starting | Overall::Checking);
    let alarms = alarms(status, settings);
    if looked || !alarms.is_empty() {
        alerter.update(alarms);
    }
    if looked {
        for text in desk.ask_for_sheets().into_iter().chain(desk.ask_for_drills()) {
            alerter.due(text);
        }
    }
}

/// Whether the workers move: steps end, bytes are read or sent. Fed to the watchdog only then.
#[derive(Default)]
struct Pulse {
    last: u64,
    still_s: u64,
}

/// A worker that did nothing at all for this long is stuck: even an idle one takes a step every ten seconds.
const STUCK_S: u64 = 600;

impl Pulse {
    fn moves(&mut self, daemon: &Daemon) -> bool {
        let mut now = 0_u64;
        for vault in &daemon.vaults {
            now = now.wrapping_add(vault.steps.load(Ordering::Relaxed)).wrapping_add(vault.throttle.sent_bytes());
            if let Some(engine) = vault.engine() {
                now = now
                    .wrapping_add(engine.figures.read_bytes.load(Ordering::Relaxed))
                    .wrapping_add(engine.figures.met.load(Ordering::Relaxed));
            }
        }
        self.still_s = if now == self.last { self.still_s + 1 } else { 0 };
        self.last = now;
        // A vault that does not open has no workers: that is shown, and restarting would not mend it.
        self.still_s < STUCK_S || daemon.engines().is_empty()
    }
}

fn alarm(kind: String, text: String) -> Alarm {
    Alarm { kind, text }
}

/// What people must be told of.
fn alarms(status: &Status, settings: &Settings) -> Vec<Alarm> {
    let mut out = vec![];
    let bound = settings.alert.lag.as_secs();
    for root in &status.roots {
        if let Some(error) = &root.error {
            out.push(alarm(format!("root {}", root.path), format!("{} cannot be read: {error}", root.path)));
        }
        if root.failed > 0 {
            out.push(alarm(
                format!("failed {}", root.path),
                format!("{} paths beneath {} could not be backed up", root.failed, root.path),
            ));
        }
        if let Some(lag) = root.lag_s.filter(|l| *l > bound) {
            out.push(alarm(
                format!("lag {}", root.path),
                format!(
                    "a change beneath {} has waited {} to become safe",
                    root.path,
                    crate::daemon::spell::words_for(lag)
                ),
            ));
        }
    }
    for vault in &status.vaults {
        if vault.state == "attention" {
            let why = vault.last_error.clone().unwrap_or_default();
            out.push(alarm(format!("vault {}", vault.name), format!("the vault {} needs you: {why}", vault.name)));
        }
    }
    let paused = status.uplink.as_ref().and_then(|u| u.paused.as_ref());
    if status.state == Overall::Paused && status.mood == Mood::Alarm && paused.is_some_and(|p| p.until.is_none()) {
        out.push(alarm("paused".to_owned(), status.headline.clone()));
    }
    // A window that is shut, a cap that is used up: that is wanted, and the lag is watched all the same.
    let is_held = status.uplink.as_ref().is_some_and(|u| u.hold.is_some());
    let waiting = status.roots.iter().filter_map(|r| r.lag_s).max().unwrap_or(0);
    let day = 24 * 3600;
    if waiting > day && !is_held && status.vaults.iter().any(|v| v.rate_bytes_per_s == Some(0)) {
        out.push(alarm("nothing stored".to_owned(), "nothing was stored for 24 hours, and changes wait".to_owned()));
    }
    out
}

/// One pass. Beside a running daemon it asks the daemon.
pub fn backup(line: &Line) -> Answer {
    let settings = Arc::new(settings::load(line)?);
    let home = Home::new(&settings.state_dir);
    if home.is_held() {
        control::ask(&home.socket(), &Ask::Backup)?;
        let status: Status = super::ask::fetch(&home)?;
        return Ok(report(line, &status));
    }
    step_back(settings.cpu);
    let runtime = super::runtime()?;
    let house = house(&settings, &runtime);
    let _lock = house.home.lock()?;
    mistake::is_left_in(&house.home);
    let daemon = Daemon::new(house.clone(), Watching::Off)?;
    let desk = Desk::new(Arc::clone(&daemon));
    daemon.hurry();
    let threads = daemon.start()?;
    // It may wait for days, for an order to be lifted or for a link: it answers as a daemon does meanwhile.
    runtime.block_on(async {
        match Control::bind(&house.home.socket()) {
            Ok(control) => drop(tokio::spawn(control.serve(Arc::clone(&desk) as _, house.stop.clone()))),
            Err(e) => tracing::warn!("{e}; the pass goes on, and answers nobody"),
        }
    });
    runtime.spawn(signals(house.stop.clone()));
    if daemon.vaults.iter().any(|vault| vault.paused.load(Ordering::SeqCst)) {
        tracing::warn!("paused by the operator: nothing is sent until 'panicroom resume'");
    }
    let drained = desk.until_drained();
    let status = desk.fresh();
    daemon.keep_lessons();
    house.stop.ask();
    daemon.end(threads);
    match drained {
        Ok(()) => Ok(report(line, &status)),
        Err(e) if e.kind() == Kind::Stopping => {
            Err(Failure::Work(Error::retry("back up: interrupted; the next run goes on from here")))
        }
        Err(e) => Err(Failure::Work(e)),
    }
}

fn report(line: &Line, status: &Status) -> Exit {
    if line.json {
        println!("{}", serde_json::to_string_pretty(status).unwrap_or_default());
    } else {
        super::ask::print_status(status, &mut std::io::stdout());
    }
    let failed: u64 = status.roots.iter().map(|r| r.failed).sum();
    if status.roots.iter().any(|r| r.error.is_some()) {
        Exit::NeedsOperator
    } else if failed > 0 {
        Exit::SomeFailed
    } else {
        Exit::Done
    }
}

/// How it goes, shown as it goes: a live line in a terminal; elsewhere a line whenever there is news.
pub struct LiveLine {
    bar: Option<indicatif::ProgressBar>,
    said: String,
}

impl LiveLine {
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = indicatif::ProgressBar::new(1);
            let style = indicatif::ProgressStyle::with_template("{bar:30} {percent:>3} %  {wide_msg}")
                .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
            bar.set_style(style);
            bar
        });
        Self { bar, said: String::new() }
    }

    pub fn show(&mut self, status: &Status) -> Looking {
        let Some(bar) = &self.bar else {
            if status.headline != self.said && status.mood != Mood::Busy {
                self.said.clone_from(&status.headline);
                let _ = writeln!(std::io::stderr(), "{}", status.headline);
            }
            // A log gets its lines in time, and nothing is counted for it while nothing happens.
            return if status.mood == Mood::Busy { Looking::Closely } else { Looking::Away };
        };
        let (bytes, safe) = status.roots.iter().fold((0, 0), |a, r| (a.0 + r.bytes, a.1 + r.safe_bytes));
        bar.set_length(bytes.max(1));
        bar.set_position(if bytes == 0 && status.state == Overall::Idle { 1 } else { safe });
        let stored: u64 = status.vaults.iter().map(|v| v.stored_bytes).sum();
        let rate: u64 = status.vaults.iter().filter_map(|v| v.rate_bytes_per_s).sum();
        let eta = status.roots.iter().filter_map(|r| r.eta_s).max().filter(|s| *s > 0);
        let mut message = format!("{} {} stored", status.headline, Size(stored));
        if let Some(rate) = Rate::bytes_per_second(rate).filter(|_| status.mood == Mood::Busy) {
            let _ = write!(message, ", {rate}");
        }
        if let Some(eta) = eta {
            let _ = write!(message, ", about {} to go", crate::daemon::spell::words_for(eta));
        }
        bar.set_message(message);
        bar.tick();
        Looking::Closely
    }

    /// Something to keep on the screen, above the live line.
    pub fn say(&self, text: &str) {
        let print = || {
            // A closed pipe is the reader's choice.
            let _ = writeln!(std::io::stdout(), "{text}");
        };
        self.bar.as_ref().map_or_else(print, |bar| bar.suspend(print));
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
