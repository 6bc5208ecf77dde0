//! Every command that talks to a bucket, run with each of the four keys that `panicroom setup print` makes: the table of
//! docs/setup.md ("Four keys") is what comes out. moto holds every call against the caller's policy, so what a command
//! needs and the page does not grant fails here, and so does what the page denies and a key allows.
//!
//! Needs `PANICROOM_PYTHON`; without it the test says so and checks nothing.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;
#[path = "support/portable.rs"]
mod portable;
#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod tree;

use machine::{Machine, Ran};
use portable::assert_same;
use servers::Server;
use std::fs;
use std::process::{Command, Stdio};

const IDENTITIES: [&str; 4] = ["writer", "auditor", "restorer", "reaper"];

/// A bucket that keeps versions, its vault of a class, and four users with the rights that `setup print` grants.
struct Trial<'a> {
    server: &'a Server,
    machine: Machine,
    bucket: &'static str,
    /// Of each identity: access key and secret.
    keys: Vec<(String, String)>,
}

fn printed(bucket: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
    let output = command.args(["setup", "print", "--bucket", bucket, "--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

impl<'a> Trial<'a> {
    /// Every call is allowed until [`guard`] was called.
    fn new(server: &'a Server, bucket: &'static str, class: &str) -> Self {
        let plan = printed(bucket);
        let script = "
import json
iam = boto3.client('iam', endpoint_url=s3.meta.endpoint_url, region_name='us-east-1', aws_access_key_id='a',
    aws_secret_access_key='b')
s3.create_bucket(Bucket='BUCKET')
s3.put_bucket_versioning(Bucket='BUCKET', VersioningConfiguration={'Status': 'Enabled'})
for identity in json.loads(r'''PLAN''')['identities']:
    user = 'BUCKET-' + identity['name']
    iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName='p', PolicyDocument=json.dumps(identity['policy']))
    key = iam.create_access_key(UserName=user)['AccessKey']
    print(identity['name'], key['AccessKeyId'], key['SecretAccessKey'])
";
        let told = server.boto3(&script.replace("BUCKET", bucket).replace("PLAN", &plan));
        let keys = IDENTITIES.map(|name| {
            let line: Vec<&str> =
                told.lines().map(|l| l.split(' ').collect::<Vec<_>>()).find(|l| l[0] == name).unwrap();
            (line[1].to_owned(), line[2].to_owned())
        });
        let machine = Machine::bare();
        let folder = format!("url = \"file://{}\"", machine.vault().display());
        let url = format!("url = \"s3://{bucket}?{}\"\nclass = \"{class}\"", server.query());
        let config = fs::read_to_string(machine.config()).unwrap();
        fs::write(machine.config(), config.replace(&folder, &url)).unwrap();
        Self { server, machine, bucket, keys: keys.into() }
    }

    /// A run by one identity: its key, and nothing else, in the environment.
    fn run(&self, identity: &str, arguments: &[&str]) -> Ran {
        let (id, secret) = &self.keys[IDENTITIES.iter().position(|i| *i == identity).unwrap()];
        let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
        command.stdin(Stdio::null()).current_dir(self.machine.path(""));
        for name in ["RUST_LOG", "JOURNAL_STREAM", "PANICROOM_CONFIG", "PANICROOM_KEY_FILE", "AWS_PROFILE"] {
            command.env_remove(name);
        }
        command.env("HOME", self.machine.path("home")).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("XDG_CACHE_HOME", self.machine.path(&format!("cache-{identity}")));
        command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        command.args(arguments).output().unwrap().into()
    }

    /// On the machine that backs up.
    fn here(&self, identity: &str, arguments: &[&str]) -> Ran {
        let config = self.machine.config();
        self.run(identity, &[&["--config", config.to_str().unwrap()], arguments].concat())
    }

    /// On one that has the vault's address and the words.
    fn afar(&self, identity: &str, arguments: &[&str]) -> Ran {
        let url = format!("s3://{}?{}", self.bucket, self.server.query());
        self.run(identity, &[arguments, &["--vault", &url, "--key-file", "words"]].concat())
    }

    /// A row of the table: whom `run` ends well for. Everybody else must have been refused by the server, not by chance.
    fn who(&self, run: impl Fn(&Self, &str) -> Ran) -> Vec<&'static str> {
        let mut who = vec![];
        // The writer last: what it does, nobody has to do after it.
        for identity in ["auditor", "restorer", "reaper", "writer"] {
            let ran = run(self, identity);
            if ran.code == 0 {
                who.push(identity);
            } else {
                let refused = ran.out.contains("403") || ran.err.contains("403") || ran.out.contains("may not look");
                assert!(refused, "{identity}: {ran:#?}");
            }
        }
        who
    }

    fn restored(&self, identity: &str) -> Ran {
        let to = format!("back-{identity}");
        let ran = self.afar(identity, &["restore", "--yes", "--poll", "1s", "--to", &to]);
        if ran.code == 0 {
            let data = self.machine.data();
            assert_same(&self.machine.path(&to).join(data.strip_prefix("/").unwrap()), &data);
        }
        ran
    }
}

/// From now on moto asks who calls and whether they may.
fn guard(server: &Server) {
    server.boto3(
        "import urllib.request\nurllib.request.urlopen(urllib.request.Request(s3.meta.endpoint_url + \
         '/moto-api/reset-auth', data=b'0', method='POST', headers={'Content-Type': 'text/plain'}))",
    );
}

/// Nobody's files are in the way of the next one's.
fn begun(trial: &Trial<'_>, identity: &str) -> Ran {
    let _ = fs::remove_file(trial.machine.words());
    trial.here(identity, &["init", "--words-file", "words"])
}

/// Something is there to be sent.
fn sent(trial: &Trial<'_>, identity: &str) -> Ran {
    fs::write(trial.machine.data().join(identity), identity).unwrap();
    trial.here(identity, &["backup"])
}

/// moto believes every checksum and knows no conditions, by which the bucket's policy refuses to overwrite: so the trial as
/// a whole fails for everybody. What counts is that objects may be made and must not be taken away.
fn tried(trial: &Trial<'_>, identity: &str) -> Ran {
    let ran = trial.here(identity, &["doctor", "--json"]);
    let findings = ran.json()["vaults"][0]["findings"].as_array().unwrap().clone();
    let verdict = |check: &str| {
        let of = findings.iter().find(|f| f["check"] == check);
        of.map_or(String::new(), |f| f["verdict"].as_str().unwrap().to_owned())
    };
    let is_writer =
        ["create", "class", "no delete", "no delete of versions"].iter().all(|check| verdict(check) == "passed");
    Ran { code: i32::from(!is_writer), ..ran }
}

fn phrase(trial: &Trial<'_>, identity: &str) -> Ran {
    trial.afar(identity, &["key", "passphrase", "--out", &format!("phrase-{identity}")])
}

/// The rows of the page: what stands first, and whom it says yes to.
fn table() -> Vec<(String, Vec<&'static str>)> {
    let page = include_str!("../docs/setup.md");
    let rows = page.lines().skip_while(|l| !l.starts_with("| | writer |")).take_while(|l| l.starts_with('|')).skip(3);
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let who = IDENTITIES.iter().zip(&cells[1..]).filter(|(_, cell)| **cell == "yes").map(|(who, _)| *who);
        (cells[0].to_owned(), who.collect())
    })
    .collect()
}

