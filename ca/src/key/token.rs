//! Private keys in a PKCS #11 token: made there, used there, and never seen here (CA H4); and those that an imported authority
//! brings with it, which stay there.
//!
//! The module of the token's maker is loaded at run time. A PIN is tried once: a token counts wrong ones and locks itself,
//! so after a refusal this process asks no more, and the last try a token allows is not ours to take.

mod import;
mod public;
mod uri;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use der::asn1::{Any, ObjectIdentifier};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::{KeyError, KeyType};
use crate::passphrase::Passphrase;
use crate::random::RandomSource;
use crate::signer::{Signer, verifies};
pub(crate) use uri::KeyUri;

/// Which token, and by whose module it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token {
    /// The module, a shared library.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
}

/// A token did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A kind of key that is not put into tokens.
    #[error("keys in tokens are RSA or P-256 here, and this one is {kind}")]
    KindNotKept {
        /// Its kind.
        kind: String,
    },
    /// The PIN may be tried once more, and then no more.
    #[error("the token {label} allows one more try of its PIN, which is not made here")]
    LastTry {
        /// The token.
        label: String,
    },
    /// Too many wrong PINs.
    #[error("the token {label} is locked: its PIN was wrong too often")]
    Locked {
        /// The token.
        label: String,
    },
    /// The module cannot be loaded.
    #[error("cannot load the PKCS #11 module {}", module.display())]
    Module {
        /// The file.
        module: PathBuf,
        /// Why.
        #[source]
        source: Pkcs11Error,
    },
    /// No such key.
    #[error("the token {label} holds no key called {object} with that id")]
    NoKey {
        /// The token.
        label: String,
        /// The key's label.
        object: String,
    },
    /// A name that cannot be a token's.
    #[error("{label:?} cannot be the label of a token: 1 to 32 characters without spaces at the ends")]
    NoLabel {
        /// What was given.
        label: String,
    },
    /// No such token.
    #[error("no token called {label} is there")]
    NoToken {
        /// The label asked for.
        label: String,
    },
    /// The module refused.
    #[error("the token refused to {action}")]
    Refused {
        /// What was to be done.
        action: &'static str,
        /// What it said.
        #[source]
        source: Pkcs11Error,
    },
    /// Two keys of one label and id, or two tokens of one label.
    #[error("there are several {what} called {name}")]
    Several {
        /// Keys or tokens.
        what: &'static str,
        /// Their name.
        name: String,
    },
    /// What the token calls a signature is none.
    #[error("the token made a signature that does not verify under its own key")]
    Signature,
    /// Keys of this kind are not used.
    #[error("the key in the token is of a kind that is not supported")]
    Unsupported,
    /// The file that names the key.
    #[error("{uri:?} does not name a key in a token: {why}")]
    Uri {
        /// Its content.
        uri: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Wrong PIN.
    #[error("the PIN of the token {label} is wrong; it is not tried again")]
    WrongPin {
        /// The token.
        label: String,
    },
}

impl TokenError {
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::KindNotKept { .. } => Some(
                "take its certificate alone (`--certificate-only`), or import it into a store whose keys are files",
            ),
            Self::Refused { action, .. } if *action == import::TAKE => Some(
                "some tokens take no key from outside: take its certificate alone (`--certificate-only`), or import it into a store whose keys are files",
            ),
            Self::LastTry { .. } => Some(
                "log in once with the maker's own tool, which resets the count: pkcs11-tool --login --list-objects",
            ),
            Self::Locked { .. } => Some(
                "unlock it with the security officer's PIN: pkcs11-tool --init-pin --login --login-type so",
            ),
            Self::Module { .. } => {
                Some("SoftHSM's is /usr/lib/softhsm/libsofthsm2.so; a token's maker says where theirs is")
            }
            Self::NoToken { .. } => {
                Some("pkcs11-tool --module MODULE --list-token-slots shows those that are there")
            }
            Self::WrongPin { .. } => {
                Some("tokens count wrong PINs and lock themselves: be sure before you try again")
            }
            Self::NoKey { .. }
            | Self::NoLabel { .. }
            | Self::Refused { .. }
            | Self::Several { .. }
            | Self::Signature
            | Self::Unsupported
            | Self::Uri { .. } => None,
        }
    }
}

