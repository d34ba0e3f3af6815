//! What an authority signs with.

use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::key::{KeyError, PrivateKey};

/// A private key somewhere: in a file today, in a token tomorrow.
pub(crate) trait Signer: Send + Sync {
    /// The algorithm it signs with, as certificates name it.
    fn algorithm(&self) -> AlgorithmIdentifierOwned;

    /// Signs the whole message.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

impl Signer for PrivateKey {
    fn algorithm(&self) -> AlgorithmIdentifierOwned {
        self.signature_algorithm()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Self::sign(self, message)
    }
}

/// Checks a signature with the public half alone.
pub(crate) fn verifies(
    public_key: &[u8],
    algorithm: &AlgorithmIdentifierOwned,
    message: &[u8],
    signature: &[u8],
) -> bool {
    use aws_lc_rs::signature as s;

    let algorithm: &dyn s::VerificationAlgorithm = match algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.1.11" => &s::RSA_PKCS1_2048_8192_SHA256,
        "1.2.840.10045.4.3.2" => &s::ECDSA_P256_SHA256_ASN1,
        "1.2.840.10045.4.3.3" => &s::ECDSA_P384_SHA384_ASN1,
        _ => return false,
    };
    s::UnparsedPublicKey::new(algorithm, public_key).verify(message, signature).is_ok()
}
