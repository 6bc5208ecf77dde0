//! `panicroom setup print` as people use it: its documents are handed to an independent client and then used.

#[path = "support/servers.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod servers;

use serde_json::Value;
use servers::Server;
use std::process::Command;

fn print(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_panicroom")).args(["setup", "print"]).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_cannot_be_followed_is_refused_and_a_name_is_proposed() {
    assert_eq!(print(&["--provider", "garage", "--bucket", "box", "--object-lock", "3"]).0, Some(2));
    assert_eq!(print(&["--bucket", "x'; rm -rf"]).0, Some(2));
    let (code, text, _) = print(&[]);
    assert!(code == Some(0) && text.contains("-panicroom") && text.contains("aws iam create-user"), "{text}");
}

/// moto holds every call against the caller's policy; it knows no conditions, so there is no prefix here.
#[test]
fn each_identity_may_do_its_work_and_nothing_else() {
    let Some(server) = Server::moto() else { return };
    let (_, text, _) = print(&["--bucket", "box", "--json"]);
    let document: Value = serde_json::from_str(&text).unwrap();
    let script = "
import json, urllib.request, botocore
plan = json.loads(PLAN)
end = s3.meta.endpoint_url
iam = boto3.client('iam', endpoint_url=end, region_name='us-east-1', aws_access_key_id='a', aws_secret_access_key='b')
s3.create_bucket(Bucket='box')
s3.put_bucket_versioning(Bucket='box', VersioningConfiguration={'Status': 'Enabled'})
s3.put_object(Bucket='box', Key='data_1', Body=b'pack')
hidden = {}
for key in ['data_hidden', 'meta_hidden']:
    hidden[key] = s3.put_object(Bucket='box', Key=key, Body=b'x')['VersionId']
    s3.delete_object(Bucket='box', Key=key)
s3.put_object(Bucket='box', Key='data_2', Body=b'pack', StorageClass='DEEP_ARCHIVE')
s3.put_object(Bucket='box', Key='meta_1', Body=b'log')
users = {}
for identity in plan['identities']:
    name = identity['name']
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName='p', PolicyDocument=json.dumps(identity['policy']))
    key = iam.create_access_key(UserName=name)['AccessKey']
    users[name] = boto3.client('s3', endpoint_url=end, region_name='us-east-1', aws_access_key_id=key['AccessKeyId'],
        aws_secret_access_key=key['SecretAccessKey'], config=Config(s3={'addressing_style': 'path'}))
urllib.request.urlopen(urllib.request.Request(end + '/moto-api/reset-auth', data=b'0', method='POST', headers={'Content-Type': 'text/plain'}))
calls = {
    'list': lambda c: c.list_objects_v2(Bucket='box'),
    'versions': lambda c: c.list_object_versions(Bucket='box'),
    'hidden log': lambda c: c.get_object(Bucket='box', Key='meta_hidden', VersionId=hidden['meta_hidden']),
    'hidden pack': lambda c: c.get_object(Bucket='box', Key='data_hidden', VersionId=hidden['data_hidden']),
    'put': lambda c: c.put_object(Bucket='box', Key='data_new', Body=b'x'),
    'put elsewhere': lambda c: c.put_object(Bucket='box', Key='other', Body=b'x'),
    'read log': lambda c: c.get_object(Bucket='box', Key='meta_1')['Body'].read(),
    'read pack': lambda c: c.get_object(Bucket='box', Key='data_1')['Body'].read(),
    'thaw': lambda c: c.restore_object(Bucket='box', Key='data_2', RestoreRequest={'Days': 1}),
    'rules': lambda c: c.put_bucket_lifecycle_configuration(Bucket='box', LifecycleConfiguration={'Rules': [
        {'ID': 'x', 'Status': 'Enabled', 'Filter': {'Prefix': ''}, 'Expiration': {'Days': 1}}]}),
    'delete': lambda c: c.delete_object(Bucket='box', Key='data_1'),
}
for name, client in users.items():
    may = []
    for what, call in calls.items():
        try:
            call(client)
            may.append(what)
        except botocore.exceptions.ClientError as e:
            status = e.response['ResponseMetadata']['HTTPStatusCode']
            assert status == 403, (name, what, e)
    print(name + ': ' + ', '.join(may))
"
    .replace("PLAN", &format!("r'''{document}'''"));
    let told = server.boto3(&script);
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "writer: list, versions, hidden log, put, read log",
            "auditor: list, versions, hidden log, hidden pack, read log, read pack",
            "restorer: list, versions, hidden log, hidden pack, read log, read pack, thaw",
            "reaper: list, versions, delete"
        ]
    );
}
