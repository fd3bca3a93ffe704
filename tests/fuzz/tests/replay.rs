//! Every file of the corpora through the oracles, on any compiler: part of `make test`.

use std::fs;
use std::path::Path;

use mailbearer_fuzz::TARGETS;

#[test]
fn every_corpus_keeps_the_rules() {
    for (name, check) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .expect("a corpus")
            .map(|entry| entry.expect("a file").path())
            .collect();
        files.sort();
        assert!(files.len() >= 10, "{name} has {} files", files.len());
        for file in files {
            // The test's output names the file, if it breaks a rule.
            println!("{}", file.display());
            check(&fs::read(&file).expect("a corpus file"));
        }
    }
}
