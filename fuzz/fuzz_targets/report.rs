//! Reports, raw or plain: no panic, and reading an admitted report differs from verifying one by its signatures only.
#![no_main]

use goodstanding_fuzz::jws;
use goodstanding_verify::{
    Code, b64,
    report::{Report, ReportId, TimeLimits},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match jws(text) {
        Some(jws) => {
            agree(&jws);
            // The same report with one bit of its signature wrong.
            let (input, signature) = jws.rsplit_once('.').expect("signed");
            let mut signature = b64::url_decode(signature).expect("signed");
            signature[0] ^= 1;
            let bent = format!("{input}.{}", b64::url_encode(signature));
            agree(&bent);
            if let Ok(report) = Report::verify(&jws) {
                let refused = Report::verify(&bent).expect_err("a wrong signature");
                assert_eq!(refused.code(), Code::ReportSignatureInvalid);
                let mut admitted = Report::parse_admitted(&bent).expect("but for the signature");
                assert_ne!(admitted.id, report.id);
                admitted.id = report.id;
                assert_eq!(admitted, report);
            }
        }
        None => agree(text),
    }
});

fn agree(jws: &str) {
    let verified = Report::verify(jws);
    let admitted = Report::parse_admitted(jws);
    if let Err(error) = &verified
        && error.detail().ends_with("not signed by iss")
    {
        assert!(matches!(
            error.code(),
            Code::ReportSignatureInvalid
                | Code::ReportTermsInvalid
                | Code::ReportAttestationInvalid
                | Code::ReportBidInvalid
        ));
    } else {
        assert_eq!(verified, admitted);
    }
    if let Ok(report) = admitted {
        assert_eq!(ReportId::parse(&report.id.to_string()), Ok(report.id));
        assert_ne!(report.buyer(), report.seller());
        let _ = report.check_times(report.iat, &TimeLimits::default());
    }
}
