//! What the `openssl` crate does not offer: judging a client's chain and its signature ourselves, hearing of alerts, and
//! a few settings. The one module of the product with `unsafe`.
//!
//! OpenSSL calls back through [`Hooks`], whose methods are safe code. No panic crosses into C: one in a hook is caught
//! and refuses the handshake.
#![expect(unsafe_code, reason = "the one module that speaks to C, each line with the reason why it may")]

use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use foreign_types::{ForeignType as _, ForeignTypeRef as _};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::ssl::{SslContextBuilder, SslRef, SslSessionRef};
use openssl::stack::StackRef;
use openssl::x509::X509;
use openssl_sys::{SSL, SSL_CTX, X509_STORE_CTX, stack_st_X509};

/// What this program decides in OpenSSL's place.
pub(super) trait Hooks: 'static {
    /// Judges what a client presented, its own certificate first. Asked once in each full handshake, before the client
    /// has proven its key.
    ///
    /// # Errors
    /// The `X509_V_ERR_…` number whose alert is to be sent.
    fn judge(ssl: &SslRef, presented: &StackRef<X509>) -> Result<(), c_int>;

    /// Whether a TLS 1.2 client may prove its key with a signature over this hash.
    fn accepts_proof(ssl: &SslRef, hash: Nid) -> bool;

    /// An alert was sent, or received; its number (RFC 8446 §6).
    fn alert(ssl: &SslRef, sent: bool, description: u8);
}

type VerifyCallback = unsafe extern "C" fn(*mut X509_STORE_CTX, *mut c_void) -> c_int;
type SecurityCallback =
    unsafe extern "C" fn(*const SSL, *const SSL_CTX, c_int, c_int, c_int, *mut c_void, *mut c_void) -> c_int;
type InfoCallback = unsafe extern "C" fn(*const SSL, c_int, c_int);

// SAFETY: the declarations are those of OpenSSL 3.6's ssl.h and x509_vfy.h, the version that is built in.
unsafe extern "C" {
    fn SSL_CTX_set_cert_verify_callback(
        context: *mut SSL_CTX,
        callback: Option<VerifyCallback>,
        argument: *mut c_void,
    );
    fn SSL_CTX_set_security_callback(context: *mut SSL_CTX, callback: Option<SecurityCallback>);
    fn SSL_CTX_set_info_callback(context: *mut SSL_CTX, callback: Option<InfoCallback>);
    fn SSL_CTX_set_timeout(context: *mut SSL_CTX, seconds: c_long) -> c_long;
    fn X509_STORE_CTX_get0_untrusted(context: *mut X509_STORE_CTX) -> *mut stack_st_X509;
}

/// ssl.h: `SSL_CTRL_CHAIN_CERT`.
const CHAIN_CERT: c_int = 89;
/// ssl.h: `SSL_CTRL_SET_CLIENT_SIGALGS_LIST`.
const SET_CLIENT_SIGALGS_LIST: c_int = 102;
/// ssl.h: `SSL_SECOP_SIGALG_CHECK`, asked of the peer's signature in a TLS 1.2 handshake.
const SIGALG_CHECK: c_int = 13 | (5 << 16);
/// ssl.h: `SSL_SECOP_TMP_DH`.
const TMP_DH: c_int = 7 | (4 << 16);
/// ssl.h: `SSL_CB_READ_ALERT` and `SSL_CB_WRITE_ALERT`.
const READ_ALERT: c_int = 0x4004;
const WRITE_ALERT: c_int = 0x4008;
/// x509_vfy.h: `X509_V_ERR_UNSPECIFIED`, whose alert is internal_error.
const UNSPECIFIED: c_int = 1;
/// crypto.h: `OPENSSL_INIT_NO_LOAD_CONFIG`.
const NO_LOAD_CONFIG: u64 = 0x80;
/// crypto.h: `OPENSSL_INIT_NO_ATEXIT`. At its end the program does not wait for every thread; none may find OpenSSL
/// taken down.
const NO_ATEXIT: u64 = 0x0008_0000;

/// Starts the library without the system's `openssl.cnf`, which could change what a policy of ours says.
pub(super) fn start_without_configuration_file() {
    // SAFETY: may be called at any time and any number of times; with no settings the second argument is null.
    unsafe {
        openssl_sys::OPENSSL_init_ssl(NO_LOAD_CONFIG | NO_ATEXIT, ptr::null());
    }
}

/// Takes the connection's session out of the store, so that nobody resumes it.
pub(super) fn forget_session(ssl: &SslRef) {
    // SAFETY: the connection is live, and so are its context and session while it is; OpenSSL locks the store.
    unsafe {
        let session = openssl_sys::SSL_get_session(ssl.as_ptr());
        if !session.is_null() {
            openssl_sys::SSL_CTX_remove_session(openssl_sys::SSL_get_SSL_CTX(ssl.as_ptr()), session);
        }
    }
}

/// Has a client offer to resume this session. Clients of this program have one context for all of it, whose sessions fit.
pub(super) fn offer_session(ssl: &mut SslRef, session: &SslSessionRef) -> Result<(), ErrorStack> {
    // SAFETY: both are live, and OpenSSL takes a reference of its own to the session. A session of another context is
    // refused by OpenSSL itself where the methods differ; all clients here have the same.
    unsafe { ssl.set_session(session) }
}

