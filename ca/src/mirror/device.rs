//! A device below the twin of an authority: what a phone of that maker would present.

use std::sync::Arc;

use certs::{Certificate, Hash, KeyAlgorithm, SignatureAlgorithm, Timestamp, Version};

use super::{MirrorError, Twin, marker, serial};
use crate::device::{DeviceIdentity, MacAttribute};
use crate::error::IssueError;
use crate::key::twin::{TwinKey, TwinKind, USUAL_EXPONENT};
use crate::legacy::TEST_DAYS;
use crate::lint::sign_twin;
use crate::profile::{Profile, validity_for};
use crate::random::RandomSource;
use crate::signer::{Signer, TwinSigner};
use crate::subject::{AttributeType, NameError, SubjectName};
use crate::template::Template;

/// How a device's subject is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
#[value(rename_all = "kebab-case")]
pub enum TwinProfile {
    /// serialNumber=PID:MODEL SN:SERIAL, O=Cisco Systems Inc., OU=CTG, CN=MODEL-SEPMAC: certificates from the factory.
    #[default]
    CiscoMic,
    /// OU=MODEL, L=SERIAL, S=MAC: the small-business range.
    SmallBusiness,
}

/// A device that gets a certificate below the lowest authority.
#[derive(Debug)]
pub(crate) struct DeviceTwin {
    pub(crate) identity: DeviceIdentity,
    pub(crate) profile: TwinProfile,
    /// Days it lasts, at most as long as its authority.
    pub(crate) days: Option<u32>,
}

impl DeviceTwin {
    /// Its name in the certificate.
    pub(crate) fn subject(&self) -> Result<SubjectName, NameError> {
        let identity = &self.identity;
        match self.profile {
            TwinProfile::CiscoMic => {
                let (model, serial) = (identity.product(), identity.serial());
                let mac = identity.mac().to_string().to_ascii_uppercase();
                SubjectName::new(vec![
                    (AttributeType::SerialNumber, format!("PID:{model} SN:{serial}")),
                    (AttributeType::Organization, "Cisco Systems Inc.".to_owned()),
                    (AttributeType::OrganizationalUnit, "CTG".to_owned()),
                    (AttributeType::CommonName, format!("{model}-SEP{mac}")),
                ])
            }
            TwinProfile::SmallBusiness => identity.subject(MacAttribute::Surname),
        }
    }

    pub(super) fn issue(
        &self,
        authority: &Twin,
        now: Timestamp,
        random: &dyn RandomSource,
    ) -> Result<Twin, IssueError> {
        let issuer = &authority.certificate;
        let mut validity = validity_for(now, self.days.unwrap_or(TEST_DAYS));
        validity.not_after = validity.not_after.min(issuer.validity().not_after);
        if validity.not_after <= now {
            let (subject, not_after) = (issuer.subject().to_rfc4514(), issuer.validity().not_after);
            return Err(MirrorError::Over { subject, not_after }.into());
        }
        let key = Arc::new(TwinKey::generate(TwinKind::Rsa { bits: 2048, exponent: USUAL_EXPONENT })?);
        let public_key = key.public_key_der()?;
        let signer = TwinSigner::new(Arc::clone(&authority.key), hash_of(issuer))?;
        let mut extensions = Profile::Device.extensions(&public_key, issuer.subject_key_identifier(), &[])?;
        extensions.push(marker()?);
        let template = Template {
            version: Version::V3,
            serial: serial(random)?,
            signature_algorithm: signer.algorithm(),
            issuer: issuer.subject().der().to_vec(),
            validity,
            subject: self.subject()?.to_der(),
            public_key,
            extensions,
        };
        let certificate = sign_twin(&template, &signer, issuer.public_key().spki_der())?;
        let remark = format!("a phone below {}, signed as that is", issuer.subject().to_rfc4514());
        Ok(Twin { name: "device".to_owned(), certificate, key, original: None, remark: Some(remark) })
    }
}

/// An authority signs phones with the hash that it is signed with itself.
fn hash_of(issuer: &Certificate) -> Hash {
    match (issuer.public_key().algorithm(), issuer.signature_algorithm()) {
        (KeyAlgorithm::Rsa { .. }, SignatureAlgorithm::RsaPkcs1(hash)) => hash,
        (_, _) => Hash::Sha256,
    }
}
