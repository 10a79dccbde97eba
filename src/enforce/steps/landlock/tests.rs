use landlock::{ABI, Access};

use super::*;
use crate::plan::landlock::rights::{Kind as About, NEWEST_ABI, all};

/// What an ABI has is written down twice; an update of the library must show here.
#[test]
fn every_abi_has_the_rights_that_the_library_knows() {
    for abi in 0..=NEWEST_ABI {
        let known = ABI::from(i32::try_from(abi).unwrap());
        assert_eq!(all(About::Fs, abi), AccessFs::from_all(known).bits(), "ABI {abi}");
        assert_eq!(all(About::Net, abi), AccessNet::from_all(known).bits(), "ABI {abi}");
        assert_eq!(all(About::Scope, abi), Scope::from_all(known).bits(), "ABI {abi}");
    }
    assert_eq!(
        ABI::from(i32::MAX),
        ABI::from(i32::try_from(NEWEST_ABI).unwrap()),
        "the library knows a newer one"
    );
    assert_eq!(FILE_RIGHTS, AccessFs::from_file(ABI::from(i32::MAX)).bits());
}