/// What every module of this process was loaded as: a module is initialised once.
fn modules() -> &'static Mutex<HashMap<PathBuf, Pkcs11>> {
    static MODULES: OnceLock<Mutex<HashMap<PathBuf, Pkcs11>>> = OnceLock::new();
    MODULES.get_or_init(Mutex::default)
}

/// The tokens that refused a PIN.
fn refused() -> &'static Mutex<HashSet<Token>> {
    static REFUSED: OnceLock<Mutex<HashSet<Token>>> = OnceLock::new();
    REFUSED.get_or_init(Mutex::default)
}

/// A private key in a token, ready to sign.
pub(crate) struct TokenKey {
    session: Mutex<Session>,
    handle: ObjectHandle,
    kind: Kind,
    public_key: Vec<u8>,
    uri: KeyUri,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    P256,
    Rsa,
}

impl TokenKey {
    /// Makes a new key in the token that never leaves it.
    pub(crate) fn generate(
        token: &Token,
        object: &str,
        key_type: KeyType,
        pin: &Passphrase,
        random: &dyn RandomSource,
    ) -> Result<Self, KeyError> {
        let session = open(token, pin, true)?;
        let mut id = [0; 16];
        random.fill(&mut id)?;
        let both = [
            Attribute::Token(true),
            Attribute::Label(object.as_bytes().to_vec()),
            Attribute::Id(id.to_vec()),
        ];
        let (mechanism, more) = match key_type {
            KeyType::P256 => (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(public::P256.to_vec())]),
            KeyType::Rsa2048 => (Mechanism::RsaPkcsKeyPairGen, public::rsa(2048)),
            KeyType::Rsa3072 => (Mechanism::RsaPkcsKeyPairGen, public::rsa(3072)),
            KeyType::Rsa4096 => (Mechanism::RsaPkcsKeyPairGen, public::rsa(4096)),
        };
        let public = [&both[..], &more, &[Attribute::Private(false), Attribute::Verify(true)]].concat();
        let private = [
            &both[..],
            &[
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Sign(true),
            ],
        ]
        .concat();
        session.generate_key_pair(&mechanism, &public, &private).map_err(refusal("make a key"))?;
        let uri = KeyUri { token: token.clone(), object: object.to_owned(), id: id.to_vec() };
        Self::found(session, uri)
    }

    /// The key that a URI names; label and id both must fit.
    pub(crate) fn open(uri: KeyUri, pin: Option<&Passphrase>) -> Result<Self, KeyError> {
        let session = open(&uri.token, pin.ok_or(KeyError::WantsPassphrase)?, false)?;
        Self::found(session, uri)
    }

    fn found(session: Session, uri: KeyUri) -> Result<Self, KeyError> {
        let handle = find(&session, &uri, ObjectClass::PRIVATE_KEY)?;
        let public = find(&session, &uri, ObjectClass::PUBLIC_KEY)?;
        let wanted = [
            AttributeType::Modulus,
            AttributeType::PublicExponent,
            AttributeType::EcParams,
            AttributeType::EcPoint,
        ];
        let attributes = session.get_attributes(public, &wanted).map_err(refusal("show a public key"))?;
        let (kind, public_key) = public::read(&attributes)?;
        Ok(Self { session: Mutex::new(session), handle, kind, public_key, uri })
    }

    /// The public half as a DER `SubjectPublicKeyInfo`.
    pub(crate) fn public_key_der(&self) -> &[u8] {
        &self.public_key
    }

    /// What names the key.
    pub(crate) fn uri(&self) -> &KeyUri {
        &self.uri
    }

    fn raw_signature(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let hash = digest(&SHA256, message);
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        match self.kind {
            Kind::Rsa => {
                let info = [&public::SHA256_INFO[..], hash.as_ref()].concat();
                session.sign(&Mechanism::RsaPkcs, self.handle, &info).map_err(refusal("sign"))
            }
            Kind::P256 => {
                let raw =
                    session.sign(&Mechanism::Ecdsa, self.handle, hash.as_ref()).map_err(refusal("sign"))?;
                public::ecdsa_signature(&raw)
            }
        }
    }
}

