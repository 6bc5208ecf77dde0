//! What each provider's bucket can and cannot do, as its documents have it. Only what was tried is called tried.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Service {
    Aws,
    Scaleway,
    Ovh,
    B2,
    Wasabi,
    Hetzner,
    R2,
    Ceph,
    Seaweedfs,
    Garage,
}

#[derive(Debug)]
pub struct Provider {
    pub name: &'static str,
    /// `REGION` stands for the region; None: AWS's own.
    pub endpoint: Option<&'static str>,
    pub region: &'static str,
    /// The class packs are put into, where there is a cold one.
    pub cold: Option<&'static str>,
    pub versions: bool,
    pub locks: bool,
    /// Takes lifecycle rules through S3.
    pub rules: bool,
    /// How keys of few rights are made there.
    pub keys: &'static str,
    pub cannot: &'static [&'static str],
    pub tried: &'static str,
}

const UNTRIED: &str = "From its documents (2025 to 2026); not tried by us. 'panicroom doctor' tries what matters.";

impl Provider {
    pub fn is_aws(&self) -> bool {
        self.endpoint.is_none()
    }
}

impl Service {
    pub fn facts(self) -> &'static Provider {
        match self {
            Self::Aws => &AWS,
            Self::Scaleway => &SCALEWAY,
            Self::Ovh => &OVH,
            Self::B2 => &B2,
            Self::Wasabi => &WASABI,
            Self::Hetzner => &HETZNER,
            Self::R2 => &R2,
            Self::Ceph => &CEPH,
            Self::Seaweedfs => &SEAWEEDFS,
            Self::Garage => &GARAGE,
        }
    }
}

static AWS: Provider = Provider {
    name: "AWS",
    endpoint: None,
    region: "us-east-1",
    cold: Some("DEEP_ARCHIVE"),
    versions: true,
    locks: true,
    rules: true,
    keys: "One user for each of the four; the commands below make them and print their keys once.",
    cannot: &[],
    tried: "From AWS's documents; not tried on AWS itself. 'panicroom doctor' tries what matters.",
};

static SCALEWAY: Provider = Provider {
    name: "Scaleway",
    endpoint: Some("https://s3.REGION.scw.cloud"),
    region: "fr-par",
    cold: Some("GLACIER"),
    versions: true,
    locks: true,
    rules: true,
    keys: "IAM applications with API keys in Scaleway's console; narrow them to the bucket by a bucket policy.",
    cannot: &[
        "DEEP_ARCHIVE: its one cold class is GLACIER (fr-par, nl-ams); a thaw takes from minutes to 24 h",
        "IAM policies in AWS's words: write the rights below as a bucket policy of Scaleway's",
    ],
    tried: UNTRIED,
};

static OVH: Provider = Provider {
    name: "OVHcloud",
    endpoint: Some("https://s3.REGION.io.cloud.ovh.net"),
    region: "eu-west-par",
    cold: Some("DEEP_ARCHIVE"),
    versions: true,
    locks: true,
    rules: true,
    keys: "S3 users in OVHcloud's manager; import a user's rights as JSON in the words below.",
    cannot: &[
        "cold storage outside Paris (eu-west-par; others are gra, rbx, sbg, de, uk, waw, eu-south-mil, bhs …): there \
         DEEP_ARCHIVE is taken and kept as Infrequent Access, so leave ?class=… out",
        "shorten a thaw: the copy's days are billed when it is asked for",
        "Object Lock on the cold class: not known to us",
    ],
    tried: UNTRIED,
};

static B2: Provider = Provider {
    name: "Backblaze B2",
    endpoint: Some("https://s3.REGION.backblazeb2.com"),
    region: "us-west-004",
    cold: None,
    versions: true,
    locks: true,
    rules: true,
    keys: "Application keys for one bucket: the writer's with listBuckets, listFiles, readFiles, writeFiles and without \
           deleteFiles and bypassGovernance.",
    cannot: &[
        "a cold class: all of it is hot",
        "rights by object name within a key's one prefix: the writer can read packs too",
    ],
    tried: UNTRIED,
};

static WASABI: Provider = Provider {
    name: "Wasabi",
    endpoint: Some("https://s3.REGION.wasabisys.com"),
    region: "us-east-1",
    cold: None,
    versions: true,
    locks: true,
    rules: true,
    keys: "Users and policies in Wasabi's console, in the words below.",
    cannot: &[
        "a cold class: all of it is hot, billed for 90 days at least and 1 TB a month",
        "more downloads a month than is stored: a full restore may be slowed",
        "end cut uploads by a rule: its documents (2025-08) show rules that expire, and none of this kind; should it refuse that one, leave it out",
    ],
    tried: UNTRIED,
};

static HETZNER: Provider = Provider {
    name: "Hetzner",
    endpoint: Some("https://REGION.your-objectstorage.com"),
    region: "fsn1",
    cold: None,
    versions: true,
    locks: true,
    rules: true,
    keys: "Keys hold for a whole project: a project of its own for this bucket, and narrow each key by a bucket policy.",
    cannot: &[
        "a cold class, or thaws",
        "Object Lock on a bucket made without it",
        "GetObjectAttributes: checksums are told by HEAD, or not at all",
        "keys of few rights by themselves",
    ],
    tried: UNTRIED,
};

static R2: Provider = Provider {
    name: "Cloudflare R2",
    endpoint: Some("https://ACCOUNT-ID.r2.cloudflarestorage.com"),
    region: "auto",
    cold: None,
    versions: false,
    locks: false,
    rules: true,
    keys: "API tokens for one bucket, 'Object Read & Write': put your account's id for ACCOUNT-ID.",
    cannot: &[
        "a cold class that is thawed (its Infrequent Access is hot)",
        "versions: what is deleted is gone",
        "Object Lock through S3: add a bucket lock for the prefix by Cloudflare's own console",
        "a key that may write and not delete: only a bucket lock keeps a thief of the NAS from deleting",
    ],
    tried: UNTRIED,
};

static CEPH: Provider = Provider {
    name: "Ceph",
    endpoint: Some("https://YOUR-GATEWAY"),
    region: "us-east-1",
    cold: None,
    versions: true,
    locks: true,
    rules: true,
    keys: "radosgw-admin user create; narrow each user by a bucket policy.",
    cannot: &[
        "a cold class, unless its keeper tiers to one",
        "user policies on older versions: write the rights below as a bucket policy",
    ],
    tried: UNTRIED,
};

static SEAWEEDFS: Provider = Provider {
    name: "SeaweedFS",
    endpoint: Some("http://YOUR-SERVER:8333"),
    region: "us-east-1",
    cold: None,
    versions: false,
    locks: false,
    rules: false,
    keys: "Identities in its s3.json: Read, List and Write on the bucket for the writer, no Admin.",
    cannot: &[
        "a cold class",
        "a key that may write and not delete: its Write right covers both",
        "keep a thief of the NAS from deleting: put a second vault elsewhere",
    ],
    tried: "Tried with the version of tests/requirements.txt, one process, local; versions and locks are not used there.",
};

static GARAGE: Provider = Provider {
    name: "Garage",
    endpoint: Some("http://YOUR-SERVER:3900"),
    region: "garage",
    cold: None,
    versions: false,
    locks: false,
    rules: false,
    keys: "garage key create; garage bucket allow --read --write BUCKET --key KEY.",
    cannot: &[
        "a cold class, thaws",
        "versions or Object Lock: what is deleted is gone",
        "a key that may write and not delete",
        "If-None-Match on upload (2025): each upload costs a listing more",
    ],
    tried: UNTRIED,
};
