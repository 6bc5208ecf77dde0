//! `setup`: what a bucket for a vault needs, made on AWS ([`aws`]), or as documents and commands for people who make it
//! by hand, which asks no server.

pub mod aws;
mod policy;
mod provider;
mod wanted;

use super::args::Line;
use super::{Answer, Exit, Failure, host};
use crate::error::Error;
use clap::Args;
use policy::{Identity, Place};
use provider::{Provider, Service};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write;

#[derive(Debug, Args)]
pub struct Print {
    /// Whose storage it is
    #[arg(long, value_enum, default_value_t = Service::Aws)]
    pub provider: Service,
    /// The bucket's name; a proposal is made without it
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,
    /// Beneath it, as in "nas": for several machines in one bucket
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Lock every new object for so many days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub object_lock: Option<u32>,
}

/// What is to be made, in the order it is made.
struct Plan {
    provider: &'static Provider,
    place: Place,
    region: String,
    lock: Option<u32>,
}

pub fn print(line: &Line, args: &Print) -> Answer {
    let provider = args.provider.facts();
    let bucket = args.bucket.clone().unwrap_or_else(|| proposal(&String::from_utf8_lossy(&host())));
    let place = Place::new(&bucket, args.prefix.as_deref().unwrap_or_default())
        .map_err(|e| Failure::Usage(Error::operator(format!("set up a bucket: {e}"))))?;
    let region = args.region.clone().unwrap_or_else(|| provider.region.to_owned());
    region_is_plain(&region)?;
    if args.object_lock.is_some() && !provider.locks {
        let error = Error::operator(format!("set up a bucket at {}: it knows no Object Lock", provider.name));
        return Err(Failure::Usage(error.remedy("leave '--object-lock' out; see what it cannot do instead")));
    }
    let plan = Plan { provider, place, region, lock: args.object_lock };
    let text = if line.json { format!("{:#}\n", plan.document()) } else { plan.text() };
    // A closed pipe is the reader's choice.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Done)
}

fn region_is_plain(region: &str) -> Result<(), Failure> {
    if region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Ok(());
    }
    Err(Failure::Usage(Error::operator("set up a bucket: a region is letters, digits and '-'")))
}

/// One bucket a machine: its host name turned round, as domains of one owner then stand together.
fn proposal(host: &str) -> String {
    let plain: String = host
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    let mut parts: Vec<&str> = plain.split('.').map(|p| p.trim_matches('-')).filter(|p| !p.is_empty()).collect();
    parts.reverse();
    let name = parts.join("-");
    let name = if parts.len() < 2 { format!("example-com-{name}") } else { name };
    format!("{}-panicroom", name.chars().take(50).collect::<String>().trim_end_matches('-'))
}

impl Plan {
    fn endpoint(&self) -> Option<String> {
        self.provider.endpoint.map(|e| e.replace("REGION", &self.region))
    }

    fn url(&self) -> String {
        let mut url = format!("s3://{}/{}?region={}", self.place.bucket, self.place.prefix, self.region);
        if let Some(endpoint) = self.endpoint() {
            let _ = write!(url, "&endpoint={endpoint}");
        }
        if let Some(class) = self.provider.cold {
            let _ = write!(url, "&class={class}");
        }
        url
    }

    /// One `aws` command on the bucket.
    fn s3api(&self, command: &str, more: &str) -> String {
        let endpoint = self.endpoint().map(|e| format!(" --endpoint-url {e}")).unwrap_or_default();
        format!("aws s3api {command} --bucket {} --region {}{endpoint}{more}", self.place.bucket, self.region)
    }

    /// What makes the bucket.
    fn bucket(&self) -> Vec<(&'static str, String)> {
        let provider = self.provider;
        let mut create = String::new();
        if provider.is_aws() && self.region != "us-east-1" {
            let _ = write!(create, " --create-bucket-configuration LocationConstraint={}", self.region);
        }
        if self.lock.is_some() {
            create.push_str(" --object-lock-enabled-for-bucket");
        }
        let mut commands = vec![("make the bucket", self.s3api("create-bucket", &create))];
        if provider.is_aws() {
            let block = " --public-access-block-configuration \
                         BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true";
            commands.push(("nothing in it is ever public", self.s3api("put-public-access-block", block)));
            let seal = json!({"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]});
            let more = format!(" --server-side-encryption-configuration '{seal}'");
            commands.push((
                "default encryption (contents are sealed before, by us)",
                self.s3api("put-bucket-encryption", &more),
            ));
        }
        if provider.versions {
            let more = " --versioning-configuration Status=Enabled";
            commands.push(("keep what is deleted or overwritten", self.s3api("put-bucket-versioning", more)));
        }
        if let Some(days) = self.lock {
            let lock = json!({"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": days}}});
            let more = format!(" --object-lock-configuration '{lock}'");
            commands.push(("lock new objects", self.s3api("put-object-lock-configuration", &more)));
        }
        if provider.rules {
            let more = format!(" --lifecycle-configuration '{}'", self.place.lifecycle(provider.versions));
            commands.push((
                "tidy what is left over (replaces all rules the bucket has)",
                self.s3api("put-bucket-lifecycle-configuration", &more),
            ));
        }
        if provider.is_aws() {
            let more = format!(" --policy '{}'", self.place.bucket_policy());
            commands.push((
                "whoever writes must not overwrite (replaces the policy the bucket has)",
                self.s3api("put-bucket-policy", &more),
            ));
        }
        commands
    }

