//! `--profile` in a program that was built without the feature `profile`.

#![cfg(not(feature = "profile"))]

mod program;

use program::Workplace;

#[test]
fn profile_says_how_to_build_a_program_that_has_it() {
    let place = Workplace::new();
    place
        .run("--profile")
        .rejects_flags(&["--profile", "cargo build --release --features profile"]);
    assert_eq!(place.names(), [""; 0]);
}
