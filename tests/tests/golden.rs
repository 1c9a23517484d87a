//! The packet table through both executors.

use redirector_tests::golden::{Executor as _, Hook, Host, Kernel, cases, check};

#[test]
fn the_pipeline_does_what_the_table_says() {
    let mut host = Host::default();
    for case in cases::all() {
        check(&case, &mut host);
    }
}

fn the_bytecode_does_what_the_table_says(hook: Hook) {
    let (mut host, mut kernel) = (Host::default(), Kernel::load(hook));
    for case in cases::all() {
        let (expected, found) = (check(&case, &mut host), check(&case, &mut kernel));
        assert_eq!(found, expected, "{}: the flow tables differ", case.name);
        assert_eq!(kernel.accounts(), host.accounts(), "{}: the accounts differ", case.name);
    }
}

#[test]
fn xdp_does_what_the_table_says() {
    the_bytecode_does_what_the_table_says(Hook::Xdp);
}

#[test]
fn tc_does_what_the_table_says() {
    the_bytecode_does_what_the_table_says(Hook::Tc);
}
