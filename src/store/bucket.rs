//! The words for a bucket that is made or adopted for a vault: what a server says of it, and what is changed. Who asks
//! the server is [`s3::make`](super::s3::make), what shall be is for `setup aws` to decide. Nothing here does anything.

use super::rules::Rule;
use crate::error::Error;

/// What a name stands for.
#[derive(Debug)]
pub enum Standing {
    /// No such bucket.
    Free,
    /// There, and ours as far as could be asked: `None` where the account's own buckets may not be listed.
    There { ours: Option<bool> },
    /// There, in this other region.
    Elsewhere(String),
    /// Its owner shut us out, or it is ours and this key lacks the right.
    Shut { ours: Option<bool> },
}

/// What lies in a bucket, by a few small listings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// A vault was started beneath the prefix.
    pub vault: bool,
    /// Objects beneath the prefix that no vault makes, among the first [`LOOKED_AT`]; and one of them.
    pub foreign: u64,
    pub one_foreign: Option<String>,
    /// Objects outside the prefix: somebody else uses the bucket too.
    pub beside: bool,
}

/// Objects beneath the prefix that are looked at.
pub const LOOKED_AT: u16 = 1000;

/// One thing a bucket is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Public,
    Encryption,
    Versions,
    Lock,
    Rules,
    Policy,
}

impl Part {
    /// In the order they are set: a lock needs versions.
    pub const ALL: [Self; 6] = [Self::Public, Self::Encryption, Self::Versions, Self::Lock, Self::Rules, Self::Policy];
}

/// What one part is set to now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Is {
    /// Access lists blocked and ignored, policies blocked and restricted: true where all four are.
    Public {
        blocked: bool,
    },
    /// The algorithm new objects are encrypted by; None: no default.
    Encryption(Option<String>),
    Versions {
        kept: bool,
    },
    /// None: the bucket was made without.
    Lock(Option<Lock>),
    Rules(Rules),
    /// As it was written.
    Policy(Option<String>),
}

/// A bucket's Object Lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What every new object gets by itself.
    pub retention: Option<Retention>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `GOVERNANCE` or `COMPLIANCE`.
    pub mode: String,
    pub days: u32,
}

/// A bucket's lifecycle rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub all: Vec<Rule>,
    /// Those that do just what one of ours does.
    pub tidy: Vec<Tidy>,
    /// What this release does not know of them: they could not be written back as they are.
    pub unknown: Option<String>,
}

/// A rule of ours. It tidies and can touch no pack of a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tidy {
    pub id: String,
    pub prefix: String,
    pub does: Does,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Ends uploads not completed after so many days. We never begin one; their parts are billed.
    EndUploads(u32),
    /// Removes versions so many days after they were overwritten or deleted.
    DropOld(u32),
}

/// One change to a bucket: one call that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Create {
        locked: bool,
    },
    BlockPublic,
    Encrypt,
    KeepVersions,
    Retain(Retention),
    /// The rules that are there stay as they are.
    AddRules(Vec<Tidy>),
    /// The whole policy, with what was there before.
    Policy(String),
}

impl Part {
    /// What S3 calls the calls that read and write it, and the rights they need.
    pub fn read_call(self) -> Call {
        match self {
            Self::Public => Call("GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock"),
            Self::Encryption => Call("GetBucketEncryption", "s3:GetEncryptionConfiguration"),
            Self::Versions => Call("GetBucketVersioning", "s3:GetBucketVersioning"),
            Self::Lock => Call("GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration"),
            Self::Rules => Call("GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration"),
            Self::Policy => Call("GetBucketPolicy", "s3:GetBucketPolicy"),
        }
    }
}

impl Change {
    pub fn call(&self) -> Call {
        match self {
            Self::Create { locked: false } => Call("CreateBucket", "s3:CreateBucket"),
            Self::Create { locked: true } => {
                Call("CreateBucket", "s3:CreateBucket, s3:PutBucketVersioning and s3:PutBucketObjectLockConfiguration")
            }
            Self::BlockPublic => Call("PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
            Self::Encrypt => Call("PutBucketEncryption", "s3:PutEncryptionConfiguration"),
            Self::KeepVersions => Call("PutBucketVersioning", "s3:PutBucketVersioning"),
            Self::Retain(_) => Call("PutObjectLockConfiguration", "s3:PutBucketObjectLockConfiguration"),
            Self::AddRules(_) => Call("PutBucketLifecycleConfiguration", "s3:PutLifecycleConfiguration"),
            Self::Policy(_) => Call("PutBucketPolicy", "s3:PutBucketPolicy"),
        }
    }
}

/// A call's name, and the right it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call(pub &'static str, pub &'static str);

/// Why a call came to nothing.
#[derive(Debug)]
pub enum Refusal {
    /// This key may not.
    Denied(Call),
    /// Anything else.
    Failed(Error),
}

pub type Asked<T> = Result<T, Refusal>;
