use super::*;

#[test]
fn every_suite_of_the_shipped_policies_has_a_name_here() {
    start().unwrap();
    for policy in TlsRules::shipped_names() {
        for suite in TlsRules::shipped(policy).unwrap().suites().iter().filter(|suite| !suite.is_tls13()) {
            assert_ne!(cipher_name(&suite.name()), "(NONE)", "{suite}");
        }
    }
}

#[test]
fn every_alert_that_goes_with_a_certificate_has_a_number_of_its_own() {
    let mut numbers: Vec<i32> =
        Reason::ALL.iter().map(|reason| failure::number_of(alert_for(*reason))).collect();
    numbers.sort_unstable();
    numbers.dedup();
    // expired, revoked, unknown CA, bad, unsupported, not allowed, unknown
    assert_eq!(numbers, [10, 20, 23, 26, 28, 34, 50]);
}

#[test]
fn groups_have_the_names_that_openssl_takes() {
    start().unwrap();
    let mut context = SslContextBuilder::new(SslMethod::tls_server()).unwrap();
    for number in [23, 24, 25, 29, 30] {
        context.set_groups_list(group(Group(number)).unwrap()).unwrap();
    }
    assert_eq!(group(Group::X25519_MLKEM768), None, "the modern engine's alone");
}