/// Has every connection of this context ask `H`.
pub(super) fn install<H: Hooks>(context: &mut SslContextBuilder) {
    // SAFETY: the pointer is the builder's own and lives through each call; the callbacks are functions that live as
    // long as the program, and take nothing from the null argument.
    unsafe {
        SSL_CTX_set_cert_verify_callback(context.as_ptr(), Some(verify::<H>), ptr::null_mut());
        SSL_CTX_set_security_callback(context.as_ptr(), Some(security::<H>));
        SSL_CTX_set_info_callback(context.as_ptr(), Some(info::<H>));
    }
}

/// How long a session can be resumed, counted from its first handshake.
pub(super) fn set_session_lifetime(context: &mut SslContextBuilder, seconds: u32) {
    // SAFETY: the pointer is the builder's own.
    unsafe {
        SSL_CTX_set_timeout(context.as_ptr(), c_long::from(seconds));
    }
}

/// Puts a certificate behind the one that was set last, to be sent with it.
pub(super) fn add_to_chain(context: &mut SslContextBuilder, certificate: &X509) -> Result<(), ErrorStack> {
    const ADD_A_REFERENCE: c_long = 1;
    // SAFETY: both pointers are live; OpenSSL takes a reference of its own to the certificate.
    let taken = unsafe {
        let certificate = certificate.as_ptr().cast::<c_void>();
        openssl_sys::SSL_CTX_ctrl(context.as_ptr(), CHAIN_CERT, ADD_A_REFERENCE, certificate)
    };
    if taken == 1 { Ok(()) } else { Err(ErrorStack::get()) }
}

/// With which algorithms clients are asked to sign, apart from what we sign with ourselves; OpenSSL's or IANA's names
/// with `:` between.
pub(super) fn set_client_signature_algorithms(
    context: &mut SslContextBuilder,
    names: &str,
) -> Result<(), ErrorStack> {
    let names = CString::new(names).unwrap_or_default();
    let list: *mut c_char = names.as_ptr().cast_mut();
    // SAFETY: the pointer is the builder's own; OpenSSL reads the text up to its NUL, and does not keep it.
    let taken = unsafe {
        openssl_sys::SSL_CTX_ctrl(context.as_ptr(), SET_CLIENT_SIGALGS_LIST, 0, list.cast::<c_void>())
    };
    if taken == 1 { Ok(()) } else { Err(ErrorStack::get()) }
}

unsafe extern "C" fn verify<H: Hooks>(store: *mut X509_STORE_CTX, _: *mut c_void) -> c_int {
    // SAFETY: OpenSSL hands over the live context of the verification under way. It has put the connection at this
    // index, and the chain as received among the untrusted certificates; both outlive this call and are not changed
    // during it.
    let verdict = unsafe {
        let index = openssl_sys::SSL_get_ex_data_X509_STORE_CTX_idx();
        let ssl: *mut SSL = openssl_sys::X509_STORE_CTX_get_ex_data(store, index).cast();
        let presented = X509_STORE_CTX_get0_untrusted(store);
        if ssl.is_null() || presented.is_null() {
            Err(UNSPECIFIED)
        } else {
            let ssl = SslRef::from_ptr(ssl);
            let presented = StackRef::<X509>::from_ptr(presented);
            catch_unwind(AssertUnwindSafe(|| H::judge(ssl, presented))).unwrap_or(Err(UNSPECIFIED))
        }
    };
    let (number, answer) = match verdict {
        Ok(()) => (0, 1), // X509_V_OK
        Err(number) => (number, 0),
    };
    // SAFETY: the context is still live.
    unsafe { openssl_sys::X509_STORE_CTX_set_error(store, number) };
    answer
}

unsafe extern "C" fn security<H: Hooks>(
    ssl: *const SSL,
    _: *const SSL_CTX,
    operation: c_int,
    bits: c_int,
    nid: c_int,
    _: *mut c_void,
    _: *mut c_void,
) -> c_int {
    match operation {
        // What OpenSSL asks of itself at security level 0: all but Diffie-Hellman numbers under 1024 bits.
        TMP_DH => c_int::from(bits >= 80),
        SIGALG_CHECK if !ssl.is_null() => {
            // SAFETY: a connection that is not null is live during the call, and `SslRef` only reads it.
            let ssl = unsafe { SslRef::from_ptr(ssl.cast_mut()) };
            let accepted = catch_unwind(AssertUnwindSafe(|| H::accepts_proof(ssl, Nid::from_raw(nid))));
            c_int::from(accepted.unwrap_or(false))
        }
        _ => 1,
    }
}

unsafe extern "C" fn info<H: Hooks>(ssl: *const SSL, kind: c_int, value: c_int) {
    let sent = match kind {
        READ_ALERT => false,
        WRITE_ALERT => true,
        _ => return,
    };
    let [.., description] = value.to_be_bytes();
    if !ssl.is_null() {
        // SAFETY: OpenSSL hands over the live connection, and `SslRef` only reads it.
        let ssl = unsafe { SslRef::from_ptr(ssl.cast_mut()) };
        // An alert nobody heard of refuses nothing.
        let _ = catch_unwind(AssertUnwindSafe(|| H::alert(ssl, sent, description)));
    }
}
