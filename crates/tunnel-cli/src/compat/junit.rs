//! The report as JUnit XML.

use std::time::Duration;

use compat_tests::black_box::Finding;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// One suite per group, one test case per check.
pub(super) fn report(findings: &[Finding]) -> Report {
    let mut report = Report::new("tunnel-p2p compat");
    report.set_time(findings.iter().map(|finding| finding.elapsed).sum());
    for group in findings.chunk_by(|one, next| one.check.group() == next.check.group()) {
        let mut suite = TestSuite::new(group[0].check.group());
        suite.set_time(group.iter().map(|finding| finding.elapsed).sum::<Duration>());
        suite.add_test_cases(group.iter().map(test_case));
        report.add_test_suite(suite);
    }
    report
}

fn test_case(finding: &Finding) -> TestCase {
    let status = match &finding.result {
        Ok(()) => TestCaseStatus::success(),
        Err(difference) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(difference.to_string());
            status
        }
    };
    let mut case = TestCase::new(finding.check.name(), status);
    case.set_classname(finding.check.group());
    case.set_time(finding.elapsed);
    case
}