#[test]
fn the_table_of_commands_and_identities_is_what_the_program_does() {
    let Some(server) = Server::moto() else { return };
    let warm = Trial::new(&server, "warm", "STANDARD_IA");
    let cold = Trial::new(&server, "cold", "DEEP_ARCHIVE");
    guard(&server);
    let afar = |trial: &Trial<'_>, arguments: &[&str]| trial.who(|trial, identity| trial.afar(identity, arguments));
    let mut found: Vec<(&str, Vec<&str>)> = vec![];
    let began = cold.who(begun);
    assert_eq!(warm.who(begun), began);
    found.push(("`init`", began));
    let sends = cold.who(sent);
    assert_eq!(warm.who(sent), sends);
    found.push(("`run`, `backup`", sends));
    found.push(("`doctor`", cold.who(tried)));
    found.push(("`rebuild`", cold.who(|trial, identity| trial.here(identity, &["rebuild"]))));
    let looks = afar(&cold, &["ls", "/"]);
    let data = cold.machine.data();
    for also in [&["versions", data.join("file3").to_str().unwrap()][..], &["find", "*"], &["cost"]] {
        assert_eq!(afar(&cold, also), looks, "{also:?}");
    }
    found.push(("`ls`, `versions`, `find`, `cost` of an address", looks));
    let plans = afar(&cold, &["restore", "--plan", "--to", "plan"]);
    assert_eq!(afar(&cold, &["drill", "--plan"]), plans);
    found.push(("`restore --plan`, `drill --plan`", plans));
    found.push(("`verify`", afar(&cold, &["verify"])));
    found.push(("`verify --level checksum`", afar(&cold, &["verify", "--level", "checksum", "--all"])));
    let reads = afar(&warm, &["verify", "--level", "read", "--all"]);
    found.push(("`verify --level read`, packs that need no thaw", reads));
    let warm_again = warm.who(Trial::restored);
    assert_eq!(afar(&warm, &["drill", "--yes"]), warm_again);
    found.push(("`restore`, `drill`, packs that need no thaw", warm_again));
    let thaws = cold.who(Trial::restored);
    assert_eq!(afar(&cold, &["drill", "--yes", "--poll", "1s"]), thaws);
    found.push(("`restore`, `drill`, frozen packs", thaws));
    found.push(("`key passphrase`", warm.who(phrase)));

    let told = table();
    let order = |who: &[&str]| IDENTITIES.into_iter().filter(|i| who.contains(i)).collect::<Vec<_>>();
    let found: Vec<(String, Vec<&str>)> = found.into_iter().map(|(row, who)| (row.to_owned(), order(&who))).collect();
    // Deleting is no command of this program: tests/setup.rs tries it with another client.
    let deleting = ("deleting anything".to_owned(), vec!["reaper"]);
    assert_eq!(told, [found, vec![deleting]].concat());
}

