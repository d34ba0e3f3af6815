//! Why a connection or a request ended as it did: one closed list for audit records, metrics, messages and tests.

mod certificate;

use std::fmt::{self, Write as _};

/// What was being judged when it ended.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Stage {
    /// Reading the client's first message and finding the host it asks for.
    Hello,
    /// Agreeing on how to speak TLS, and proving keys.
    Handshake,
    /// Verifying the certificate chain.
    Certificate,
    /// Finding out which device the certificate names, and whether it is welcome.
    Admission,
    /// Reading the HTTP request.
    Request,
    /// Deciding whether this device may have this path.
    Authorisation,
    /// Setting the identity fields for the backend.
    Rewriting,
    /// Talking to the backend.
    Backend,
    /// Whether the gateway has room for it, and goes on serving: may end a connection at any step.
    Limits,
}

impl Stage {
    /// Every stage, in the order of a connection's life, limits last.
    pub const ALL: &[Self] = &[
        Self::Hello,
        Self::Handshake,
        Self::Certificate,
        Self::Admission,
        Self::Request,
        Self::Authorisation,
        Self::Rewriting,
        Self::Backend,
        Self::Limits,
    ];

    /// One word for tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Handshake => "handshake",
            Self::Certificate => "certificate",
            Self::Admission => "admission",
            Self::Request => "request",
            Self::Authorisation => "authorisation",
            Self::Rewriting => "rewriting",
            Self::Backend => "backend",
            Self::Limits => "limits",
        }
    }
}

/// Whose it was: where to look first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// The client, its certificate, or what it asked for.
    Device,
    /// The gateway, its configuration or its load.
    Gateway,
    /// The server behind the gateway.
    Backend,
}

impl Fault {
    /// One word for tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Gateway => "gateway",
            Self::Backend => "backend",
        }
    }
}

/// Writes the enum and its tables from one list, so that no reason can lack a text.
macro_rules! reasons {
    ($($stage:ident { $($variant:ident $code:literal $fault:ident $meaning:literal $remedy:literal)* })*) => {
        /// Why a connection or request was refused or failed. The codes are stable: audit records, metrics and operators'
        /// alarms rest on them. New ones may be added.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $meaning] $variant,)*)*
        }

        impl Reason {
            /// Every reason, stage by stage.
            pub const ALL: &[Self] = &[$($(Self::$variant,)*)*];

            /// The stable code, as in `no_rule_matched`.
            pub const fn as_str(self) -> &'static str {
                match self { $($(Self::$variant => $code,)*)* }
            }

            /// What was being judged.
            pub const fn stage(self) -> Stage {
                match self { $($(Self::$variant => Stage::$stage,)*)* }
            }

            /// Whose it was.
            pub const fn fault(self) -> Fault {
                match self { $($(Self::$variant => Fault::$fault,)*)* }
            }

            /// What happened, in a sentence for a telephone engineer.
            pub const fn meaning(self) -> &'static str {
                match self { $($(Self::$variant => $meaning,)*)* }
            }

            /// What to do about it, in a sentence for a telephone engineer.
            pub const fn remedy(self) -> &'static str {
                match self { $($(Self::$variant => $remedy,)*)* }
            }
        }
    };
}

