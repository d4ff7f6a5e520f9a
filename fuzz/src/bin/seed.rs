//! Fills the corpus of every flow format: `seed CORPUS FOLDER..` copies each file of the folders (up to 64 KiB of it) to
//! `CORPUS/NAME/`, where NAME is the format that its content tells.

use std::fs;
use std::path::{Path, PathBuf};

/// Longer inputs make the fuzzer slow and find nothing more.
const SEED_BYTES: usize = 64 * 1024;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let corpus = arguments.next().unwrap_or_else(|| "corpus".into());
    for source in intake::SOURCES {
        fs::create_dir_all(corpus.join(source.name))?;
    }
    let mut count = 0;
    for folder in arguments {
        seed(&folder, &corpus, &mut count)?;
    }
    println!("{count} seeds in {}", corpus.display());
    Ok(())
}

fn seed(folder: &Path, corpus: &Path, count: &mut u64) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            seed(&path, corpus, count)?;
        } else if let Ok(mut bytes) = fs::read(&path)
            && let Some(source) = intake::detect(&bytes[..bytes.len().min(16 * 1024)])
        {
            bytes.truncate(SEED_BYTES);
            *count += 1;
            fs::write(corpus.join(source.name).join(format!("seed-{count}")), bytes)?;
        }
    }
    Ok(())
}
