//! Where a service is whose SDK crate is not used.

use aws_config::{Region, SdkConfig};
use aws_types::service_config::ServiceConfigKey;

/// How a service is called where it is looked for.
#[derive(Debug)]
pub(crate) struct Names {
    /// In `AWS_ENDPOINT_URL_<ID>`, and in profiles.
    pub(crate) id: &'static str,
    /// In the names of its hosts, before the region, and for FIPS 140.
    pub(crate) host: [&'static str; 2],
    /// The same where a host has addresses of both kinds (IPv4, IPv6).
    pub(crate) dual_stack: [&'static str; 2],
}

/// The regions whose names begin so, and how the names of their hosts end: with one kind of address, and with both. As the SDK has
/// them (`partitions.json`).
const PARTITIONS: [(&str, [&str; 2]); 7] = [
    ("cn-", ["amazonaws.com.cn", "api.amazonwebservices.com.cn"]),
    ("eusc-", ["amazonaws.eu", "api.amazonwebservices.eu"]),
    ("us-iso-", ["c2s.ic.gov", "api.aws.ic.gov"]),
    ("us-isob-", ["sc2s.sgov.gov", "api.aws.scloud"]),
    ("eu-isoe-", ["cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"]),
    ("us-isof-", ["csp.hci.ic.gov", "api.aws.hci.ic.gov"]),
    ("", ["amazonaws.com", "api.aws"]),
];

/// The service's URL: what the configuration says of this service, or of all, or its own.
pub(crate) fn endpoint(names: &Names, config: &SdkConfig, region: &Region) -> String {
    if !config.get_origin("endpoint_url").is_client_config() {
        let key = ServiceConfigKey::builder().service_id(names.id).env("AWS_ENDPOINT_URL").profile("endpoint_url");
        let of_service = key.build().ok().and_then(|key| config.service_config()?.load_config(key));
        if let Some(url) = of_service {
            return url;
        }
    }
    let of_all = config.endpoint_url().map(str::to_owned);
    let flag = |set: Option<bool>| set.unwrap_or(false);
    of_all.unwrap_or_else(|| own(names, region.as_ref(), flag(config.use_fips()), flag(config.use_dual_stack())))
}

fn own(names: &Names, region: &str, fips: bool, dual_stack: bool) -> String {
    let endings = PARTITIONS.iter().find(|(start, _)| region.starts_with(start)).map_or(["", ""], |(_, ends)| *ends);
    let hosts = if dual_stack { names.dual_stack } else { names.host };
    format!("https://{}.{region}.{}", hosts[usize::from(fips)], endings[usize::from(dual_stack)])
}

#[cfg(test)]
mod tests {
    use aws_types::service_config::LoadServiceConfig;

    use super::super::json_call::{ECR, KMS};
    use super::*;

    /// `AWS_ENDPOINT_URL_KMS`.
    #[derive(Debug)]
    struct OfKms;

    impl LoadServiceConfig for OfKms {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            let is_ours = (key.service_id(), key.env(), key.profile()) == ("KMS", "AWS_ENDPOINT_URL", "endpoint_url");
            is_ours.then(|| "http://127.0.0.1:2".to_owned())
        }
    }

    /// As the SDK's crates of these services resolve them.
    #[test]
    fn a_service_is_where_its_sdk_crate_finds_it() {
        for (names, region, fips, dual_stack, expected) in [
            (&KMS.names, "us-east-1", false, false, "https://kms.us-east-1.amazonaws.com"),
            (&KMS.names, "us-gov-west-1", true, false, "https://kms-fips.us-gov-west-1.amazonaws.com"),
            (&KMS.names, "us-east-1", false, true, "https://kms.us-east-1.api.aws"),
            (&KMS.names, "cn-north-1", true, true, "https://kms-fips.cn-north-1.api.amazonwebservices.com.cn"),
            (&KMS.names, "us-iso-west-1", false, false, "https://kms.us-iso-west-1.c2s.ic.gov"),
            (&KMS.names, "us-isob-east-1", true, false, "https://kms-fips.us-isob-east-1.sc2s.sgov.gov"),
            (&ECR.names, "us-east-1", false, false, "https://api.ecr.us-east-1.amazonaws.com"),
            (&ECR.names, "us-east-1", true, false, "https://api.ecr-fips.us-east-1.amazonaws.com"),
            (&ECR.names, "us-gov-west-1", false, true, "https://ecr.us-gov-west-1.api.aws"),
            (&ECR.names, "us-gov-west-1", true, true, "https://ecr-fips.us-gov-west-1.api.aws"),
            (&ECR.names, "cn-northwest-1", false, false, "https://api.ecr.cn-northwest-1.amazonaws.com.cn"),
            (&ECR.names, "eusc-de-east-1", false, false, "https://api.ecr.eusc-de-east-1.amazonaws.eu"),
            (&ECR.names, "eu-isoe-west-1", true, false, "https://api.ecr-fips.eu-isoe-west-1.cloud.adc-e.uk"),
            (&ECR.names, "us-isof-south-1", false, false, "https://api.ecr.us-isof-south-1.csp.hci.ic.gov"),
        ] {
            assert_eq!(own(names, region, fips, dual_stack), expected);
        }
    }

    #[test]
    fn what_is_configured_comes_first() {
        let region = Region::from_static("eu-west-1");
        let config = SdkConfig::builder().build();
        assert_eq!(endpoint(&KMS.names, &config, &region), "https://kms.eu-west-1.amazonaws.com");
        let config = SdkConfig::builder().endpoint_url("http://127.0.0.1:1").build();
        assert_eq!(endpoint(&KMS.names, &config, &region), "http://127.0.0.1:1");
        let config = config.into_builder().service_config(OfKms).build();
        assert_eq!(endpoint(&KMS.names, &config, &region), "http://127.0.0.1:2");
        assert_eq!(endpoint(&ECR.names, &config, &region), "http://127.0.0.1:1");
    }
}
