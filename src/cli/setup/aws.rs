//! `setup aws`: makes a bucket for a vault, or adopts one, by the owner's own keys, which are used here and kept nowhere.
//!
//! It looks first and says what it would change; asks; looks again at each part, changes only what differs, and looks
//! once more whether it took. What is denied names the right that is missing and holds up nothing else. Killed anywhere,
//! the next run goes on; a run with nothing to change writes nothing. The four keys are printed as commands and never
//! made here: who runs this needs no right over users.

mod show;

use super::super::args::Line;
use super::super::{Answer, Exit, Failure, host, runtime};
use super::policy::Place;
use super::provider::Service;
use super::wanted::{Judged, Wanted};
use super::{Plan, proposal, region_is_plain};
use crate::clock::SystemClock;
use crate::config::VaultUrl;
use crate::config::url::Bucket;
use crate::error::{Error, Kind, Result};
use crate::seal::{SystemEntropy, random};
use crate::store::abilities::Abilities;
use crate::store::bucket::{Asked, Call, Change, Contents, LOOKED_AT, Part, Refusal, Standing};
use crate::store::retry::Backoff;
use crate::store::s3::make::{Maker, Manner};
use crate::store::s3::{Credentials, S3Store, Settings};
use crate::store::throttle::Throttle;
use crate::worker::Stop;
use clap::Args;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct Aws {
    /// The bucket's name; a proposal is made without it
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,
    /// Beneath it, as in "nas": for several machines in one bucket
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// Where it is to be, as in "eu-central-1"
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    pub region: Option<String>,
    /// Lock every new object for so many days; a bucket gets that ability only when it is made
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub object_lock: Option<u32>,
    /// The owner's keys, in the form of ~/.aws/credentials; without it they come from where AWS's own tools look
    #[arg(long, value_name = "FILE")]
    pub credentials_file: Option<PathBuf>,
    /// Another server that speaks S3 as AWS does
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Also change a bucket that holds a vault or other objects beneath the prefix
    #[arg(long)]
    pub adopt: bool,
    /// Look and say what would be changed; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// A change that takes a moment to be seen is looked for so often.
const LOOKS: u32 = 6;

/// One line of what is done.
struct Step {
    part: Option<Part>,
    judged: Judged,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// As it shall be.
    Fine,
    /// To be changed, or what would be.
    Planned,
    Changed,
    /// The right that is missing.
    Denied(Call),
    Failed(Error),
}

pub fn aws(line: &Line, args: &Aws) -> Answer {
    let plan = plan(args)?;
    let bucket = address(&plan, args)?;
    let runtime = runtime()?;
    let credentials = args.credentials_file.clone().map_or(Credentials::Standard, Credentials::File);
    let settings = Settings { bucket: bucket.clone(), credentials, abilities: Abilities::default() };
    let store = S3Store::connect(settings, runtime.handle().clone(), Throttle::new(None, SystemClock::shared()))?;
    let maker = Maker::new(&store, &plan.region);
    let wanted = Wanted { place: plan.place.clone(), lock: plan.lock };
    let (is_new, contents) = look_around(&maker, &plan, args)?;
    let mut steps = if is_new { new_bucket(&wanted) } else { looked_at(&maker, &wanted) };
    let changes = steps.iter().filter(|s| matches!(s.outcome, Outcome::Planned)).count();
    let show = show::Show { plan: &plan, bucket: &bucket, contents: &contents, is_new, is_dry: args.dry_run };
    if changes > 0 && !args.dry_run {
        if !line.json {
            print(&show.before(&steps));
        }
        if contents.vault && !args.adopt {
            return Err(vault_is_there(&plan).into());
        }
        agreed(line, args, changes)?;
        make(&maker, &wanted, &mut steps);
    }
    print(&if line.json { show.document(&steps, &maker.calls()) } else { show.after(&steps, &maker.calls()) });
    Ok(exit(&steps))
}

fn print(text: &str) {
    // A closed pipe is the reader's choice.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn plan(args: &Aws) -> std::result::Result<Plan, Failure> {
    let usage = |text: &str, remedy: &str| Failure::Usage(Error::operator(text.to_owned()).remedy(remedy));
    let region = args.region.clone().filter(|r| !r.is_empty()).ok_or_else(|| {
        usage(
            "set up a bucket: its region is not said, and it cannot be moved later",
            "give '--region', as in eu-central-1",
        )
    })?;
    region_is_plain(&region)?;
    let name = args.bucket.clone().map_or_else(|| name(args), Ok)?;
    let place = Place::new(&name, args.prefix.as_deref().unwrap_or_default())
        .map_err(|e| Failure::Usage(Error::operator(format!("set up a bucket: {e}"))))?;
    Ok(Plan { provider: Service::Aws.facts(), place, region, lock: args.object_lock })
}

/// The proposal, if somebody agrees to it. Names are one list for the whole world: only a domain makes one's own.
fn name(args: &Aws) -> std::result::Result<String, Failure> {
    let host = String::from_utf8_lossy(&host()).into_owned();
    let proposed = proposal(&host);
    let has_domain = host.trim_matches('.').contains('.');
    if args.yes && has_domain {
        return Ok(proposed);
    }
    if args.yes || !std::io::stdin().is_terminal() {
        let error = Error::operator("set up a bucket: its name is not said");
        return Err(Failure::Usage(error.remedy(format!(
            "give '--bucket NAME': your domain turned round and this machine's name, as in {proposed}"
        ))));
    }
    eprint!("One bucket a machine: your domain turned round, and the machine. Its name [{proposed}]: ");
    let _ = std::io::stderr().flush();
    let mut typed = String::new();
    let _ = std::io::stdin().read_line(&mut typed);
    let typed = typed.trim();
    Ok(if typed.is_empty() { proposed } else { typed.to_owned() })
}

/// Where it is, as the vault's url will say.
fn address(plan: &Plan, args: &Aws) -> std::result::Result<Bucket, Failure> {
    let mut url = format!("s3://{}/{}?region={}", plan.place.bucket, plan.place.prefix, plan.region);
    if let Some(endpoint) = &args.endpoint {
        url = format!("{url}&endpoint={endpoint}");
    }
    match VaultUrl::parse(&url).map_err(|e| Failure::Usage(Error::operator(e)))? {
        VaultUrl::Bucket(bucket) => Ok(Bucket { class: plan.provider.cold.map(str::to_owned), ..bucket }),
        VaultUrl::Folder(_) => unreachable!("an s3:// address is a bucket's"),
    }
}

/// Whether there is no bucket yet, and what is in the one there is. An error where nothing may be changed.
fn look_around(maker: &Maker<'_>, plan: &Plan, args: &Aws) -> Result<(bool, Contents)> {
    let name = &plan.place.bucket;
    let no = |what: String, remedy: &str| {
        Err(Error::operator(format!("set up the bucket {name}: {what}; nothing was changed")).remedy(remedy))
    };
    let mine = "choose another name: '--bucket NAME'";
    match maker.standing().map_err(|r| unasked(r, name))? {
        Standing::Free => return Ok((true, Contents::default())),
        Standing::Elsewhere(region) => {
            return no(
                format!("it exists, in {region} and not in {}", plan.region),
                &format!("give '--region {region}', or another '--bucket'"),
            );
        }
        Standing::There { ours: Some(false) } | Standing::Shut { ours: Some(false) } => {
            return no("it belongs to somebody else".into(), mine);
        }
        Standing::Shut { ours: Some(true) } => {
            return no(
                "it is yours, and this key may not look into it (s3:ListBucket)".into(),
                "use an administrator's key",
            );
        }
        Standing::Shut { ours: None } => {
            return no(
                "it exists, and is closed to this key: it is somebody else's, or the right s3:ListBucket is missing"
                    .into(),
                "choose another name, or use an administrator's key",
            );
        }
        Standing::There { .. } => {}
    }
    let contents = maker.contents().map_err(|r| unasked(r, name))?;
    if args.adopt || args.dry_run {
        return Ok((false, contents));
    }
    let beneath = if plan.place.prefix.is_empty() { "in it" } else { "beneath the prefix" };
    if contents.foreign > 0 {
        let one = contents.one_foreign.as_deref().unwrap_or_default();
        let more = if contents.foreign >= u64::from(LOOKED_AT) { " or more" } else { "" };
        return no(
            format!("{}{more} objects lie {beneath} that no vault makes, {one} for one", contents.foreign),
            "give the vault a '--prefix' of its own; or '--adopt' to change the bucket they lie in",
        );
    }
    Ok((false, contents))
}

fn vault_is_there(plan: &Plan) -> Error {
    Error::operator(format!("set up the bucket {}: a vault lies there already; nothing was changed", plan.place.bucket))
        .remedy("a second vault needs a '--prefix' of its own; '--adopt' changes the bucket beneath this one, and no object")
}

fn unasked(refusal: Refusal, bucket: &str) -> Error {
    match refusal {
        Refusal::Failed(e) => e,
        Refusal::Denied(Call(call, right)) => {
            Error::operator(format!("look at the bucket {bucket}: {call} is denied; nothing was changed"))
                .remedy(format!("this key needs the right {right}"))
        }
    }
}

/// All of a bucket that is not there, in the order it is made. What AWS gives a new one by itself is found when it is there.
fn new_bucket(wanted: &Wanted) -> Vec<Step> {
    let locked = wanted.lock.is_some();
    let becomes = if locked { "made, with Object Lock" } else { "made" };
    let change = Some(Change::Create { locked });
    let judged = Judged { is: "no such bucket".into(), change, becomes: becomes.into(), ..Judged::default() };
    let create = Step { part: None, judged, outcome: Outcome::Planned };
    let rest = Part::ALL.into_iter().filter_map(|part| {
        let judged = wanted.judge_new(part);
        let outcome = if judged.change.is_some() { Outcome::Planned } else { Outcome::Fine };
        (part != Part::Lock || locked).then_some(Step { part: Some(part), judged, outcome })
    });
    std::iter::once(create).chain(rest).collect()
}

/// A bucket that is there, part by part. One that may not be looked at is not changed.
fn looked_at(maker: &Maker<'_>, wanted: &Wanted) -> Vec<Step> {
    Part::ALL.into_iter().map(|part| Step::of(part, maker.look(part).map(|is| wanted.judge(&is)))).collect()
}

impl Step {
    fn of(part: Part, judged: Asked<Judged>) -> Self {
        let (judged, outcome) = match judged {
            Ok(judged) => {
                let outcome = if judged.change.is_some() { Outcome::Planned } else { Outcome::Fine };
                (judged, outcome)
            }
            Err(Refusal::Denied(call)) => (Judged::default(), Outcome::Denied(call)),
            Err(Refusal::Failed(e)) => (Judged::default(), Outcome::Failed(e)),
        };
        Self { part: Some(part), judged, outcome }
    }
}

fn agreed(line: &Line, args: &Aws, changes: usize) -> Result<()> {
    if args.yes {
        return Ok(());
    }
    let refused = |why: &str| Error::operator(format!("set up the bucket: {why}; nothing was changed"));
    if line.json || !std::io::stdin().is_terminal() {
        return Err(refused("nobody is there to be asked").remedy("look at '--dry-run', then give '--yes'"));
    }
    eprint!("Make these {changes} changes? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(refused("not agreed to"))
}

/// Without a bucket there is nothing to set; else no part waits for another.
fn make(maker: &Maker<'_>, wanted: &Wanted, steps: &mut [Step]) {
    let mut backoff = Backoff::new(u64::from_le_bytes(random(&SystemEntropy)));
    for i in 0..steps.len() {
        if !matches!(steps[i].outcome, Outcome::Planned) {
            continue;
        }
        steps[i].outcome = match steps[i].part {
            None => {
                let create = Change::Create { locked: wanted.lock.is_some() };
                patiently(&mut backoff, || (outcome(maker.make(&create)), ())).0
            }
            Some(part) => {
                let made = patiently(&mut backoff, || set(maker, wanted, part));
                steps[i].judged.red.extend(made.1);
                made.0
            }
        };
        if steps[i].part.is_none() && !matches!(steps[i].outcome, Outcome::Changed) {
            for step in &mut steps[i + 1..] {
                step.outcome = Outcome::Failed(Error::retry("not tried: there is no bucket"));
            }
            return;
        }
    }
}

fn outcome(made: Asked<()>) -> Outcome {
    match made {
        Ok(()) => Outcome::Changed,
        Err(Refusal::Denied(call)) => Outcome::Denied(call),
        Err(Refusal::Failed(e)) => Outcome::Failed(e),
    }
}

/// Passing trouble is waited out a while: a bucket that was just made is not known everywhere at once.
fn patiently<T>(backoff: &mut Backoff, mut act: impl FnMut() -> (Outcome, T)) -> (Outcome, T) {
    backoff.reset();
    for _ in 1..LOOKS {
        match act() {
            (Outcome::Failed(e), _) if e.kind() == Kind::Retry || e.to_string().contains("NoSuchBucket") => {
                tracing::debug!("tried again: {e}");
                Stop::new().wait(backoff.failed().min(Duration::from_secs(10)));
            }
            other => return other,
        }
    }
    act()
}

/// Looks, changes, looks whether it took. What was red before stays so, and is told with what the second look found.
fn set(maker: &Maker<'_>, wanted: &Wanted, part: Part) -> (Outcome, Vec<(String, String)>) {
    let look = || maker.look(part).map(|is| wanted.judge(&is));
    let tried = || -> Asked<(Outcome, Vec<(String, String)>)> {
        let now = look()?;
        let Some(change) = now.change else { return Ok((Outcome::Fine, now.red)) };
        maker.make(&change)?;
        let after = look()?;
        let outcome = match after.change {
            None => Outcome::Changed,
            Some(_) => {
                Outcome::Failed(Error::retry(format!("{} was taken, and reads back as: {}", change.call().0, after.is)))
            }
        };
        Ok((outcome, vec![]))
    };
    match tried() {
        Ok(done) => done,
        Err(refusal) => (outcome(Err(refusal)), vec![]),
    }
}

/// 0: all is as it shall be, or would be; 1: passing trouble; 4: somebody must do something.
fn exit(steps: &[Step]) -> Exit {
    let operator = steps.iter().any(|step| match &step.outcome {
        Outcome::Denied(_) => true,
        Outcome::Failed(e) => e.kind() != Kind::Retry,
        _ => !step.judged.red.is_empty(),
    });
    let failed = steps.iter().any(|step| matches!(step.outcome, Outcome::Failed(_)));
    match (operator, failed) {
        (true, _) => Exit::NeedsOperator,
        (false, true) => Exit::Unhealthy,
        (false, false) => Exit::Done,
    }
}

/// Of the calls, those that wrote.
fn writing(calls: &[(&'static str, Manner)]) -> impl Iterator<Item = &'static str> {
    calls.iter().filter(|(_, manner)| *manner == Manner::Writes).map(|(name, _)| *name)
}
