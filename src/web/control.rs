//! The control socket: the same console for the command line, on a Unix socket in the state folder.
//!
//! One connection, one request, one answer: a line of JSON each (see [`Ask`]), the answer `{"ok": …}` or
//! `{"error": …, "kind": …}`. Only the daemon's own user and root are heard: the file has mode 0600, and the kernel is
//! asked who called. A socket left behind by a daemon that died is replaced; one that answers is another daemon.
//!
//! Dying here leaves the socket file, which the next start replaces.

use super::ask::{Ask, refusal, refused};
use super::{PATIENCE, asked};
use crate::daemon::console::Console;
use crate::error::{Doing, Error, Kind, Result};
use crate::worker::Stop;
use serde_json::{Value, json};
use std::fs;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net as blocking;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Callers at once; a `backup` or a `verify` that waits holds one.
const CALLERS: usize = 16;
/// The longest path is 4 KiB in base64; no request is longer.
const REQUEST: u64 = 64 << 10;
/// The longest answer a caller takes: a status with every list full is far smaller.
const ANSWER: u64 = 16 << 20;
/// How long a caller waits for an answer that needs no work.
const CALLER_PATIENCE: Duration = Duration::from_secs(30);

/// A socket that is bound and not yet served.
pub struct Control {
    listener: blocking::UnixListener,
    file: SocketFile,
}

impl Control {
    /// Operator: another daemon answers at `path`, something else lies there, or the folder cannot be written.
    pub fn bind(path: &Path) -> Result<Self> {
        let doing = || format!("open the control socket {}", path.display());
        clear_the_way(path)?;
        // Bound aside and moved into place, so that nobody meets it before its mode is set.
        let aside = path.with_extension("new");
        remove(&aside).doing(Kind::Operator, doing)?;
        let listener = blocking::UnixListener::bind(&aside).doing(Kind::Operator, doing)?;
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o600)).doing(Kind::Operator, doing)?;
        fs::rename(&aside, path).doing(Kind::Operator, doing)?;
        listener.set_nonblocking(true).doing(Kind::Operator, doing)?;
        let file = SocketFile::at(path).doing(Kind::Operator, doing)?;
        Ok(Self { listener, file })
    }

    /// Answers until `stop` is asked, then removes the socket. Retry: the listener broke.
    pub async fn serve(self, console: Arc<dyn Console>, stop: Stop) -> Result<()> {
        let Self { listener, file } = self;
        let doing = || format!("listen on {}", file.path.display());
        let listener = UnixListener::from_std(listener).doing(Kind::Retry, doing)?;
        let callers = Arc::new(Semaphore::new(CALLERS));
        let mut end = std::pin::pin!(asked(stop));
        loop {
            let caller = tokio::select! {
                () = &mut end => return Ok(()),
                caller = listener.accept() => caller,
            };
            let Ok((stream, _)) = caller else {
                // Out of file handles, most likely: others may give theirs back.
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            let (console, place) = (console.clone(), callers.clone().try_acquire_owned());
            tokio::spawn(async move {
                match place {
                    Ok(place) => {
                        attend(stream, console).await;
                        drop(place);
                    }
                    Err(_) => answer(stream, &refusal(&Error::retry("too many callers at once, try again"))).await,
                }
            });
        }
    }
}

/// One caller from request to answer.
async fn attend(mut stream: UnixStream, console: Arc<dyn Console>) {
    let said = match hear(&mut stream).await {
        Ok(ask) => match tokio::task::spawn_blocking(move || ask.put_to(&*console)).await {
            Ok(done) => done,
            Err(broken) => Err(Error::retry("ask the daemon").because(broken)),
        },
        Err(error) => Err(error),
    };
    let said = said.map_or_else(|error| refusal(&error), |ok| json!({ "ok": ok }));
    answer(stream, &said).await;
}

async fn hear(stream: &mut UnixStream) -> Result<Ask> {
    let caller = stream.peer_cred().doing(Kind::Operator, || "ask who is calling".into())?.uid();
    if caller != 0 && caller != rustix::process::geteuid().as_raw() {
        return Err(Error::operator("not for this user").remedy("run it as root or as the user of the daemon"));
    }
    let mut line = Vec::new();
    let mut bounded = tokio::io::BufReader::new(stream).take(REQUEST);
    tokio::time::timeout(PATIENCE, tokio::io::AsyncBufReadExt::read_until(&mut bounded, b'\n', &mut line))
        .await
        .doing(Kind::Retry, || "wait for the request".into())?
        .doing(Kind::Retry, || "read the request".into())?;
    let request = serde_json::from_slice(&line).doing(Kind::Operator, || "understand the request".into())?;
    Ask::of_json(&request)
}

/// A caller that went away is no concern.
async fn answer(mut stream: UnixStream, said: &Value) {
    let line = format!("{said}\n");
    let _ = tokio::time::timeout(PATIENCE, async {
        stream.write_all(line.as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
}

/// Asks the daemon behind `socket`; blocks until it answers (a `backup` or a `verify` for hours, perhaps). The kind of an error is
/// the daemon's own. Whether there is a daemon at all: [`nobody_answers`].
pub fn ask(socket: &Path, ask: &Ask) -> Result<Value> {
    let doing = || format!("ask the daemon at {}", socket.display());
    let mut stream = blocking::UnixStream::connect(socket)
        .doing(Kind::Operator, doing)
        .map_err(|error| error.remedy("is panicroom running, and are you its user or root?"))?;
    let patience = if matches!(ask, Ask::Backup | Ask::Verify(_)) { None } else { Some(CALLER_PATIENCE) };
    stream.set_read_timeout(patience).doing(Kind::Retry, doing)?;
    stream.set_write_timeout(Some(PATIENCE)).doing(Kind::Retry, doing)?;
    stream.write_all(format!("{}\n", ask.to_json()).as_bytes()).doing(Kind::Retry, doing)?;
    let mut line = Vec::new();
    stream.take(ANSWER).read_to_end(&mut line).doing(Kind::Retry, doing)?;
    if line.is_empty() {
        return Err(Error::retry(doing()).remedy("it went away without an answer"));
    }
    let mut answer: Value = serde_json::from_slice(&line).doing(Kind::Retry, doing)?;
    if let Some(error) = refused(&answer) {
        return Err(error);
    }
    answer.get_mut("ok").map(Value::take).ok_or_else(|| Error::retry(format!("{}: not an answer", doing())))
}

/// Whether `error`, from [`ask`], means that no daemon runs there.
pub fn nobody_answers(error: &Error) -> bool {
    matches!(error.io_kind(), Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused))
}

/// Removes what a dead daemon left at `path`; anything else is left alone and named.
fn clear_the_way(path: &Path) -> Result<()> {
    let doing = || format!("look at the control socket {}", path.display());
    let there = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        there => there.doing(Kind::Operator, doing)?,
    };
    if !there.file_type().is_socket() {
        return Err(Error::operator(format!("{} is not a socket", path.display())).remedy("move it away"));
    }
    match blocking::UnixStream::connect(path) {
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::operator(doing()).because(e)),
        Ok(_) => Err(Error::operator(format!("another panicroom answers at {}", path.display()))
            .remedy("stop it, or give this one a state folder of its own")),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// The file of our socket; removed with us, unless it is another's by now.
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), inode: inode(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|now| now == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    let there = fs::symlink_metadata(path)?;
    Ok((there.dev(), there.ino()))
}
