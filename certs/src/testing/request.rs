//! Certification requests made to order.

use std::sync::Arc;

use super::encode;
use super::key::{KeyKind, TestKey};
use crate::der::{encode as der, tag};
use crate::oid::{self, Oid};
use crate::pem;

/// What a certification request shall hold.
#[derive(Debug, Clone)]
pub struct RequestBuilder {
    subject: Vec<u8>,
    key: Arc<TestKey>,
    signer: Arc<TestKey>,
    version: u64,
    extensions: Vec<(Oid, bool, Vec<u8>)>,
    attributes: Vec<u8>,
}

impl RequestBuilder {
    /// A request for this common name, with a key of this kind.
    pub fn new(common_name: &str, kind: KeyKind) -> Self {
        let key = TestKey::cached(kind, "request");
        let value = der(tag::UTF8_STRING, common_name.as_bytes());
        let pair = encode::sequence(&[&encode::object_identifier(&oid::COMMON_NAME), &value]);
        Self {
            subject: encode::sequence(&[&der(tag::SET, &pair)]),
            signer: Arc::clone(&key),
            key,
            version: 0,
            extensions: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Asks for an extension.
    #[must_use]
    pub fn extension(mut self, oid: Oid, critical: bool, value: &[u8]) -> Self {
        self.extensions.push((oid, critical, value.to_vec()));
        self
    }

    /// Adds an attribute with one value, as DER.
    #[must_use]
    pub fn attribute(mut self, oid: Oid, value: &[u8]) -> Self {
        let values = der(tag::SET, value);
        self.attributes.extend(encode::sequence(&[&encode::object_identifier(&oid), &values]));
        self
    }

    /// Signs with another key than the one in the request.
    #[must_use]
    pub fn signed_by(mut self, key: Arc<TestKey>) -> Self {
        self.signer = key;
        self
    }

    /// The version as encoded; only 0 is defined.
    #[must_use]
    pub fn version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// The request's key.
    pub fn key(&self) -> &Arc<TestKey> {
        &self.key
    }

    /// The request's DER.
    pub fn to_der(&self) -> Vec<u8> {
        let algorithm = self.signer.default_algorithm();
        let list: Vec<u8> = self
            .extensions
            .iter()
            .flat_map(|(oid, critical, value)| encode::extension(oid, *critical, value))
            .collect();
        let attribute = if self.extensions.is_empty() {
            Vec::new()
        } else {
            let values = der(tag::SET, &encode::sequence(&[&list]));
            encode::sequence(&[&encode::object_identifier(&oid::EXTENSION_REQUEST), &values])
        };
        let info = encode::sequence(&[
            &encode::integer(self.version),
            &self.subject,
            self.key.public().spki_der(),
            &der(tag::context_constructed(0), &[attribute, self.attributes.clone()].concat()),
        ]);
        let signature = self.signer.sign(algorithm, &info);
        encode::sequence(&[&info, &encode::signature_algorithm(algorithm), &encode::bit_string(&signature)])
    }

    /// The request in a `CERTIFICATE REQUEST` block.
    pub fn to_pem(&self) -> String {
        pem::encode(pem::CERTIFICATE_REQUEST, &self.to_der())
    }
}
