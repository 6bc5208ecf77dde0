//! Debian's Chromium without a window, for looking at the page as a person would meet it.

use std::path::Path;
use std::process::{Command, Stdio};

pub struct Browser {
    profile: tempfile::TempDir,
}

#[derive(Clone, Copy)]
pub enum Scheme {
    Light,
    Dark,
}

impl Browser {
    /// None where there is no Chromium.
    pub fn find() -> Option<Self> {
        let version = Command::new("chromium").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|s| s.success()).then(|| Self { profile: tempfile::tempdir().unwrap() })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("chromium");
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--enable-logging=stderr",
        ]);
        command.arg(format!("--user-data-dir={}", self.profile.path().display()));
        command.stderr(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    /// The document after scripts ran for a while, and what the browser complained about in its console.
    pub fn dom(&self, url: &str) -> (String, String) {
        let done = self.command().args(["--timeout=4000", "--dump-dom", url]).output().unwrap();
        let complaints: Vec<_> = String::from_utf8_lossy(&done.stderr)
            .lines()
            .filter(|line| line.contains("CONSOLE"))
            .map(str::to_owned)
            .collect();
        (String::from_utf8_lossy(&done.stdout).into_owned(), complaints.join("\n"))
    }

    pub fn picture(&self, url: &str, to: &Path, size: (u32, u32), scheme: Scheme) {
        let mut command = self.command();
        if let Scheme::Dark = scheme {
            command.arg("--blink-settings=preferredColorScheme=0");
        }
        command.arg(format!("--window-size={},{}", size.0, size.1)).arg("--timeout=3000");
        let done = command.arg(format!("--screenshot={}", to.display())).arg(url).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}