impl Signer for TokenKey {
    fn algorithm(&self) -> AlgorithmIdentifierOwned {
        let (oid, parameters) = match self.kind {
            Kind::Rsa => (SHA256_WITH_RSA, Some(Any::null())),
            Kind::P256 => (ECDSA_WITH_SHA256, None),
        };
        AlgorithmIdentifierOwned { oid, parameters }
    }

    /// What the token gives is checked before anybody sees it: a faulty signature can give an RSA key away.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.raw_signature(message)?;
        if !verifies(&self.public_key, &self.algorithm(), message, &signature) {
            return Err(TokenError::Signature.into());
        }
        Ok(signature)
    }
}

fn refusal(action: &'static str) -> impl Fn(Pkcs11Error) -> TokenError {
    move |source| TokenError::Refused { action, source }
}

fn module(path: &Path) -> Result<Pkcs11, TokenError> {
    let mut modules = modules().lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = modules.get(path) {
        return Ok(known.clone());
    }
    let failed = |source| TokenError::Module { module: path.to_owned(), source };
    let loaded = Pkcs11::new(path).map_err(failed)?;
    loaded.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(failed)?;
    modules.insert(path.to_owned(), loaded.clone());
    Ok(loaded)
}

/// A session in which the user is logged in.
fn open(token: &Token, pin: &Passphrase, writes: bool) -> Result<Session, TokenError> {
    let label = token.label.clone();
    let module = module(&token.module)?;
    let slot = slot(&module, &label)?;
    let session = if writes { module.open_rw_session(slot) } else { module.open_ro_session(slot) }
        .map_err(refusal("open a session"))?;
    let mut refused = refused().lock().unwrap_or_else(PoisonError::into_inner);
    if refused.contains(token) {
        return Err(TokenError::WrongPin { label });
    }
    let state = module.get_token_info(slot).map_err(refusal("show itself"))?;
    if state.user_pin_locked() {
        return Err(TokenError::Locked { label });
    }
    if state.user_pin_final_try() {
        return Err(TokenError::LastTry { label });
    }
    let pin = AuthPin::from(String::from_utf8_lossy(pin.as_bytes()).into_owned());
    match session.login(UserType::User, Some(&pin)) {
        // Another key of the same token was opened before.
        Ok(()) | Err(Pkcs11Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(Pkcs11Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
            refused.insert(token.clone());
            Err(TokenError::WrongPin { label })
        }
        Err(Pkcs11Error::Pkcs11(RvError::PinLocked, _)) => Err(TokenError::Locked { label }),
        Err(source) => Err(TokenError::Refused { action: "log in", source }),
    }
}

fn slot(module: &Pkcs11, label: &str) -> Result<Slot, TokenError> {
    let mut found = Vec::new();
    for slot in module.get_slots_with_initialized_token().map_err(refusal("list tokens"))? {
        // A token that was taken out in between is none.
        if module.get_token_info(slot).is_ok_and(|info| info.label() == label) {
            found.push(slot);
        }
    }
    match found[..] {
        [slot] => Ok(slot),
        [] => Err(TokenError::NoToken { label: label.to_owned() }),
        [_, _, ..] => Err(TokenError::Several { what: "tokens", name: label.to_owned() }),
    }
}

fn find(session: &Session, uri: &KeyUri, class: ObjectClass) -> Result<ObjectHandle, TokenError> {
    let template = [
        Attribute::Class(class),
        Attribute::Label(uri.object.as_bytes().to_vec()),
        Attribute::Id(uri.id.clone()),
    ];
    let found = session.find_objects(&template).map_err(refusal("find a key"))?;
    match found[..] {
        [handle] => Ok(handle),
        [] => Err(TokenError::NoKey { label: uri.token.label.clone(), object: uri.object.clone() }),
        [_, _, ..] => Err(TokenError::Several { what: "keys", name: uri.object.clone() }),
    }
}

const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
