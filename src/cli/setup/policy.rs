//! Who may do what in a vault's bucket: four identities with least rights, the bucket's own policy and its rules, as
//! the JSON that AWS takes. Pure.
//!
//! Nobody but the reaper may delete, and the reaper's key is never on the machine that backs up. No rule can touch
//! `data_`.

use serde_json::{Value, json};

/// A bucket and where in it the vault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub bucket: String,
    /// Empty, or ending with `/`.
    pub prefix: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    Writer,
    Auditor,
    Restorer,
    Reaper,
}

impl Identity {
    pub const ALL: [Self; 4] = [Self::Writer, Self::Auditor, Self::Restorer, Self::Reaper];

    pub fn word(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Auditor => "auditor",
            Self::Restorer => "restorer",
            Self::Reaper => "reaper",
        }
    }
    pub fn what(self) -> &'static str {
        match self {
            Self::Writer => {
                "for the machine that backs up: creates, lists, versions too, reads the log; cannot delete, thaw or read packs"
            }
            Self::Auditor => "looks: lists, reads and tells checksums; cannot write or thaw",
            Self::Restorer => "for the day after: lists, thaws, reads; cannot write",
            Self::Reaper => "deletes; keep it off the machine that backs up, best on paper",
        }
    }
}

impl Place {
    /// The error says what would be right.
    pub fn new(bucket: &str, prefix: &str) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let sized = (3..=63).contains(&bucket.len());
        if !sized || !bucket.bytes().all(plain) || !edge(bucket.bytes().next()) || !edge(bucket.bytes().last()) {
            return Err("a bucket's name is 3 to 63 small letters, digits, '-' and '.'".to_owned());
        }
        let prefix = prefix.trim_matches('/');
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
        if !prefix.bytes().all(plain) {
            return Err("a prefix is letters, digits, '-', '_', '.' and '/'".to_owned());
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }

    fn arn(&self) -> String {
        format!("arn:aws:s3:::{}", self.bucket)
    }
    fn objects(&self, kind: &str) -> String {
        format!("{}/{}{kind}*", self.arn(), self.prefix)
    }

    /// The rights of one identity.
    pub fn policy(&self, identity: Identity) -> Value {
        let all = vec![self.objects("")];
        let statements = match identity {
            Identity::Writer => vec![
                allow("Create", &["s3:PutObject"], &["data_", "hot_", "meta_"].map(|kind| self.objects(kind))),
                allow("ReadLog", &["s3:GetObject", "s3:GetObjectVersion"], &[self.objects("meta_")]),
                self.listing(&["s3:ListBucket", "s3:ListBucketVersions"]),
                self.looking(),
            ],
            Identity::Auditor => vec![
                allow(
                    "Look",
                    &["s3:GetObject", "s3:GetObjectAttributes", "s3:GetObjectVersion", "s3:GetObjectVersionAttributes"],
                    &all,
                ),
                self.listing(&["s3:ListBucket", "s3:ListBucketVersions"]),
                self.looking(),
            ],
            Identity::Restorer => vec![
                allow("Restore", &["s3:GetObject", "s3:GetObjectVersion", "s3:RestoreObject"], &all),
                self.listing(&["s3:ListBucket", "s3:ListBucketVersions"]),
            ],
            Identity::Reaper => vec![
                allow("Delete", &["s3:DeleteObject", "s3:DeleteObjectVersion"], &all),
                self.listing(&["s3:ListBucket", "s3:ListBucketVersions"]),
            ],
        };
        json!({ "Version": "2012-10-17", "Statement": statements })
    }

    /// Listing, where there is a prefix only of what is beneath it. "IfExists": a HEAD of what is not there names no
    /// prefix, and would be refused instead of answered by 404.
    fn listing(&self, actions: &[&str]) -> Value {
        let mut statement = allow("List", actions, &[self.arn()]);
        if !self.prefix.is_empty() {
            statement["Condition"] = json!({ "StringLikeIfExists": { "s3:prefix": [format!("{}*", self.prefix)] } });
        }
        statement
    }
    fn looking(&self) -> Value {
        allow("Rules", &["s3:GetLifecycleConfiguration", "s3:GetBucketVersioning"], &[self.arn()])
    }