    /// What makes one identity; only where policies are AWS's own.
    fn user(&self, identity: Identity) -> Vec<String> {
        let user = format!("{}-{}", self.place.bucket, identity.word());
        vec![
            format!("aws iam create-user --user-name {user}"),
            format!(
                "aws iam put-user-policy --user-name {user} --policy-name panicroom --policy-document '{}'",
                self.place.policy(identity)
            ),
            format!("aws iam create-access-key --user-name {user}"),
        ]
    }

    fn identities(&self) -> Vec<Value> {
        let each = Identity::ALL.into_iter().map(|identity| {
            let run = if self.provider.is_aws() { self.user(identity) } else { vec![] };
            json!({ "name": identity.word(), "what": identity.what(), "policy": self.place.policy(identity), "run": run })
        });
        each.collect()
    }

    fn document(&self) -> Value {
        let bucket: Vec<Value> = self.bucket().iter().map(|(why, run)| json!({ "why": why, "run": run })).collect();
        json!({
            "provider": self.provider.name, "bucket": self.place.bucket, "prefix": self.place.prefix, "url": self.url(),
            "commands": bucket, "identities": self.identities(), "keys": self.provider.keys, "cannot": self.provider.cannot,
            "tried": self.provider.tried, "budget": self.provider.is_aws().then_some(BUDGET),
        })
    }

    fn text(&self) -> String {
        let mut text = format!("# A vault at {}: {}\n# {}\n", self.provider.name, self.url(), self.provider.tried);
        for lack in self.provider.cannot {
            let _ = writeln!(text, "# cannot: {lack}");
        }
        text.push_str("\n# The bucket, by an administrator's keys:\n");
        for (why, run) in self.bucket() {
            let _ = writeln!(text, "# {why}\n{run}");
        }
        text.push_str(&self.keys());
        text.push_str("\n# Then: put the writer's key on this machine, and run 'panicroom doctor'.\n");
        text
    }

    /// How the four keys are made, and the alarm beside them.
    fn keys(&self) -> String {
        let mut text = format!("\n# The keys. {}\n", self.provider.keys);
        for identity in Identity::ALL {
            let _ = writeln!(text, "\n# {}: {}", identity.word(), identity.what());
            if self.provider.is_aws() {
                for run in self.user(identity) {
                    let _ = writeln!(text, "{run}");
                }
            } else {
                let _ = writeln!(text, "# its rights, in AWS's words: {}", self.place.policy(identity));
            }
        }
        if self.provider.is_aws() {
            let _ = writeln!(text, "\n# {BUDGET}");
        }
        text
    }
}

const BUDGET: &str = "Make a budget alarm by hand (AWS console: Billing, Budgets): a monthly cost budget of twice what \
    'panicroom cost' says, with mail at 100 %. A thief with the writer's key can only add, and that is where it shows.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::VaultUrl;
    use clap::ValueEnum;

    fn plan(service: Service, prefix: &str, lock: Option<u32>) -> Plan {
        let provider = service.facts();
        let place = Place::new("org-example-nas-panicroom", prefix).unwrap();
        Plan { provider, place, region: provider.region.to_owned(), lock }
    }

    #[test]
    fn a_bucket_is_proposed_as_the_reverse_domain_and_the_host() {
        assert_eq!(proposal("nas.home.example.org"), "org-example-home-nas-panicroom");
        assert_eq!(proposal("My_NAS"), "example-com-my-nas-panicroom");
        for host in ["", "-", "a.b", &"x.".repeat(90)] {
            assert!(Place::new(&proposal(host), "").is_ok(), "{}", proposal(host));
        }
    }

    #[test]
    fn every_provider_gets_an_address_the_config_takes_and_no_command_it_cannot_follow() {
        for service in Service::value_variants() {
            let plan = plan(*service, "nas", None);
            VaultUrl::parse(&plan.url()).unwrap_or_else(|e| panic!("{}: {e}", plan.url()));
            let text = plan.text();
            assert_eq!(text.contains("put-bucket-versioning"), plan.provider.versions, "{}", plan.provider.name);
            assert_eq!(text.contains("aws iam"), plan.provider.is_aws());
            assert!(plan.provider.is_aws() || !plan.provider.cannot.is_empty(), "{}", plan.provider.name);
        }
    }

    #[test]
    fn a_lock_is_asked_for_when_the_bucket_is_made_and_not_otherwise() {
        assert!(!plan(Service::Aws, "", None).text().contains("object-lock"));
        let text = plan(Service::Aws, "", Some(30)).text();
        assert!(text.contains("--object-lock-enabled-for-bucket") && text.contains("\"Days\":30"));
    }
}
