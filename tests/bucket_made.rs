//! `panicroom setup aws` as people use it: real buckets of a local server, and boto3 as the one who looks at what was left.
//!
//! moto plays AWS. It knows no conditions in policies, keeps no size and count of a rule's filter, and gives everybody
//! every bucket; what it does not know is tried with a double that speaks on the wire.

#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;
#[path = "support/wire.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod wire;

use serde_json::Value;
use servers::Server;
use std::path::Path;
use std::process::Command;
use wire::{Answer, Wire};

const SECRET: &str = "contractsecret";

/// How a run ended: code, what it said on either stream.
struct Ran(Option<i32>, String, String);

impl Ran {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.0, Some(code), "{}{}", self.1, self.2);
        self
    }
    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.1.contains(text) || self.2.contains(text), "'{text}' is missing in {}{}", self.1, self.2);
        self
    }
    fn json(&self) -> Value {
        serde_json::from_str(&self.1).unwrap_or_else(|e| panic!("{e}: {}{}", self.1, self.2))
    }
    fn outcome(&self, step: &str) -> String {
        let document = self.json();
        let steps = document["steps"].as_array().unwrap();
        let found = steps.iter().find(|s| s["step"] == step).unwrap_or_else(|| panic!("no {step}: {document:#}"));
        found["outcome"].as_str().unwrap().to_owned()
    }
    fn wrote(&self) -> Vec<String> {
        let document = self.json();
        let calls = document["calls"].as_array().unwrap();
        calls.iter().filter(|c| c["writes"] == true).map(|c| c["call"].as_str().unwrap().to_owned()).collect()
    }
}

/// `setup aws` on a server at this address, with this file of keys.
fn setup(endpoint: &str, keys: &Path, arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_panicroom"))
        .args(["setup", "aws", "--endpoint", endpoint, "--credentials-file", keys.to_str().unwrap()])
        .args(arguments)
        .env_remove("AWS_REGION")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let ran = Ran(output.status.code(), text(output.stdout), text(output.stderr));
    assert!(!ran.1.contains(SECRET) && !ran.2.contains(SECRET), "a secret was said: {}{}", ran.1, ran.2);
    ran
}

fn on(server: &Server, arguments: &[&str]) -> Ran {
    let query = server.query();
    let endpoint = query.rsplit("endpoint=").next().unwrap();
    setup(endpoint, &server.credentials(), arguments)
}

/// All of a bucket's settings as an independent client reads them.
fn read(server: &Server, bucket: &str) -> Value {
    let script = format!(
        "import json, botocore
def ask(call, *keys):
    try:
        found = call(Bucket='{bucket}')
        return {{k: found.get(k) for k in keys}}
    except botocore.exceptions.ClientError as e:
        return e.response['Error']['Code']
print(json.dumps({{
    'region': s3.head_bucket(Bucket='{bucket}')['ResponseMetadata']['HTTPHeaders']['x-amz-bucket-region'],
    'public': ask(s3.get_public_access_block, 'PublicAccessBlockConfiguration'),
    'encryption': ask(s3.get_bucket_encryption, 'ServerSideEncryptionConfiguration'),
    'versions': ask(s3.get_bucket_versioning, 'Status'),
    'lock': ask(s3.get_object_lock_configuration, 'ObjectLockConfiguration'),
    'rules': ask(s3.get_bucket_lifecycle_configuration, 'Rules'),
    'policy': json.loads((ask(s3.get_bucket_policy, 'Policy') or {{}})['Policy']) if not isinstance(ask(s3.get_bucket_policy, 'Policy'), str) else None,
    'keys': [o['Key'] for o in s3.list_objects_v2(Bucket='{bucket}').get('Contents', [])],
}}, default=str))"
    );
    serde_json::from_str(&server.boto3(&script)).unwrap()
}

