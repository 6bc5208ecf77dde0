//! Getting a client: region, keys and the transport's manners. No request is made here.

use super::{trouble, wire};
use crate::config::url::{Addressing, Bucket};
use crate::error::{Error, Result};
use crate::store::throttle::Throttle;
use aws_config::BehaviorVersion;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_s3::config::retry::{ReconnectMode, RetryConfig};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A connection that takes longer to open is tried again later.
const CONNECT: Duration = Duration::from_secs(30);

/// Where the keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A file in the form of `~/.aws/credentials`; its profile is `default` unless `AWS_PROFILE` names one.
    File(PathBuf),
    /// Environment, `~/.aws`, a role of the container or machine: in AWS's own order.
    Standard,
}

impl Credentials {
    /// What holds for a vault: the configured file, else the systemd credential `aws-<vault>` in the service's
    /// credentials folder, else the standard chain.
    pub fn of_vault(vault: &str, configured: Option<&Path>, systemd: Option<&Path>) -> Self {
        if let Some(file) = configured {
            return Self::File(file.to_owned());
        }
        match systemd.map(|folder| folder.join(format!("aws-{vault}"))).filter(|file| file.is_file()) {
            Some(file) => Self::File(file),
            None => Self::Standard,
        }
    }
}

/// A client for this bucket. Must run inside the runtime.
pub(super) async fn client(
    bucket: &Bucket,
    credentials: &Credentials,
    throttle: &Throttle,
) -> Result<aws_sdk_s3::Client> {
    // Those who fetch keys (roles, the machine's own) use the same client: their traffic counts as well.
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(wire::client(throttle));
    let region = bucket.region.clone().or_else(|| bucket.endpoint.is_some().then(|| "us-east-1".to_owned()));
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Credentials::File(file) = credentials {
        let contents = read_keys(file)?;
        let files = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Credentials, contents).build();
        loader = loader.credentials_provider(ProfileFileCredentialsProvider::builder().profile_files(files).build());
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(Error::operator(format!("connect to s3://{}: its region is not known", bucket.name))
            .remedy("add ?region=… to the vault's url"));
    }
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        .force_path_style(bucket.addressing == Addressing::Path)
        // Repeating is the worker's business: only there it survives a restart and is shown.
        // A connection that broke is not used again, one on which a server said no is.
        .retry_config(RetryConfig::disabled().with_reconnect_mode(ReconnectMode::ReuseAllConnections))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .disable_read_timeout()
                .disable_operation_timeout()
                .disable_operation_attempt_timeout()
                .build(),
        )
        // A body under a low limit is slow on purpose; our own watch ends what stands still.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Else the SDK sends its own checksum as a trailer in a form many servers refuse.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &bucket.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok(aws_sdk_s3::Client::from_conf(config.build()))
}

fn read_keys(file: &Path) -> Result<String> {
    let failed = |e: std::io::Error| {
        Error::operator(format!("read the credentials file {}", file.display()))
            .because(trouble::plain(&e))
            .remedy("give the file to the daemon's user, mode 0600")
    };
    let mode = std::fs::metadata(file).map_err(failed)?.permissions().mode();
    if mode & 0o004 != 0 {
        tracing::warn!(file = %file.display(), "this credentials file is readable by everybody: chmod 600 it");
    }
    let contents = std::fs::read_to_string(file).map_err(failed)?;
    if contents.contains("aws_access_key_id") {
        return Ok(contents);
    }
    Err(Error::operator(format!("read the credentials file {}: it holds no aws_access_key_id", file.display())).remedy(
        "write it like ~/.aws/credentials: a line [default], then aws_access_key_id = … and aws_secret_access_key = …",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_file_goes_before_the_systemd_credential_before_the_chain() {
        let dir = tempfile::tempdir().unwrap();
        let systemd = dir.path().join("aws-cloud");
        std::fs::write(&systemd, "").unwrap();
        let file = Path::new("/etc/keys");
        assert_eq!(Credentials::of_vault("cloud", Some(file), Some(dir.path())), Credentials::File(file.into()));
        assert_eq!(Credentials::of_vault("cloud", None, Some(dir.path())), Credentials::File(systemd));
        assert_eq!(Credentials::of_vault("other", None, Some(dir.path())), Credentials::Standard);
        assert_eq!(Credentials::of_vault("cloud", None, None), Credentials::Standard);
    }

    #[test]
    fn a_credentials_file_that_says_nothing_is_refused_with_its_form_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        assert!(read_keys(&file).unwrap_err().to_string().contains("credentials file"));
        std::fs::write(&file, "AKIA:secret").unwrap();
        let error = read_keys(&file).unwrap_err().to_string();
        assert!(error.contains("[default]") && !error.contains("secret\"") && !error.contains("AKIA"), "{error}");
    }
}
