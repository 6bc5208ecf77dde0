//! Debian's Chromium without a window, driven over its debugging pipe, for meeting the page as a person would: in any
//! width, light or dark, clicking, reading, losing the connection.

use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub struct Browser {
    chromium: Child,
    orders: File,
    answers: BufReader<File>,
    session: Option<String>,
    last: u64,
    /// What the page's console, its network and its policies complained about.
    pub complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

#[derive(Clone, Copy)]
pub enum Scheme {
    Light,
    Dark,
}

impl Browser {
    /// One empty page; None where there is no Chromium.
    pub fn start() -> Option<Self> {
        let version = Command::new("chromium").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.ok().filter(std::process::ExitStatus::success)?;
        let profile = tempfile::tempdir().unwrap();
        let (orders, answers) = (profile.path().join("orders"), profile.path().join("answers"));
        assert!(Command::new("mkfifo").args([&orders, &answers]).status().unwrap().success());
        // The pipe is file 3 and 4 of the browser; a shell opens them, which needs no unsafe code here.
        let chromium = Command::new("/bin/sh")
            .arg("-c")
            .arg(
                "exec chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
                 --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars \
                 --remote-debugging-pipe --user-data-dir=\"$1\" about:blank 3<\"$1/orders\" 4>\"$1/answers\"",
            )
            .arg("sh")
            .arg(profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut browser = Self {
            chromium,
            orders: OpenOptions::new().write(true).open(&orders).unwrap(),
            answers: BufReader::new(File::open(&answers).unwrap()),
            session: None,
            last: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.order("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.order("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.order(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Sends one order of the debugging protocol and waits for its answer.
    fn order(&mut self, method: &str, params: &Value) -> Value {
        self.try_order(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_order(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        self.last += 1;
        let mut order = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            order["sessionId"] = session.as_str().into();
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.answers.read_until(0, &mut bytes).unwrap();
            assert_eq!(bytes.pop(), Some(0), "the browser went away during {method}");
            let mut said: Value = serde_json::from_slice(&bytes).unwrap();
            if said["id"] == self.last {
                return if said.get("error").is_none() { Ok(said["result"].take()) } else { Err(said.to_string()) };
            }
            match said["method"].as_str() {
                Some("Log.entryAdded") => self.complaints.push(said["params"]["entry"].to_string()),
                Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled") => {
                    self.complaints.push(said["params"].to_string());
                }
                _ => {}
            }
        }
    }

    pub fn open(&mut self, url: &str, size: (u32, u32), scheme: Scheme) {
        let scheme = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let (width, height) = size;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.order("Emulation.setDeviceMetricsOverride", &metrics);
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.order("Emulation.setEmulatedMedia", &media);
        self.order("Page.navigate", &json!({ "url": url }));
    }

    pub fn without_scripts(&mut self) {
        self.order("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    }

    /// The value of an expression in the page; null while it has none (another page is on its way).
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        self.try_order("Runtime.evaluate", &params).map_or(Value::Null, |mut done| done["result"]["value"].take())
    }

    /// Waits until an expression is true in the page; `false` after a long while.
    pub fn sees(&mut self, expression: &str) -> bool {
        let wait = panicroom::worker::Stop::new();
        (0..400).any(|_| self.eval(&format!("Boolean({expression})")) == true || wait.wait(Duration::from_millis(100)))
    }

    /// The whole page, not only what fits the window.
    pub fn picture(&mut self, to: &Path) {
        let shot = self.order("Page.captureScreenshot", &json!({ "format": "png", "captureBeyondViewport": true }));
        let data = shot["data"].as_str().unwrap().to_owned();
        std::fs::write(to, base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data).unwrap()).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.orders.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut self.answers, &mut rest);
        let _ = self.chromium.wait();
    }
}