#[test]
fn a_bucket_is_made_whole_and_a_second_run_changes_nothing() {
    let Some(server) = Server::moto() else { return };
    let box_ = ["--bucket", "org-example-nas", "--region", "eu-central-1", "--prefix", "nas"];
    let dry = on(&server, &[&box_[..], &["--dry-run", "--json"]].concat()).exits(0);
    assert_eq!(dry.wrote(), Vec::<String>::new());
    assert_eq!(dry.outcome("bucket"), "to do");
    on(&server, &[&box_[..], &["--dry-run"]].concat()).exits(0).says("CreateBucket").says("Nothing was written");
    assert!(!server.boto3("print([b['Name'] for b in s3.list_buckets()['Buckets']])").contains("org-example-nas"));
    // Nobody is there to be asked.
    on(&server, &box_).exits(4).says("--yes").says("nothing was changed");

    let made = on(&server, &[&box_[..], &["--yes", "--json"]].concat()).exits(0);
    for step in ["bucket", "public access", "encryption", "versions", "lifecycle", "policy"] {
        assert_eq!(made.outcome(step), "changed", "{step}");
    }
    let found = read(&server, "org-example-nas");
    assert_eq!(found["region"], "eu-central-1");
    let block = found["public"]["PublicAccessBlockConfiguration"].as_object().unwrap();
    assert!(block.len() == 4 && block.values().all(|v| v == true), "{found:#}");
    let encryption = &found["encryption"]["ServerSideEncryptionConfiguration"]["Rules"][0];
    assert_eq!(encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256");
    assert_eq!(found["versions"]["Status"], "Enabled");
    assert_eq!(found["lock"], "ObjectLockConfigurationNotFoundError");
    let rules = found["rules"]["Rules"].as_array().unwrap();
    assert_eq!(rules[0]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"], 7);
    assert_eq!((&rules[1]["Filter"]["Prefix"], rules.len()), (&"nas/meta_probe_".into(), 2));
    assert_eq!(found["policy"]["Statement"].as_array().unwrap().len(), 3);
    assert_eq!(found["keys"].as_array().unwrap().len(), 0, "it leaves no object");

    let again = on(&server, &[&box_[..], &["--json"]].concat()).exits(0);
    assert_eq!(again.wrote(), Vec::<String>::new(), "{}", again.1);
    on(&server, &box_).exits(0).says("Nothing to change").says("aws iam create-user").says("budget");
    assert_eq!(read(&server, "org-example-nas"), found);
}

#[test]
fn a_lock_comes_with_a_new_bucket_and_is_explained_for_an_old_one() {
    let Some(server) = Server::moto() else { return };
    let args = |name: &'static str, days: &'static str| {
        ["--bucket", name, "--region", "us-east-1", "--object-lock", days, "--yes", "--json"]
    };
    on(&server, &args("locked", "30")).exits(0);
    let found = read(&server, "locked");
    let retention = &found["lock"]["ObjectLockConfiguration"]["Rule"]["DefaultRetention"];
    assert_eq!((&retention["Mode"], &retention["Days"]), (&"GOVERNANCE".into(), &30.into()), "{found:#}");
    assert_eq!(found["versions"]["Status"], "Enabled");
    assert_eq!(on(&server, &args("locked", "7")).exits(0).wrote(), Vec::<String>::new(), "never shortened");
    on(&server, &args("locked", "60")).exits(0);
    assert_eq!(read(&server, "locked")["lock"]["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]["Days"], 60);
    server.make_bucket("old");
    let old = on(&server, &args("old", "30")).exits(4).says("without Object Lock");
    assert_eq!(old.outcome("policy"), "changed", "the rest is done all the same: {}", old.1);
    assert_eq!(read(&server, "old")["lock"], "ObjectLockConfigurationNotFoundError");
}

#[test]
fn an_adopted_bucket_keeps_every_rule_and_every_line_of_its_policy() {
    let Some(server) = Server::moto() else { return };
    server.boto3(
        "import json
s3.create_bucket(Bucket='box')
s3.put_object(Bucket='box', Key='photos/1', Body=b'x')
s3.put_bucket_lifecycle_configuration(Bucket='box', LifecycleConfiguration={'Rules': [
  {'ID': 'theirs', 'Status': 'Enabled', 'Filter': {'And': {'Prefix': 'photos/', 'Tags': [{'Key': 'a', 'Value': 'b'}]}},
   'Expiration': {'Days': 30}, 'Transitions': [{'Days': 3, 'StorageClass': 'GLACIER'}], 'NoncurrentVersionExpiration': {'NoncurrentDays': 9}},
  {'ID': 'off', 'Status': 'Disabled', 'Filter': {'Prefix': ''}, 'Expiration': {'Days': 1}},
  {'ID': 'typo', 'Status': 'Enabled', 'Filter': {'Prefix': '_data'}, 'Expiration': {'Days': 1}}]})
s3.put_bucket_policy(Bucket='box', Policy=json.dumps({'Version': '2012-10-17', 'Id': 'theirs', 'Statement': {
  'Sid': 'CreateOnly', 'Effect': 'Allow', 'Principal': {'AWS': 'arn:aws:iam::123456789012:root'}, 'Action': 's3:GetObject', 'Resource': 'arn:aws:s3:::box/photos/*'}}))",
    );
    let before = read(&server, "box");
    let args = ["--bucket", "box", "--prefix", "nas", "--region", "us-east-1"];
    on(&server, &[&args[..], &["--dry-run"]].concat()).exits(0).says("others use this bucket too").says("'typo'");
    assert_eq!(read(&server, "box"), before);
    on(&server, &[&args[..], &["--yes"]].concat()).exits(0);
    let after = read(&server, "box");
    let (rules, theirs) = (after["rules"]["Rules"].as_array().unwrap(), before["rules"]["Rules"].as_array().unwrap());
    assert_eq!((&rules[..3], rules.len()), (&theirs[..], 5), "{after:#}");
    let statements = after["policy"]["Statement"].as_array().unwrap();
    assert_eq!((&statements[0], statements.len()), (&before["policy"]["Statement"], 4));
    assert_eq!((&after["policy"]["Id"], &after["keys"]), (&before["policy"]["Id"], &before["keys"]));
    // A second vault in the same bucket adds its own and touches nothing else.
    on(&server, &["--bucket", "box", "--prefix", "attic", "--region", "us-east-1", "--yes"]).exits(0);
    let both = read(&server, "box");
    assert_eq!(both["rules"]["Rules"].as_array().unwrap()[..5], rules[..]);
    assert_eq!(both["policy"]["Statement"].as_array().unwrap()[..4], statements[..]);
    assert_eq!(on(&server, &[&args[..], &["--json"]].concat()).exits(0).wrote(), Vec::<String>::new());
    // A rule that would delete the vault is red and not ours to take away.
    server.boto3(
        "s3.put_bucket_lifecycle_configuration(Bucket='box', LifecycleConfiguration={'Rules': [{'ID': 'tidy-up', 'Status': 'Enabled', 'Filter': {'Prefix': ''}, 'Expiration': {'Days': 365}}]})",
    );
    on(&server, &[&args[..], &["--yes"]].concat()).exits(4).says("'tidy-up' deletes").says("take the expiration out");
    let rules = read(&server, "box")["rules"]["Rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["ID"].to_string())
        .collect::<Vec<_>>();
    assert!(rules[0].contains("tidy-up") && rules.len() == 3, "{rules:?}");
}

#[test]
fn what_is_not_ours_to_change_is_told_and_left_alone() {
    let Some(server) = Server::moto() else { return };
    server.boto3(
        "s3.create_bucket(Bucket='full'); s3.put_object(Bucket='full', Key='holiday.jpg', Body=b'x')
s3.create_bucket(Bucket='vault'); s3.put_object(Bucket='vault', Key='nas/meta_vault', Body=b'x')
s3.create_bucket(Bucket='far', CreateBucketConfiguration={'LocationConstraint': 'eu-west-1'})
other = boto3.client('s3', endpoint_url=s3.meta.endpoint_url, region_name='us-east-1', aws_access_key_id='o', aws_secret_access_key='o')
other.meta.events.register('before-sign.s3', lambda request, **k: request.headers.add_header('x-moto-account-id', '999999999999'))
other.create_bucket(Bucket='theirs')",
    );
    let run = |bucket: &str, more: &[&str]| {
        on(&server, &[&["--bucket", bucket, "--region", "us-east-1", "--yes"][..], more].concat())
    };
    let before = ["full", "vault", "far"].map(|name| read(&server, name));
    run("full", &[]).exits(4).says("holiday.jpg").says("nothing was changed").says("--prefix");
    run("vault", &["--prefix", "nas"]).exits(4).says("a vault lies there already").says("nothing was changed");
    run("far", &[]).exits(4).says("it exists, in eu-west-1").says("--region eu-west-1");
    run("theirs", &[]).exits(4).says("belongs to somebody else").says("nothing was changed");
    assert_eq!(["full", "vault", "far"].map(|name| read(&server, name)), before);
    run("vault", &["--prefix", "nas", "--adopt"]).exits(0);
    // A bucket that is as it shall be is no trouble for having a vault.
    run("vault", &["--prefix", "nas"]).exits(0).says("Nothing to change").says("a vault lies there already");
    assert_eq!(read(&server, "vault")["keys"], before[1]["keys"]);
}

#[test]
fn what_is_denied_names_the_right_and_holds_up_nothing_else() {
    let Some(server) = Server::moto() else { return };
    let keys = server.boto3(
        "import json, urllib.request
end = s3.meta.endpoint_url
iam = boto3.client('iam', endpoint_url=end, region_name='us-east-1', aws_access_key_id='a', aws_secret_access_key='b')
s3.create_bucket(Bucket='box')
iam.create_user(UserName='half')
iam.put_user_policy(UserName='half', PolicyName='p', PolicyDocument=json.dumps({'Version': '2012-10-17', 'Statement': [
  {'Effect': 'Allow', 'Action': 's3:*', 'Resource': '*'},
  {'Effect': 'Deny', 'Action': ['s3:PutBucketVersioning', 's3:GetLifecycleConfiguration', 's3:GetBucketPolicy'], 'Resource': '*'}]}))
key = iam.create_access_key(UserName='half')['AccessKey']
urllib.request.urlopen(urllib.request.Request(end + '/moto-api/reset-auth', data=b'0', method='POST', headers={'Content-Type': 'text/plain'}))
print(key['AccessKeyId'], key['SecretAccessKey'])",
    );
    let (id, secret) = keys.split_once(' ').unwrap();
    let file = server.credentials().with_file_name("half");
    std::fs::write(&file, format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")).unwrap();
    let query = server.query();
    let endpoint = query.rsplit("endpoint=").next().unwrap();
    let args = ["--bucket", "box", "--region", "us-east-1", "--yes", "--json"];
    let ran = setup(endpoint, &file, &args).exits(4);
    assert!(!ran.1.contains(secret));
    assert_eq!(
        (ran.outcome("versions"), ran.outcome("lifecycle"), ran.outcome("policy")),
        ("denied".into(), "denied".into(), "denied".into())
    );
    assert_eq!((ran.outcome("public access"), ran.outcome("encryption")), ("changed".into(), "changed".into()));
    let document = ran.json();
    let rights: Vec<&str> = document["steps"].as_array().unwrap().iter().filter_map(|s| s["right"].as_str()).collect();
    assert_eq!(rights, ["s3:PutBucketVersioning", "s3:GetLifecycleConfiguration", "s3:GetBucketPolicy"]);
    // What may not be read is not written.
    assert!(!ran.wrote().iter().any(|call| call.contains("Lifecycle") || call.contains("Policy")), "{:?}", ran.wrote());
}

/// Writes a file of keys that open nothing.
fn some_keys(dir: &Path) -> std::path::PathBuf {
    let file = dir.join("keys");
    std::fs::write(&file, "[default]\naws_access_key_id = a\naws_secret_access_key = contractsecret\n").unwrap();
    file
}

#[test]
fn rules_with_a_part_nobody_here_knows_are_not_written_back() {
    let rules = "<LifecycleConfiguration><Rule><ID>new</ID><Filter><Prefix>x</Prefix></Filter><Status>Enabled</Status>\
                 <BrandNew><Days>1</Days></BrandNew></Rule></LifecycleConfiguration>";
    let server = Wire::new(move |request, _| {
        let target = request.target.as_str();
        let said = |body: &str| Answer::Say { status: 200, headers: vec![], body: body.to_owned() };
        match request.method.as_str() {
            "HEAD" => Answer::ok(vec![("x-amz-bucket-region", "us-east-1".to_owned())]),
            "GET" if target.contains("ListBuckets") => said(
                "<ListAllMyBucketsResult><Buckets><Bucket><Name>box</Name></Bucket></Buckets></ListAllMyBucketsResult>",
            ),
            "GET" if target.contains("list-type") => Answer::listing(&[]),
            "GET" if target.contains("lifecycle") => said(rules),
            "GET" if target.contains("versioning") => {
                said("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
            }
            "GET" if target.contains("encryption") => {
                Answer::error(404, "ServerSideEncryptionConfigurationNotFoundError", "none")
            }
            "PUT" => Answer::error(503, "SlowDown", "later"),
            _ => Answer::error(403, "AccessDenied", "no"),
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let ran = setup(
        &server.endpoint,
        &some_keys(dir.path()),
        &["--bucket", "box", "--region", "us-east-1", "--dry-run", "--json"],
    );
    let ran = ran.exits(4).says("BrandNew").says("to lose nothing");
    assert_eq!((ran.outcome("lifecycle"), ran.outcome("public access")), ("fine".into(), "denied".into()), "{}", ran.1);
    assert!(server.heard().iter().all(|r| r.method != "PUT"));
}

#[test]
fn a_bucket_behind_a_shut_door_and_keys_that_are_wrong_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let keys = some_keys(dir.path());
    let args = ["--bucket", "box", "--region", "us-east-1", "--yes"];
    let shut = Wire::new(|request, _| match request.method.as_str() {
        "HEAD" => Answer::ok(vec![]).with_status(403),
        _ => Answer::error(403, "AccessDenied", "no"),
    });
    setup(&shut.endpoint, &keys, &args).exits(4).says("closed to this key").says("nothing was changed");
    let wrong = Wire::new(|request, _| match request.method.as_str() {
        "HEAD" => Answer::ok(vec![]).with_status(403),
        _ => Answer::error(403, "SignatureDoesNotMatch", "no"),
    });
    setup(&wrong.endpoint, &keys, &args).exits(4).says("check the access key");
    let far = Wire::new(|_, _| Answer::ok(vec![("x-amz-bucket-region", "eu-north-1".to_owned())]).with_status(301));
    setup(&far.endpoint, &keys, &args).exits(4).says("it exists, in eu-north-1");
    for server in [shut, wrong, far] {
        assert!(server.heard().iter().all(|r| r.method != "PUT"));
    }
    setup("http://127.0.0.1:9", &keys, &["--bucket", "box", "--yes"]).exits(2).says("--region");
    setup("http://127.0.0.1:9", &keys, &["--region", "us-east-1"]).exits(2).says("--bucket NAME");
    setup("http://127.0.0.1:9", &keys, &args).exits(1);
}

#[test]
fn the_keys_are_those_that_setup_print_has() {
    let Some(server) = Server::moto() else { return };
    let made =
        on(&server, &["--bucket", "box", "--prefix", "nas", "--region", "eu-west-1", "--yes", "--json"]).exits(0);
    let printed = Command::new(env!("CARGO_BIN_EXE_panicroom"))
        .args(["setup", "print", "--bucket", "box", "--prefix", "nas", "--region", "eu-west-1", "--json"])
        .output()
        .unwrap();
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let made = made.json();
    assert_eq!((&made["identities"], &made["budget"]), (&printed["identities"], &printed["budget"]));
    assert_eq!(made["identities"].as_array().unwrap().len(), 4);
    // No user was made, and no right over users was needed.
    let users = "iam = boto3.client('iam', endpoint_url=s3.meta.endpoint_url, region_name='us-east-1', \
                 aws_access_key_id='a', aws_secret_access_key='b')\nprint(iam.list_users()['Users'])";
    assert_eq!(server.boto3(users), "[]");
}

/// A bucket whose rules are old, as AWS may have them, with a default beside them that a careless write would reset.
#[test]
fn rules_go_back_in_the_form_they_came_in_with_all_that_stands_beside_them() {
    let rules = "<LifecycleConfiguration><Rule><ID>old</ID><Prefix>logs/</Prefix><Status>Enabled</Status>\
                 <Expiration><Days>9</Days></Expiration></Rule></LifecycleConfiguration>";
    let server = Wire::new(move |request, _| {
        let target = request.target.as_str();
        let said = |body: &str| Answer::Say { status: 200, headers: vec![], body: body.to_owned() };
        match request.method.as_str() {
            "HEAD" => Answer::ok(vec![("x-amz-bucket-region", "us-east-1".to_owned())]),
            "GET" if target.contains("ListBuckets") => said(
                "<ListAllMyBucketsResult><Buckets><Bucket><Name>box</Name></Bucket></Buckets></ListAllMyBucketsResult>",
            ),
            "GET" if target.contains("list-type") => Answer::listing(&[]),
            "GET" if target.contains("lifecycle") => Answer::Say {
                status: 200,
                headers: vec![("x-amz-transition-default-minimum-object-size", "varies_by_storage_class".to_owned())],
                body: rules.to_owned(),
            },
            "PUT" if target.contains("lifecycle") => Answer::error(400, "MalformedXML", "seen enough"),
            _ => Answer::error(403, "AccessDenied", "no"),
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let keys = some_keys(dir.path());
    let ran = setup(
        &server.endpoint,
        &keys,
        &["--bucket", "box", "--region", "us-east-1", "--prefix", "nas", "--yes", "--json"],
    );
    assert_eq!(ran.exits(4).says("seen enough").outcome("lifecycle"), "failed");
    let heard = server.heard();
    let put = heard.iter().find(|r| r.method == "PUT").expect("a write");
    assert_eq!(put.headers["x-amz-transition-default-minimum-object-size"], "varies_by_storage_class");
    let body = String::from_utf8(put.body.clone()).unwrap();
    assert!(
        body.contains("<ID>old</ID>") && body.contains("<Prefix>logs/</Prefix>") && body.contains("<Days>9</Days>"),
        "{body}"
    );
    assert!(body.contains("panicroom-cut-uploads-nas") && !body.contains("<Filter>"), "{body}");
}