reasons! {
    Hello {
        HelloTimeout "hello_timeout" Device
            "The client connected but did not send its first message in time."
            "Look for a health check that only opens the port, or a lossy network."
        HelloMalformed "hello_malformed" Device
            "The client's first message could not be read."
            "Not a phone, most likely. Capture the traffic if a known phone does this."
        HelloTooLarge "hello_too_large" Device
            "The client's first message is larger than 64 KiB."
            "Not a phone, most likely."
        NotTls "not_tls" Device
            "The client did not speak TLS; often plain HTTP sent to the HTTPS port."
            "Write https:// in the phone's profile rule, or correct the port."
        UnknownServerName "unknown_server_name" Device
            "The client asked for a server name that no host of this listener has, or for none where one is needed."
            "Add the name to a host's names, or add \"*\" to the host that serves phones that send no name."
    }
    Handshake {
        ClientGone "client_gone" Device
            "The client closed the connection before the handshake was complete."
            "Nothing, if rare: port scans and load balancers do this. Otherwise look for a phone that does not trust the server certificate."
        VersionNotSupported "version_not_supported" Device
            "The client offers only TLS versions that this listener does not allow."
            "Update the phone's firmware, or give the listener a TLS policy that allows the version."
        InappropriateFallback "inappropriate_fallback" Device
            "The client retried with an older TLS version although both sides know a newer one (TLS_FALLBACK_SCSV)."
            "Something on the way breaks newer handshakes: look for a firewall or a proxy between phone and gateway."
        NoSharedSuite "no_shared_suite" Device
            "The client offers no cipher suite that this listener allows."
            "Update the phone's firmware, or give the listener a TLS policy that allows one of the suites in the record."
        NoSharedGroup "no_shared_group" Device
            "Client and listener share a cipher suite but no key exchange group."
            "Add one of the client's groups to the TLS policy."
        NoSharedSignatureAlgorithm "no_shared_signature_algorithm" Device
            "The client accepts no signature that the server's key can make under this TLS policy."
            "Add a signature algorithm to the TLS policy, or give the host a certificate with another kind of key."
        ExportOnly "export_only" Device
            "The client offers only EXPORT cipher suites, whose keys of 40 or 56 bits anyone can break."
            "Update the phone's firmware: such a phone also knows AES."
        BadHandshakeSignature "bad_handshake_signature" Device
            "The client presented a certificate but could not prove that it holds the private key."
            "The phone's certificate and key do not belong together, or somebody copied a certificate."
        WeakHandshakeSignature "weak_handshake_signature" Device
            "The client proved its key with a signature too weak to trust (MD5, or SHA-1 or RSA-1024 without an exception)."
            "Allow it for this trust entry if the phones cannot be replaced."
        HandshakeTimeout "handshake_timeout" Device
            "The handshake was not complete in time."
            "Look for a lossy network or a very slow phone; raise the handshake limit if it is the phone."
        HandshakeFailed "handshake_failed" Device
            "The handshake failed in a way that has no reason of its own; the detail says how."
            "Read the detail and the client's offer in the record."
        ClientAlert "client_alert" Device
            "The client broke off the handshake with an alert, named in the record."
            "unknown_ca or bad_certificate: the phone does not trust the server certificate, or its clock is wrong."
    }
    Certificate {
        NoCertificate "no_certificate" Device
            "The client presented no certificate, and the host requires one."
            "Check that the phone has a certificate installed, or make client-auth optional for this host."
        CertificateMalformed "certificate_malformed" Device
            "A certificate of the chain could not be read."
            "Look at it with `provision-ca inspect`; the unit's certificate is damaged or not X.509."
        ChainTooLarge "chain_too_large" Device
            "The client sent more certificates, or larger ones, than any phone does."
            "Not a phone, most likely."
        UnknownIssuer "unknown_issuer" Device
            "No trust anchor of this host issued the certificate, nor any intermediate that was sent or is held."
            "Add the issuer's root to a trust entry if these phones are yours; add the intermediate if the phone sends its leaf alone."
        BadSignature "bad_signature" Device
            "A signature in the chain is wrong."
            "Forged or damaged certificate; or an anchor with the right name and the wrong key."
        WeakKey "weak_key" Device
            "A key in the chain is too short."
            "Allow \"rsa-1024\" for this trust entry if the phones cannot be replaced."
        WeakSignature "weak_signature" Device
            "A certificate in the chain is signed with MD5 or SHA-1."
            "Allow \"sha1\" or \"md5\" for this trust entry if the phones cannot be replaced."
        UnsupportedAlgorithm "unsupported_algorithm" Device
            "The chain uses a kind of key or signature that the gateway does not know."
            "Look at it with `provision-ca inspect`."
        UnsupportedVersion "unsupported_version" Device
            "A certificate of the chain is not X.509 version 3."
            "Allow \"x509-v1\" for this trust entry if it is an old phone's certificate."
        Expired "expired" Device
            "A certificate of the chain has expired."
            "Renew it; or allow a grace period, { expired = \"1y\" }, for this trust entry. Check the gateway's clock too."
        NotYetValid "not_yet_valid" Device
            "A certificate of the chain is not valid yet."
            "Check the clock of the gateway and of whatever issued the certificate."
        Revoked "revoked" Device
            "A certificate of the chain has been revoked."
            "Give the phone a new certificate if the revocation was a mistake."
        RevocationUnknown "revocation_unknown" Gateway
            "No usable revocation list says whether a certificate of the chain was revoked."
            "Fetch the issuer's CRL into the trust entry's crls folder; `check` names what is missing."
        CrlExpired "crl_expired" Gateway
            "The revocation list of an issuer in the chain is out of date."
            "Fetch or publish a fresh CRL."
        NotAnAuthority "not_an_authority" Device
            "A certificate that is no certification authority issued another of the chain."
            "Forged chain, or a broken authority."
        KeyUsage "key_usage" Device
            "A certificate of the chain is not for this use: keyUsage lacks what is needed."
            "The authority must issue device certificates with digitalSignature, and its own with keyCertSign."
        ExtendedKeyUsage "extended_key_usage" Device
            "The certificate is not for TLS clients: extendedKeyUsage lacks clientAuth."
            "A server's certificate was installed in the device, or the authority issues wrongly."
        PathLength "path_length" Device
            "The chain has more authorities than one of them allows below itself."
            "The authority's pathLenConstraint is too small for how it is used."
        NameConstraints "name_constraints" Device
            "A name in the chain lies outside what an authority above it may vouch for."
            "The authority issued a certificate it may not issue."
        UnknownCriticalExtension "unknown_critical_extension" Device
            "A certificate of the chain has a critical extension that the gateway does not know."
            "Look at it with `provision-ca inspect`."
        CertificatePolicy "certificate_policy" Device
            "The chain's certificate policies do not allow it."
            "The authority requires a policy that the certificates below it do not carry."
        LeafIsAuthority "leaf_is_authority" Device
            "The client presented the certificate of a certification authority as its own."
            "Give the device a certificate of its own."
        PathSearchExhausted "path_search_exhausted" Device
            "The certificates sent allow more paths than the gateway will try."
            "Not a phone, most likely."
    }
    Admission {
        IdentityNotRecognised "identity_not_recognised" Device
            "The certificate is genuine, but its subject has not the shape of any identity profile of this trust entry."
            "Look at the subject in the record and add the identity profile that fits it to the trust entry."
        IdentityMalformed "identity_malformed" Device
            "The subject has the shape of a phone's, but a part is missing, empty or wrong."
            "Look at the subject in the record; the detail names the part."
        NulInName "nul_in_name" Device
            "A name used to identify the device contains a NUL character, a known way to forge names."
            "Find out who issued this certificate."
        RepeatedAttribute "repeated_attribute" Device
            "An attribute used to identify the device stands in the subject more than once."
            "Find out who issued this certificate: it can be read as two devices."
        InvalidEncoding "invalid_encoding" Device
            "An attribute used to identify the device has bytes that its string type does not allow."
            "Find out who issued this certificate."
        InvalidMac "invalid_mac" Device
            "What stands in the MAC address's place is not the address of a device."
            "It must be 12 hex digits, not zero, not a group address; look at the subject in the record."
        OuiNotAccepted "oui_not_accepted" Device
            "The MAC address does not begin with one of the OUIs this trust entry is limited to."
            "Add the manufacturer's OUI to the trust entry if these phones are yours."
        DeniedByList "denied_by_list" Device
            "The device or its certificate is on the deny list."
            "Remove its line from the deny file if it may come back."
    }
    Request {
        BadRequest "bad_request" Device
            "The request is not valid HTTP, or can be read in two ways."
            "Not a phone, most likely; look for a proxy between phone and gateway."
        BadTarget "bad_target" Device
            "The request's path is not valid, or tries to climb out of its folder."
            "Correct the profile rule in the phone."
        BadHost "bad_host" Device
            "The Host field is missing, repeated or not a host name."
            "Correct the profile rule in the phone."
        Misdirected "misdirected" Device
            "The Host field names another host than the one the connection was made to."
            "Correct the profile rule in the phone, or add the name to the host's names."
        ExpectationFailed "expectation_failed" Device
            "The request expects something other than 100-continue."
            "Not a phone, most likely."
        HeaderTimeout "header_timeout" Device
            "The request's header did not arrive in time."
            "Look for a lossy network."
        HeadersTooLarge "headers_too_large" Device
            "The request's header has more fields or bytes than the limit allows."
            "Raise the header limit if a real phone needs it."
        BodyTooLarge "body_too_large" Device
            "The request's body is larger than the limit allows."
            "Raise the body limit if phones upload larger files."
        BodyTooSlow "body_too_slow" Device
            "The request's body came more slowly than the least rate allowed."
            "Look for a lossy network, or lower the least rate."
    }
    Authorisation {
        NoRuleMatched "no_rule_matched" Device
            "No request rule covers this device, method and path; without a rule nothing is allowed."
            "Correct the profile rule in the phone, or add a request rule. `explain` shows each rule and why it does not match."
        DeniedByRule "denied_by_rule" Device
            "A request rule forbids this; the record names the rule."
            "Change the rule if it should be allowed."
        UserAgentMismatch "user_agent_mismatch" Device
            "The User-Agent field names another device than the certificate does."
            "Find out whether a certificate was moved to another phone; newer firmware may have its User-Agent configured."
    }
    Rewriting {
        IdentityFieldsFailed "identity_fields_failed" Gateway
            "The fields that tell the backend who the device is could not be set, so the request was not forwarded."
            "Read the detail; a smaller set of header presets may be needed."
    }
    Backend {
        BackendUnreachable "backend_unreachable" Backend
            "No connection to the backend could be made."
            "Check that the backend runs and that its address in the configuration is right; of a folder, that the gateway's user may read it."
        BackendTls "backend_tls" Backend
            "The TLS handshake with the backend failed."
            "Check the backend's certificate and the CA given for it."
        BackendTimeout "backend_timeout" Backend
            "The backend did not answer in time."
            "Look at the backend's own log."
        BackendClosed "backend_closed" Backend
            "The backend closed the connection before its answer was complete."
            "Look at the backend's own log."
        BackendInvalidResponse "backend_invalid_response" Backend
            "The backend's answer is not valid HTTP."
            "Look at the backend's own log."
    }
    Limits {
        TooManyConnections "too_many_connections" Gateway
            "The gateway has as many connections as its limit allows."
            "Raise the connection limit, or add a gateway."
        TooManyConnectionsFromAddress "too_many_connections_from_address" Device
            "One address has as many connections as the limit allows."
            "A whole site of phones may sit behind one address: raise or remove the limit."
        TooManyHandshakes "too_many_handshakes" Gateway
            "More handshakes were waiting than the gateway could serve before their deadline."
            "After a power cut this passes and phones try again; if not, add processors or a gateway."
        AuditFull "audit_full" Gateway
            "An audit sink with when-full = \"refuse\" has no room, and nothing is served that could not be recorded."
            "Look at the gateway's log for the sink that fails: a full disk, a database or syslog server that is down. Or give the sink a larger queue, or when-full = \"drop-and-count\"."
        ListenerRemoved "listener_removed" Gateway
            "The connection came in on a listener that a reload has taken out of the configuration."
            "Put the listener back, or correct the port in the phone's profile rule."
        ShuttingDown "shutting_down" Gateway
            "The gateway was stopping."
            "Nothing: the phone tries again."
    }
}

impl Reason {
    /// The reason with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == code)
    }

    /// Every reason as a Markdown table, for documents that print it.
    pub fn table() -> String {
        let mut table = String::from("| reason | what happened | what to do |\n| --- | --- | --- |\n");
        for stage in Stage::ALL {
            for reason in Self::ALL.iter().filter(|reason| reason.stage() == *stage) {
                // Writing to a String cannot fail.
                let _ = writeln!(table, "| `{reason}` | {} | {} |", reason.meaning(), reason.remedy());
            }
        }
        table
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_snake_case_and_its_own() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for code in codes {
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
        }
    }

    #[test]
    fn every_reason_is_found_by_its_code() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.as_str()), Some(*reason));
        }
        assert_eq!(Reason::from_code("no_such_reason"), None);
    }

    #[test]
    fn every_text_is_whole_sentences() {
        for reason in Reason::ALL {
            for text in [reason.meaning(), reason.remedy()] {
                assert!(text.ends_with('.') && text.len() > 7, "{reason}: {text}");
            }
        }
    }
}
