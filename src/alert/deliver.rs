//! Carrying messages out: one thread, one command at a time in the order of the news, pings beside them. The queue is
//! bounded; a command gets a minute and is then killed with all it started; one that fails is tried again with
//! growing pauses, because the news "the network is down" comes while the network is down.

use super::Pulse;
use super::book::Message;
use super::ping::{Address, Pinger};
use crate::config::Secret;
use crate::error::{Doing, Error, Kind, Result};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

const QUEUE: usize = 16;
/// News of one moment: never more than occasions.
const ROOM: usize = 4;
const COMMAND_TIME: Duration = Duration::from_secs(60);
/// For what a command says after it ended: something it left behind may hold the pipe.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Of a command's output, for the log.
const HEARD: u64 = 2048;
/// A message longer than this is cut; it still fits a pipe, so writing it never waits.
const TEXT: usize = 16 << 10;
const PAUSE_AT_MOST: Duration = Duration::from_secs(3600);
/// With pauses that double, half a day.
const TRIES: u32 = 16;

/// The near end: hands over, never waits.
pub(super) struct Delivery {
    messages: Option<mpsc::Sender<Message>>,
    pulse: Option<watch::Sender<Option<Pulse>>>,
}

impl Delivery {
    /// Without command and address there is no thread at all.
    pub(super) fn start(command: Option<Secret>, address: Option<Address>, retry: Duration) -> Result<Self> {
        if command.is_none() && address.is_none() {
            return Ok(Self { messages: None, pulse: None });
        }
        let doing = || "start the alert thread".to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().doing(Kind::Retry, doing)?;
        let pinger = address.map(Pinger::new).transpose()?;
        let (messages, queue) = mpsc::channel(QUEUE);
        let (pulse, felt) = watch::channel(None);
        let near = Self { messages: command.is_some().then_some(messages), pulse: pinger.is_some().then_some(pulse) };
        let work = async move {
            tokio::join!(run_all(command, queue, retry), async {
                if let Some(pinger) = pinger {
                    ping_all(pinger, felt).await;
                }
            })
        };
        std::thread::Builder::new()
            .name("alert".into())
            .spawn(move || runtime.block_on(work))
            .doing(Kind::Retry, doing)?;
        Ok(near)
    }

    pub(super) fn has_room(&self) -> bool {
        self.messages.as_ref().is_none_or(|queue| queue.capacity() >= ROOM)
    }

    /// Only while there [`has_room`](Self::has_room); what does not fit is logged and dropped.
    pub(super) fn hand_over(&self, news: Vec<Message>) {
        let Some(queue) = &self.messages else { return };
        for message in news {
            if queue.try_send(message).is_err() {
                tracing::warn!("an alert is dropped: the alert command does not keep up");
            }
        }
    }

    /// The newest pulse replaces one not yet sent.
    pub(super) fn ping(&self, pulse: Pulse) {
        if let Some(felt) = &self.pulse {
            felt.send_replace(Some(pulse));
        }
    }
}

async fn ping_all(pinger: Pinger, mut felt: watch::Receiver<Option<Pulse>>) {
    let mut failing = false;
    while felt.changed().await.is_ok() {
        let Some(pulse) = *felt.borrow_and_update() else { continue };
        let sent = pinger.send(pulse).await;
        // Said once per outage: the next ping comes in minutes anyway.
        match &sent {
            Ok(()) if failing => tracing::info!("the ping gets through again"),
            Err(error) if !failing => tracing::warn!(%error, "the ping does not get through"),
            _ => {}
        }
        failing = sent.is_err();
    }
}

async fn run_all(command: Option<Secret>, mut queue: mpsc::Receiver<Message>, retry: Duration) {
    let Some(command) = command else { return };
    while let Some(message) = queue.recv().await {
        let mut pause = retry;
        for attempt in 1..=TRIES {
            match run(&command, &message).await {
                Ok(()) => break,
                Err(error) if attempt == TRIES => {
                    tracing::error!(%error, event = message.occasion.word(), "an alert is given up");
                }
                Err(error) => {
                    tracing::warn!(%error, event = message.occasion.word(), attempt, "an alert is tried again later");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_AT_MOST);
                }
            }
        }
    }
}

/// Runs the operator's command for one message and waits for it, at most [`COMMAND_TIME`].
async fn run(command: &Secret, message: &Message) -> Result<()> {
    let text = cut(&message.text, TEXT);
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command.reveal());
    // What opens vaults or buckets is none of the command's business.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_none_or(|name| name.starts_with("AWS_") || name.starts_with("PANICROOM_")) {
            shell.env_remove(&name);
        }
    }
    shell.env("PANICROOM_EVENT", message.occasion.word()).env("PANICROOM_TEXT", text.replace('\0', " "));
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = shell.spawn().doing(Kind::Retry, || "run the alert command".into())?;
    let group = child.id();
    let ended = tokio::time::timeout(COMMAND_TIME, talk(&mut child, text)).await;
    if let Ok(done) = ended {
        let (status, said) = done.doing(Kind::Retry, || "run the alert command".into())?;
        if status.success() {
            return Ok(());
        }
        return Err(Error::retry(format!("run the alert command: {status}, it said: {said}")));
    }
    end(group);
    let _ = child.wait().await;
    Err(Error::retry(format!("run the alert command: not done after {} s", COMMAND_TIME.as_secs())))
}

/// Gives the command its text and hears what it says until it ends.
async fn talk(child: &mut Child, text: &str) -> std::io::Result<(ExitStatus, String)> {
    let (mut input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    if let Some(input) = &mut input {
        // A command that does not read its input is a fine command.
        let _ = input.write_all(text.as_bytes()).await;
    }
    drop(input);
    let mut heard = (Vec::new(), Vec::new());
    let status = {
        let mut hearing = std::pin::pin!(async { tokio::join!(hear(out, &mut heard.0), hear(err, &mut heard.1)) });
        let mut silent = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                _ = &mut hearing, if !silent => silent = true,
            }
        };
        if !silent {
            let _ = tokio::time::timeout(LAST_WORDS, hearing).await;
        }
        status
    };
    let said = [heard.1, heard.0].concat();
    Ok((status, String::from_utf8_lossy(&said).escape_debug().to_string()))
}

/// Keeps the beginning and lets the rest go, so that a talkative command does not get stuck.
async fn hear(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let _ = (&mut from).take(HEARD).read_to_end(kept).await;
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
}

/// Kills the command and all it started.
fn end(group: Option<u32>) {
    let pid = group.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

fn cut(text: &str, at_most: usize) -> &str {
    let end = (0..=at_most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}
