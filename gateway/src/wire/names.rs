//! The names and meanings of the registry's numbers that nobody else here needs (IANA, "TLS Parameters").

/// A handshake message by its type.
#[must_use]
pub const fn handshake_type(number: u8) -> &'static str {
    match number {
        0 => "HelloRequest",
        1 => "ClientHello",
        2 => "ServerHello",
        3 => "HelloVerifyRequest",
        4 => "NewSessionTicket",
        5 => "EndOfEarlyData",
        8 => "EncryptedExtensions",
        11 => "Certificate",
        12 => "ServerKeyExchange",
        13 => "CertificateRequest",
        14 => "ServerHelloDone",
        15 => "CertificateVerify",
        16 => "ClientKeyExchange",
        20 => "Finished",
        21 => "CertificateURL",
        22 => "CertificateStatus",
        23 => "SupplementalData",
        24 => "KeyUpdate",
        25 => "CompressedCertificate",
        67 => "NextProtocol",
        _ => "handshake message of an unknown type",
    }
}

/// An extension by its number; `GREASE` for the values of RFC 8701.
#[must_use]
pub fn extension(number: u16) -> String {
    let name = match number {
        0 => "server_name",
        1 => "max_fragment_length",
        5 => "status_request",
        10 => "supported_groups",
        11 => "ec_point_formats",
        13 => "signature_algorithms",
        15 => "heartbeat",
        16 => "application_layer_protocol_negotiation",
        17 => "status_request_v2",
        18 => "signed_certificate_timestamp",
        19 => "client_certificate_type",
        20 => "server_certificate_type",
        21 => "padding",
        22 => "encrypt_then_mac",
        23 => "extended_master_secret",
        27 => "compress_certificate",
        28 => "record_size_limit",
        34 => "delegated_credential",
        35 => "session_ticket",
        41 => "pre_shared_key",
        42 => "early_data",
        43 => "supported_versions",
        44 => "cookie",
        45 => "psk_key_exchange_modes",
        47 => "certificate_authorities",
        48 => "oid_filters",
        49 => "post_handshake_auth",
        50 => "signature_algorithms_cert",
        51 => "key_share",
        13172 => "next_protocol_negotiation",
        17513 => "application_settings",
        65037 => "encrypted_client_hello",
        65281 => "renegotiation_info",
        _ if crate::client_hello::message::is_grease(number) => "GREASE",
        _ => return format!("{number}"),
    };
    name.to_owned()
}

/// A kind of client certificate (RFC 5246 §7.4.4, RFC 8422 §5.5).
#[must_use]
pub fn certificate_type(number: u8) -> String {
    match number {
        1 => "rsa_sign".to_owned(),
        2 => "dss_sign".to_owned(),
        3 => "rsa_fixed_dh".to_owned(),
        4 => "dss_fixed_dh".to_owned(),
        64 => "ecdsa_sign".to_owned(),
        65 => "rsa_fixed_ecdh".to_owned(),
        66 => "ecdsa_fixed_ecdh".to_owned(),
        _ => number.to_string(),
    }
}

/// What an alert says of the other side, in plain words (RFC 8446 §6, RFC 5246 §7.2).
#[must_use]
pub const fn alert_meaning(number: u8) -> &'static str {
    match number {
        0 => "the other side ends the connection in good order",
        10 => "a message came that did not belong there",
        20 | 21 => "a record could not be decrypted: something on the way changed it, or the keys differ",
        22 => "a record was too long",
        40 => {
            "no set of parameters suits both sides: version, cipher suite, group, or a certificate that is missing"
        }
        41 => "no certificate was presented",
        42 => "the certificate is damaged or has a wrong signature",
        43 => "the certificate is of a kind, or for a use, that is not accepted",
        44 => "the certificate was revoked",
        45 => "the certificate has expired or is not valid yet: look at the clock too",
        46 => "the certificate was not accepted, for a reason that has no alert of its own",
        47 => "a field had a value that it may not have",
        48 => "the certificate's authority is not known or not trusted",
        49 => "the certificate is good, but its holder is not let in",
        50 => "a message could not be read",
        51 => "a signature or a Finished message is wrong: certificate and key do not belong together",
        60 => "export restrictions are not kept",
        70 => "the TLS version is known but not allowed",
        71 => "the cipher suites on offer are too weak",
        80 => "the other side has trouble of its own",
        86 => "the client fell back to an older version without need",
        90 => "the other side's user broke it off",
        100 => "renegotiation is refused",
        109 => "an extension that is needed was missing",
        110 => "an extension came that was not asked for",
        112 => "no host has the server name that was asked for",
        113 => "the certificate's status that was sent is bad",
        115 => "the key that both should share is not known",
        116 => "a certificate is required and none was presented",
        120 => "no application protocol is shared (ALPN)",
        _ => "an alert of an unknown number",
    }
}

/// An alert's name and number: `unknown_ca (48)`.
#[must_use]
pub fn alert(number: u8) -> String {
    crate::respond::phone::with_number(rustls::AlertDescription::from(number))
}