    /// What nobody may do: overwrite, seal with a key of their own, speak in the clear.
    pub fn bucket_policy(&self) -> Value {
        let objects = self.objects("");
        let deny = |id: &str, action: &str, resources: Value, condition: Value| {
            json!({
                "Sid": id, "Effect": "Deny", "Principal": "*", "Action": action, "Resource": resources,
                "Condition": condition
            })
        };
        let foreign = "s3:x-amz-server-side-encryption-customer-algorithm";
        json!({ "Version": "2012-10-17", "Statement": [
            deny("CreateOnly", "s3:PutObject", json!(objects), json!({ "Null": { "s3:if-none-match": "true" } })),
            deny("NoForeignKeys", "s3:PutObject", json!(objects), json!({ "Null": { foreign: "false" } })),
            deny("NoPlainHttp", "s3:*", json!([self.arn(), format!("{}/*", self.arn())]),
                json!({ "Bool": { "aws:SecureTransport": "false" } })),
        ]})
    }

    /// Rules that tidy: uploads never completed, and old versions of what `doctor` leaves.
    pub fn lifecycle(&self, versions: bool) -> Value {
        let mut rules = vec![json!({
            "ID": "panicroom-cut-uploads", "Status": "Enabled", "Filter": { "Prefix": self.prefix },
            "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 7 }
        })];
        if versions {
            rules.push(json!({
                "ID": "panicroom-old-probes", "Status": "Enabled",
                "Filter": { "Prefix": format!("{}meta_probe_", self.prefix) },
                "NoncurrentVersionExpiration": { "NoncurrentDays": 30 }
            }));
        }
        json!({ "Rules": rules })
    }
}

fn allow(id: &str, actions: &[&str], resources: &[String]) -> Value {
    json!({ "Sid": id, "Effect": "Allow", "Action": actions, "Resource": resources })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(identity: Identity) -> String {
        Place::new("box", "nas").unwrap().policy(identity).to_string()
    }

    #[test]
    fn only_the_reaper_may_delete_and_only_the_writer_may_write() {
        for identity in Identity::ALL {
            let text = actions(identity);
            assert_eq!(text.contains("Delete"), identity == Identity::Reaper, "{text}");
            assert_eq!(text.contains("s3:PutObject"), identity == Identity::Writer, "{text}");
            assert_eq!(text.contains("s3:RestoreObject"), identity == Identity::Restorer, "{text}");
            assert!(
                !text.contains("s3:*\"") && !text.contains("PutLifecycle") && !text.contains("Retention"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_writer_reads_the_log_alone() {
        let policy = Place::new("box", "/nas/").unwrap().policy(Identity::Writer);
        let read = &policy["Statement"][1];
        assert_eq!(
            (&read["Action"], &read["Resource"]),
            (&json!(["s3:GetObject", "s3:GetObjectVersion"]), &json!(["arn:aws:s3:::box/nas/meta_*"]))
        );
    }

    #[test]
    fn everybody_may_list_versions_and_who_reads_may_read_what_lies_behind_a_delete_marker() {
        for identity in Identity::ALL {
            let text = actions(identity);
            assert!(text.contains("s3:ListBucketVersions"), "{text}");
            assert_eq!(text.contains("s3:GetObject\""), text.contains("s3:GetObjectVersion\""), "{text}");
        }
    }

    #[test]
    fn no_rule_of_ours_reaches_a_pack_except_to_end_cut_uploads() {
        let rules = Place::new("box", "nas").unwrap().lifecycle(true);
        for rule in rules["Rules"].as_array().unwrap() {
            let tidies = rule.get("AbortIncompleteMultipartUpload").is_some();
            assert!(tidies || rule["Filter"]["Prefix"] == "nas/meta_probe_", "{rule}");
            assert!(rule.get("Expiration").is_none() && rule.get("Transitions").is_none(), "{rule}");
        }
    }

    #[test]
    fn names_that_would_break_out_of_a_command_are_refused() {
        for bucket in ["", "ab", "A-b", "a b c", "x'; rm", "-abc", "abc-"] {
            assert!(Place::new(bucket, "").is_err(), "{bucket}");
        }
        assert!(Place::new("abc", "a'b").is_err());
        assert_eq!(Place::new("abc", "").unwrap().prefix, "");
    }
}
