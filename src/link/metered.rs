//! What NetworkManager says of an interface: `nmcli -t -f GENERAL.METERED device show IFACE`. "yes (guessed)" is what it
//! says of a phone that shares its own connection: that counts as yes.

use crate::uplink::link::Metered;
use std::ffi::OsStr;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

/// It answers in some hundredths of a second, or its bus is stuck.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of its answer.
const HEARD: u64 = 4096;

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Said(String),
    /// It is not there, or says that it cannot tell.
    None,
    /// It took too long, and was killed.
    Late,
}

/// Whether an interface is metered; Unknown where there is no NetworkManager, Silent where it does not answer in time.
pub fn metered(interface: &str) -> Metered {
    match ask(OsStr::new("nmcli"), interface, PATIENCE) {
        Answer::Said(text) => told(&text),
        Answer::None => Metered::Unknown,
        Answer::Late => Metered::Silent,
    }
}

fn ask(program: &OsStr, interface: &str, patience: Duration) -> Answer {
    const STEP: Duration = Duration::from_millis(20);
    let begun = Command::new(program)
        .args(["-t", "-f", "GENERAL.METERED", "device", "show", interface])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = begun else { return Answer::None };
    let done = crate::worker::Stop::new();
    let mut waited = Duration::ZERO;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if waited < patience => {
                done.wait(STEP);
                waited += STEP;
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Answer::Late;
            }
        }
    };
    let mut text = String::new();
    let read = child.stdout.take().map(|out| out.take(HEARD).read_to_string(&mut text));
    if status.success() && read.is_some_and(|read| read.is_ok()) { Answer::Said(text) } else { Answer::None }
}

fn told(answer: &str) -> Metered {
    let value = answer.lines().find_map(|line| line.strip_prefix("GENERAL.METERED:"));
    match value.map(str::trim) {
        Some(v) if v.starts_with("yes") => Metered::Yes,
        Some(v) if v.starts_with("no") => Metered::No,
        _ => Metered::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn answer_of(script: &str) -> Answer {
        let tmp = tempfile::tempdir().unwrap();
        let program = tmp.path().join("nmcli");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Beside other tests that fork, a file just written may still be open for writing somewhere.
        (0..50)
            .map(|_| ask(program.as_os_str(), "wwan0", Duration::from_secs(1)))
            .find(|answer| matches!(answer, Answer::Said(_)))
            .unwrap_or(Answer::None)
    }

    #[test]
    fn its_answer_is_read_as_it_words_it() {
        for (said, meant) in [
            ("yes", Metered::Yes),
            ("yes (guessed)", Metered::Yes),
            ("no", Metered::No),
            ("no (guessed)", Metered::No),
            ("unknown", Metered::Unknown),
            ("", Metered::Unknown),
        ] {
            assert_eq!(told(&format!("GENERAL.METERED:{said}\n")), meant, "{said}");
        }
        assert_eq!(told("Error: Device 'wwan0' not found.\n"), Metered::Unknown);
    }

    #[test]
    fn the_double_is_asked_about_the_interface() {
        let Answer::Said(heard) = answer_of("echo \"GENERAL.METERED:yes\"; echo \"$@\"") else { panic!("no answer") };
        assert_eq!(told(&heard), Metered::Yes);
        assert!(heard.ends_with("device show wwan0\n"), "{heard}");
    }

    #[test]
    fn one_that_is_missing_or_fails_says_nothing() {
        assert_eq!(ask(OsStr::new("/nowhere/nmcli"), "wwan0", PATIENCE), Answer::None);
        assert_eq!(answer_of("echo GENERAL.METERED:yes; exit 10"), Answer::None);
    }

    #[test]
    fn one_that_hangs_is_not_waited_for() {
        let tmp = tempfile::tempdir().unwrap();
        let program = tmp.path().join("nmcli");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 1000\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let answer = (0..50)
            .map(|_| ask(program.as_os_str(), "wwan0", Duration::from_millis(40)))
            .find(|answer| *answer == Answer::Late);
        assert!(answer.is_some(), "it is no answer, and no word that there is none");
    }
}
