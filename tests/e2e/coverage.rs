//! Where each reason code and each security requirement is pinned. A reason or a requirement without a test fails here, and
//! so does a test that was renamed without saying so here.

use std::path::PathBuf;

use harness::binary::workspace;
use policies::Reason;

/// Where something is tested.
#[derive(Clone, Copy, Debug)]
enum At {
    /// A test of this program: its module and name.
    Here(&'static str, &'static str),
    /// A unit test: its file from the workspace's root, and its name.
    Unit(&'static str, &'static str),
    /// Nowhere, because nothing of the product can come to it; why.
    Nowhere(&'static str),
}

use At::{Here, Nowhere, Unit};

/// Every reason has a test that comes to it, and whose twin does not.
const REASONS: &[(Reason, At)] = &[
    (Reason::ClientGone, Here("handshake", "records_a_client_that_goes_away")),
    (
        Reason::HelloTimeout,
        Here("limits", "a_client_that_says_nothing_is_closed_after_the_handshake_timeout"),
    ),
    (Reason::HelloMalformed, Here("handshake", "refuses_a_hello_that_cannot_be_read")),
    (Reason::HelloTooLarge, Here("handshake", "refuses_a_hello_beyond_64_kib_and_takes_one_of_60")),
    (Reason::NotTls, Here("handshake", "tells_a_client_that_speaks_plain_http_so")),
    (Reason::VersionNotSupported, Here("handshake", "refuses_versions_below_the_policy")),
    (Reason::InappropriateFallback, Here("handshake", "refuses_a_fallback_that_was_not_needed")),
    (Reason::NoSharedSuite, Here("handshake", "refuses_suites_the_policy_does_not_have")),
    (Reason::NoSharedGroup, Here("handshake", "refuses_groups_the_policy_does_not_have")),
    (
        Reason::NoSharedSignatureAlgorithm,
        Here("handshake", "refuses_signature_algorithms_that_the_servers_key_cannot_make"),
    ),
    (Reason::ExportOnly, Here("handshake", "names_a_client_that_offers_export_suites_alone")),
    (Reason::UnknownServerName, Here("handshake", "refuses_a_server_name_no_host_has")),
    (
        Reason::BadHandshakeSignature,
        Here("handshake", "refuses_a_certificate_whose_key_the_client_does_not_hold"),
    ),
    (
        Reason::WeakHandshakeSignature,
        Here("endings", "a_client_that_signs_as_it_was_not_asked_to_is_refused"),
    ),
    (
        Reason::HandshakeTimeout,
        Here("limits", "a_client_that_stops_in_the_handshake_is_closed_after_the_handshake_timeout"),
    ),
    (Reason::HandshakeFailed, Here("handshake", "refuses_a_handshake_that_goes_on_as_none_does")),
    (Reason::ClientAlert, Here("handshake", "records_the_alert_of_a_client_that_does_not_trust_the_server")),
    (
        Reason::TooManyConnections,
        Here("limits", "connections_beyond_the_limit_are_turned_away_until_one_ends"),
    ),
    (
        Reason::TooManyConnectionsFromAddress,
        Here("limits", "connections_beyond_the_limit_are_turned_away_until_one_ends"),
    ),
    (Reason::TooManyHandshakes, Here("limits", "a_client_that_waits_too_long_for_its_turn_is_given_up")),
    (Reason::AuditFull, Here("audit_sinks", "where_a_sink_refuses_nothing_is_served_that_it_cannot_keep")),
    (
        Reason::ListenerRemoved,
        Here("reload", "a_listener_that_was_taken_out_serves_its_kept_connections_no_more"),
    ),
    (Reason::ShuttingDown, Here("endings", "a_request_cut_off_at_the_shutdown_limit_is_on_record")),
    (Reason::NoCertificate, Here("handshake", "refuses_a_client_without_a_certificate")),
    (Reason::CertificateMalformed, Here("certificates", "refuses_bytes_that_are_no_certificate")),
    (Reason::ChainTooLarge, Here("certificates", "refuses_a_chain_of_eleven_certificates")),
    (Reason::UnknownIssuer, Here("certificates", "refuses_a_leaf_from_an_authority_of_another_name")),
    (Reason::BadSignature, Here("certificates", "refuses_a_leaf_whose_signature_is_damaged")),
    (Reason::WeakKey, Here("certificates", "refuses_a_1024_bit_key_unless_the_trust_entry_allows_it")),
    (
        Reason::WeakSignature,
        Here("certificates", "refuses_a_sha1_signature_unless_the_trust_entry_allows_it"),
    ),
    (
        Reason::UnsupportedAlgorithm,
        Here("certificates", "refuses_a_leaf_signed_with_an_algorithm_nobody_knows"),
    ),
    (
        Reason::UnsupportedVersion,
        Here("certificates", "refuses_a_version_1_leaf_unless_the_trust_entry_allows_it"),
    ),
    (Reason::Expired, Here("certificates", "refuses_a_leaf_that_expired_one_second_ago")),
    (Reason::NotYetValid, Here("certificates", "refuses_a_leaf_that_is_valid_from_tomorrow")),
    (Reason::Revoked, Here("revocation", "refuses_a_revoked_leaf_by_a_folder_or_a_file_in_pem_or_der")),
    (Reason::RevocationUnknown, Here("revocation", "refuses_a_chain_that_no_list_covers_unless_allowed")),
    (Reason::CrlExpired, Here("revocation", "refuses_by_a_list_that_is_out_of_date_unless_allowed")),
    (Reason::NotAnAuthority, Here("certificates", "refuses_a_chain_whose_intermediate_is_no_authority")),
    (Reason::KeyUsage, Here("certificates", "refuses_a_leaf_whose_key_is_only_for_encryption")),
    (Reason::ExtendedKeyUsage, Here("certificates", "refuses_a_leaf_that_is_only_for_servers")),
    (Reason::PathLength, Here("certificates", "refuses_a_chain_longer_than_an_authority_in_it_allows")),
    (
        Reason::NameConstraints,
        Here("certificates", "refuses_a_name_outside_what_the_authority_may_vouch_for"),
    ),
    (Reason::UnknownCriticalExtension, Here("certificates", "refuses_a_critical_extension_nobody_knows")),
    (
        Reason::CertificatePolicy,
        Here("certificates", "refuses_a_leaf_without_the_policy_its_authority_requires"),
    ),
    (Reason::LeafIsAuthority, Here("certificates", "refuses_an_authority_that_presents_its_own_certificate")),
    (
        Reason::PathSearchExhausted,
        Unit("certs/src/chain/tests/building.rs", "a_search_that_explodes_is_given_up"),
    ),
    (Reason::IdentityNotRecognised, Here("identity", "refuses_a_subject_of_no_known_shape")),
    (Reason::IdentityMalformed, Here("identity", "refuses_a_phones_subject_with_an_empty_part")),
    (Reason::NulInName, Here("identity", "refuses_a_nul_in_the_product")),
    (Reason::RepeatedAttribute, Here("identity", "refuses_two_macs_in_one_subject")),
    (Reason::InvalidEncoding, Here("identity", "refuses_bytes_that_the_string_type_does_not_allow")),
    (Reason::InvalidMac, Here("identity", "refuses_what_is_no_devices_mac")),
    (Reason::OuiNotAccepted, Here("identity", "refuses_a_mac_of_another_manufacturer")),
    (
        Reason::DeniedByList,
        Here("revocation", "the_deny_file_refuses_by_mac_serial_certificate_and_fingerprint"),
    ),
    (Reason::BadRequest, Here("smuggling", "what_can_be_read_in_two_ways_reaches_no_backend")),
    (Reason::BadTarget, Here("authorization", "a_path_is_normalised_once_and_forwarded_as_judged")),
    (Reason::BadHost, Here("authorization", "a_host_field_that_is_missing_repeated_or_none_is_refused")),
    (
        Reason::Misdirected,
        Here("authorization", "a_host_field_of_another_host_is_misdirected_and_any_other_name_is_not"),
    ),
    (
        Reason::ExpectationFailed,
        Here("smuggling", "an_expectation_nobody_knows_is_refused_and_the_known_one_is_met"),
    ),
    (Reason::HeaderTimeout, Here("limits", "a_header_that_does_not_come_is_given_up")),
    (
        Reason::HeadersTooLarge,
        Here("limits", "a_header_beyond_the_limits_is_refused_and_one_within_is_served"),
    ),
    (Reason::BodyTooLarge, Here("limits", "a_body_beyond_the_limit_is_refused_declared_or_not")),
    (Reason::BodyTooSlow, Here("limits", "a_body_below_the_least_rate_is_given_up")),
    (
        Reason::NoRuleMatched,
        Here("authorization", "a_phone_gets_its_own_profile_in_every_shipped_shape_and_nobody_elses"),
    ),
    (Reason::DeniedByRule, Here("authorization", "a_deny_rule_before_an_allow_rule_wins")),
    (
        Reason::UserAgentMismatch,
        Here("authorization", "a_user_agent_that_names_another_device_is_refused_where_it_must_agree"),
    ),
    (
        Reason::IdentityFieldsFailed,
        Here("spoofing", "a_request_without_room_for_identity_fields_is_not_forwarded"),
    ),
    (
        Reason::BackendUnreachable,
        Here("backend", "a_backend_that_is_down_is_502_and_does_not_stop_the_start"),
    ),
    (Reason::BackendTls, Here("backend", "an_https_backend_is_verified_and_sees_our_certificate")),
    (Reason::BackendTimeout, Here("backend", "a_backend_that_keeps_silent_is_504")),
    (Reason::BackendClosed, Here("backend", "a_backend_that_closes_without_an_answer_is_502")),
    (Reason::BackendInvalidResponse, Here("backend", "a_backend_that_speaks_no_http_is_502")),
];

/// SEC-01 to SEC-45 and SEC-53 to SEC-67.
const REQUIREMENTS: &[(u8, At)] = &[
    (1, Here("spoofing", "every_managed_family_is_stripped_unconditionally")),
    (2, Here("spoofing", "a_forged_name_in_any_spelling_is_replaced_or_gone")),
    (3, Here("spoofing", "a_name_in_connection_removes_nothing_of_ours")),
    (3, Here("spoofing", "a_forged_trailer_goes_nowhere")),
    (4, Here("spoofing", "every_managed_family_is_stripped_unconditionally")),
    (5, Here("spoofing", "an_anonymous_request_carries_no_identity")),
    (6, Here("spoofing", "many_copies_become_one_value")),
    (7, Here("rewriting", "hostile_names_are_harmless_in_fields")),
    (8, Here("rewriting", "xfcc_is_one_element_whatever_the_name_holds")),
    (9, Here("spoofing", "a_request_without_room_for_identity_fields_is_not_forwarded")),
    (10, Here("resumption", "a_resumed_connection_carries_the_same_identity_fields")),
    (11, Here("rewriting", "rfc9440_tells_the_leaf_and_the_validated_path")),
    (12, Here("spoofing", "every_managed_family_is_stripped_unconditionally")),
    (13, Nowhere("there is no FastCGI backend")),
    (14, Here("identity", "an_attribute_inside_anothers_text_is_only_text")),
    (15, Here("identity", "refuses_a_nul_in_the_product")),
    (16, Here("identity", "refuses_two_macs_in_one_subject")),
    (16, Here("identity", "refuses_a_relative_name_of_two_attributes")),
    (17, Here("identity", "refuses_bytes_that_the_string_type_does_not_allow")),
    (18, Here("identity", "alternative_names_and_stars_identify_nobody")),
    (19, Here("identity", "alternative_names_and_stars_identify_nobody")),
    (20, Here("authorization", "a_phone_gets_its_own_profile_in_every_shipped_shape_and_nobody_elses")),
    (21, Here("identity", "refuses_what_is_no_devices_mac")),
    (22, Here("identity", "a_generic_certificate_gets_its_allowed_path_and_nobodys_profile")),
    (23, Here("certificates", "the_same_subject_under_another_anchor_is_judged_by_that_anchors_entry")),
    (24, Here("certificates", "refuses_a_leaf_that_is_only_for_servers")),
    (25, Here("authorization", "a_certificates_text_is_never_a_pattern")),
    (26, Here("reload", "trust_that_cannot_be_read_stops_the_start")),
    (26, Here("reload", "a_configuration_with_a_mistake_keeps_the_old_one_and_says_why")),
    (27, Here("handshake", "two_hosts_on_one_port_keep_their_own_anchors")),
    (28, Here("handshake", "server_names_select_hosts_exactly_before_by_wildcard_before_any")),
    (29, Here("reload", "a_kept_connection_of_a_device_denied_meanwhile_gets_403_and_is_closed")),
    (
        30,
        Here("handshake", "an_optional_certificate_is_judged_when_it_is_sent_and_not_missed_when_it_is_not"),
    ),
    (31, Nowhere("the gateway takes no part in ACME")),
    (32, Here("resumption", "a_device_revoked_since_is_refused_on_resumption")),
    (33, Here("authorization", "a_host_field_of_another_host_is_misdirected_and_any_other_name_is_not")),
    (33, Here("authorization", "every_request_of_a_kept_connection_is_judged")),
    (34, Here("handshake", "a_hello_cut_anywhere_decides_the_same")),
    (34, Here("handshake", "refuses_a_hello_beyond_64_kib_and_takes_one_of_60")),
    (35, Here("handshake", "refuses_a_server_name_no_host_has")),
    (36, Here("authorization", "a_host_field_of_another_host_is_misdirected_and_any_other_name_is_not")),
    (37, Nowhere("HTTP/2 is not spoken")),
    (38, Here("resumption", "a_resumed_connection_is_served_and_recorded_as_such")),
    (39, Here("peers", "a_session_of_one_host_is_not_resumed_at_another")),
    (39, Here("resumption", "a_session_made_under_other_anchors_is_not_resumed")),
    (
        40,
        Unit(
            "gateway/src/tls/tickets.rs",
            "sec_40_the_time_of_the_first_handshake_travels_from_ticket_to_ticket",
        ),
    ),
    (40, Here("resumption", "a_certificate_expired_since_is_refused_on_resumption")),
    (41, Here("resumption", "a_device_revoked_since_is_refused_on_resumption")),
    (41, Here("resumption", "a_device_denied_since_is_refused_on_resumption")),
    (42, Here("resumption", "a_resumed_connection_carries_the_same_identity_fields")),
    (43, Here("resumption", "a_session_of_one_gateway_is_not_resumed_at_another")),
    (44, Here("resumption", "tickets_allow_no_early_data")),
    (44, Here("peers", "renegotiation_is_refused")),
    (45, Here("resumption", "a_large_chain_is_served_again")),
    (53, Here("peers", "the_authorities_named_to_a_client_are_as_configured")),
    (54, Here("certificates", "refuses_a_chain_of_eleven_certificates")),
    (55, Here("limits", "a_client_that_says_nothing_is_closed_after_the_handshake_timeout")),
    (55, Here("limits", "connections_beyond_the_limit_are_turned_away_until_one_ends")),
    (56, Here("certificates", "refuses_a_sha1_signature_unless_the_trust_entry_allows_it")),
    (57, Here("certificates", "accepts_the_odd_shapes_of_real_certificates")),
    (58, Here("peers", "a_client_that_guesses_the_wrong_group_is_asked_again")),
    (59, Here("audit", "a_refused_certificate_is_recorded_whole")),
    (60, Here("audit", "hostile_text_is_escaped")),
    (61, Here("audit", "a_flood_of_refusals_is_counted_and_not_logged")),
    (62, Here("coverage", "every_reason_has_a_test")),
    (63, Here("audit", "neither_credentials_nor_explanations_go_where_they_should_not")),
    (64, Here("admin", "sec_64_metrics_count_what_the_records_say")),
    (65, Here("audit", "neither_credentials_nor_explanations_go_where_they_should_not")),
    (
        65,
        Here("trace", "a_refusal_is_shown_with_its_alert_its_reason_and_its_remedy_and_its_twin_is_admitted"),
    ),
    (66, Here("smuggling", "what_can_be_read_in_two_ways_reaches_no_backend")),
    (67, Here("authorization", "a_path_is_normalised_once_and_forwarded_as_judged")),
];

/// What is wrong with an entry, if anything is.
fn fault(at: At) -> Option<String> {
    let (file, name) = match at {
        Here(module, name) => (PathBuf::from(format!("tests/e2e/{module}.rs")), name),
        Unit(file, name) => (PathBuf::from(file), name),
        Nowhere(why) => return why.is_empty().then(|| "an entry says not why it has no test".to_owned()),
    };
    let text = std::fs::read_to_string(workspace().join(&file)).unwrap_or_default();
    (!text.contains(&format!("fn {name}("))).then(|| format!("{} has no {name}", file.display()))
}

#[test]
fn every_reason_has_a_test() {
    let missing: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !REASONS.iter().any(|(known, _)| known == *reason))
        .map(|reason| format!("{reason} has no test"))
        .chain(REASONS.iter().filter_map(|(_, at)| fault(*at)))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_requirement_has_a_test() {
    let numbers = (1..=45).chain(53..=67);
    let missing: Vec<_> = numbers
        .filter(|number| !REQUIREMENTS.iter().any(|(known, _)| known == number))
        .map(|number| format!("SEC-{number:02} has no test"))
        .chain(REQUIREMENTS.iter().filter_map(|(_, at)| fault(*at)))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
