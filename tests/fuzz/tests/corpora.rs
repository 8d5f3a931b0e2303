//! The corpora, through the same checks as a fuzzer's inputs.

use std::{fs, path::Path};

use volley_fuzz::CHECKS;

#[test]
fn every_input_of_every_corpus_passes_its_check() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, check) in CHECKS {
        let folder = fs::read_dir(corpora.join(name)).expect("each check has a corpus");
        let files: Vec<_> = folder
            .map(|file| file.expect("it is listed").path())
            .collect();
        assert!(files.len() >= 5, "{name} has {} inputs", files.len());
        for file in files {
            println!("{}", file.display());
            check(&fs::read(&file).expect("it can be read"));
        }
    }
}