/// The machine's own key may not look at packs. With the daemon stopped, a look with the auditor's finds what is damaged
/// and leaves it in the catalog, and the next run with the machine's key sends it again.
#[test]
fn what_the_auditor_finds_is_healed_with_the_writers_key() {
    let Some(server) = Server::moto() else { return };
    let trial = Trial::new(&server, "looked", "DEEP_ARCHIVE");
    server.boto3("s3.put_bucket_versioning(Bucket='looked', VersioningConfiguration={'Status': 'Suspended'})");
    begun(&trial, "writer").exits(0);
    sent(&trial, "writer").exits(0);
    let packs = "keys = sorted(o['Key'] for o in s3.list_objects_v2(Bucket='looked')['Contents'] \
                 if o['Key'].startswith('data_'))\n";
    let count = || server.boto3(&format!("{packs}print(len(keys))"));
    assert_eq!(count(), "1");
    server.boto3(&format!(
        "{packs}size = s3.head_object(Bucket='looked', Key=keys[0])['ContentLength']\ns3.put_object(Bucket='looked', \
         Key=keys[0], Body=b'x' * size, StorageClass='DEEP_ARCHIVE', ChecksumAlgorithm='SHA256')"
    ));
    guard(&server);
    let look = ["verify", "--level", "checksum", "--all"];
    trial.here("writer", &look).exits(1).says("nothing is proved");
    // It is the only pack: that much waits for the owner's word.
    trial.here("auditor", &look).exits(4).says("NOT SOUND").says("verify --heal");
    trial.here("writer", &["verify", "--heal"]);
    trial.here("writer", &["backup"]).exits(0);
    trial.here("auditor", &look).exits(0).says("sound, as far as this looks");
    trial.restored("restorer").exits(0);
}
